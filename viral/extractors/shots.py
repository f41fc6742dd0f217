"""Shots of a video: frequency of cuts, and lengths of shots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from viral.extractors.extractor import OPENING_SECONDS, PostInput, Vector
from viral.extractors.network import Precision
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.extractors.transnet import INPUT, WEIGHTS, FindCuts, cut_finder
from viral.media.requests import Frames

_SHORT_SECONDS = 1.0  # a shorter shot counts as short
_MIN_SECONDS = 0.125  # avoids a division by zero for a single frame

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
"""The columns of the vector. Numbers and lengths are log(1 + n) and log(1 + s); `variation` is the coefficient of
variation of the shots' lengths; `short_share` the fraction of shots under 1 s; without cuts, the first cut is the end;
`opening_cuts` counts the cuts in the first 3 s."""


@dataclass(frozen=True, kw_only=True)
class Shots(ExtractorSpec):
    """Shots detected by TransNetV2, as `SHOT_COLUMNS`: more accurate than the cuts of `craft`, and far more expensive.

    The whole video is decoded, and the network, trained at 25 to 30 fps, gets a frame every `every` seconds. It finds
    18 of 19 visible cuts in five TikToks; at 15 fps, half the cost, 16. `craft` finds 15, with three false positives.
    The network takes about 0.5 s per second of video on one core, or 0.2 s in `bfloat16` if the processor supports it,
    with the same cuts.
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
        """All frames, at twice the network's input size, so that black bars can be cropped."""
        return (Frames(every=self.every, size=(2 * INPUT[0], 2 * INPUT[1]), fit="stretch"),)

    def check(self, resolve: Resolver) -> None:
        """Check that the network is installed. Raises WeightsError."""
        WEIGHTS.find()

    def load(self, device: str, resolve: Resolver) -> Encode:
        """Load the network onto `device`. Raises WeightsError."""
        return partial(self._encode, cut_finder(device, self.precision))

    def _encode(self, find: FindCuts, post: PostInput) -> Vector | None:
        batch = post.media.frames(self.needs[0]) if post.media else None
        if post.media is None or batch is None or not len(batch.data):
            return None
        facts = post.media.facts
        seconds = facts.seen_seconds or facts.declared_seconds or 0.0
        return shot_vector(find(batch), max(seconds, float(batch.pts_seconds[-1]), _MIN_SECONDS))


def shot_vector(cuts: npt.NDArray[np.float64], seconds: float) -> Vector:
    """Return `SHOT_COLUMNS` of a video of this length with cuts at these times."""
    lengths = np.diff(cuts, prepend=0.0, append=seconds)
    values = [
        len(cuts) / seconds,
        np.log1p(len(lengths)),
        *np.log1p([lengths.mean(), np.median(lengths), lengths.min(), lengths.max()]),
        lengths.std() / lengths.mean(),
        np.mean(lengths < _SHORT_SECONDS),
        np.log1p(cuts[0] if len(cuts) else seconds),
        np.count_nonzero(cuts < OPENING_SECONDS),
    ]
    return np.array(values, dtype=np.float32)
