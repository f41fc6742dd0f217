"""The shots of a video: how often it cuts, and how long its shots last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.extractor import Sample, Vector
from viral.extractors.network import Precision
from viral.extractors.spec import Encode, ExtractorSpec, Resolve
from viral.extractors.transnet import INPUT, WEIGHTS, FindCuts, cut_finder
from viral.media.requests import Frames

_OPENING_SECONDS = 3.0
_SHORT_SECONDS = 1.0
_LEAST_SECONDS = 0.125

SHOT_COLUMNS = (
    "cuts_per_second",
    "log_shots",
    "log_seconds_mean",
    "log_seconds_median",
    "log_seconds_min",
    "log_seconds_max",
    "variation",
    "short_share",
    "log_first_cut",
    "opening_cuts",
)
"""The columns of the vector. Numbers and lengths are log(1 + n) and log(1 + s); `variation` is the standard deviation
of the shots' lengths by their mean; `short_share` the share of shots shorter than 1 s; the first cut is at the end
where there is none; `opening_cuts` is the number of cuts in the first 3 s."""


@dataclass(frozen=True, kw_only=True)
class Shots(ExtractorSpec):
    """The shots that TransNetV2 finds, as `SHOT_COLUMNS`: surer than the cuts of `craft`, and far dearer.

    It decodes everything and shows the network a frame every `every` seconds; the network was trained at 25 to 30 a
    second. Of 19 cuts that the eye finds in five TikToks it finds 18, and with a fifteenth of a second, at half the
    cost, 16: dim ones are lost. `craft` finds 15 and three that are none. A second of video takes the network about
    half a second on one core, with `bfloat16` a fifth where the processor has it, for the same cuts.
    """

    every: Annotated[float, Field(gt=0, le=0.1)] = 1 / 30
    precision: Precision = "float32"

    name: ClassVar[str] = "shots"
    modality: ClassVar[str] = "editing"
    dim: ClassVar[int] = len(SHOT_COLUMNS)
    columns: ClassVar[tuple[str, ...]] = SHOT_COLUMNS
    revision: ClassVar[str] = "1"

    @property
    def needs(self) -> tuple[Frames]:
        """All frames, at twice what the network sees, so that bars can be cut off."""
        return (Frames(every=self.every, size=(2 * INPUT[0], 2 * INPUT[1]), fit="stretch"),)

    def check(self, resolve: Resolve) -> None:
        """Make sure that the network is installed. Raises WeightsError."""
        WEIGHTS.find()

    def load(self, device: str, resolve: Resolve) -> Encode:
        """Load the network onto `device`. Raises WeightsError."""
        return partial(self._encode, cut_finder(device, self.precision))

    def _encode(self, find: FindCuts, sample: Sample) -> Vector | None:
        batch = sample.media.frames(self.needs[0]) if sample.media else None
        if sample.media is None or batch is None or not len(batch.data):
            return None
        facts = sample.media.facts
        seconds = facts.seen_seconds or facts.declared_seconds or 0.0
        return described(find(batch), max(seconds, float(batch.pts_seconds[-1]), _LEAST_SECONDS))


def described(cuts: npt.NDArray[np.float64], seconds: float) -> Vector:
    """`SHOT_COLUMNS` of a video of that length with cuts at these times."""
    lengths = np.diff(cuts, prepend=0.0, append=seconds)
    values = [
        len(cuts) / seconds,
        np.log1p(len(lengths)),
        *np.log1p([lengths.mean(), np.median(lengths), lengths.min(), lengths.max()]),
        lengths.std() / lengths.mean(),
        np.mean(lengths < _SHORT_SECONDS),
        np.log1p(cuts[0] if len(cuts) else seconds),
        np.count_nonzero(cuts < _OPENING_SECONDS),
    ]
    return np.array(values, dtype=np.float32)
