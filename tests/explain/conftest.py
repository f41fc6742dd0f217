"""A clip with a loud moment at a known time, and a model whose effects are written here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from viral.config import Settings
from viral.explain.variants import Rescorer
from viral.extractors.acoustics import ACOUSTIC_COLUMNS
from viral.extractors.extractor import Vector
from viral.extractors.feature_set import FeatureSet
from viral.extractors.metadata import METADATA_COLUMNS
from viral.features.pipeline import Pipeline
from viral.scoring.scorer import Score
from viral.storage.store import Store

MINI = FeatureSet.from_dict({"name": "mini", "extractors": ["metadata", "acoustics"]})
FPS, RATE = 10, 24000
SECONDS, BANG = 12.4, 6.6
"""How long the clip lasts, and when it becomes loud, for a fifth of a second."""


def make_score(value: float) -> Score:
    """A score of which only the value matters."""
    return Score(
        probability=0.5, score=value, low=value - 1, high=value + 1, rates={}, modalities={}, missing=(),
        label="log_views", model="planted/1",
    )  # fmt: skip


class PlantedModel:
    """A model with known effects: +2 for a bang, +0.5 per unit of log followers, +1 for an original sound."""

    def score(self, rows: Sequence[Mapping[str, Vector | None]]) -> list[Score]:
        return [make_score(self._truth(row)) for row in rows]

    def _truth(self, row: Mapping[str, Vector | None]) -> float:
        metadata, sound = row["metadata"], row["acoustics"]
        assert metadata is not None
        values = dict(zip(METADATA_COLUMNS, metadata, strict=True))
        loud = sound is not None and sound[ACOUSTIC_COLUMNS.index("loudness_max")] > -20
        return float(5 + 2 * loud + 0.5 * values["log_followers"] + values["sound_original"])


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A quiet clip with one bang."""
    path = tmp_path_factory.mktemp("explain") / "bang.mp4"
    times = np.arange(round(SECONDS * RATE)) / RATE
    gain = np.where((times >= BANG) & (times < BANG + 0.2), 0.8, 0.002)
    wave = (gain * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=FPS, options={"g": "20"})
        picture.width, picture.height, picture.pix_fmt = 64, 96, "yuv420p"
        track = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(round(SECONDS * FPS)):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64, 3), 20 * (number % 10), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(picture.encode(frame))
        for start in range(0, len(wave), 1024):
            block = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
            container.mux(track.encode(block))
        container.mux([*picture.encode(None), *track.encode(None)])
    return str(path)


@pytest.fixture(scope="session")
def rescorer(clip: str) -> Iterator[Rescorer]:
    """The planted model behind the real extraction pipeline."""
    with Pipeline(MINI, Store(str(Path(clip).parent)), Settings()) as pipeline:
        yield Rescorer(pipeline, PlantedModel())
