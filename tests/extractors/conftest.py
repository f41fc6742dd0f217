"""Real posts, decoded once, and a whole feature set with random weights, loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from viral.extractors.extractor import Context, Extractor, Sample
from viral.extractors.feature_set import FeatureSet
from viral.media.decode import decode
from viral.media.limits import Limits
from viral.media.plan import Plan

CONTEXT = Context(
    caption="Would you wear this? 😱🇫🇷 @someone #fyp #fashion",
    hashtags=("fyp", "fashion"),
    posted_at=datetime(2024, 3, 1, 18, 30, tzinfo=UTC),
    author_followers=1200,
    sound_original=True,
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks on one thread, as a worker with one CPU runs them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def full() -> FeatureSet:
    """The whole set; one clip and two frames are enough to go through the networks."""
    light = [entry.to_dict() for entry in FeatureSet.named("light").entries]
    networks = [
        {"name": "resnet50", "params": {"weights": "random", "frames": 2}},
        {"name": "r2plus1d", "params": {"weights": "random", "clips": 1}},
    ]
    return FeatureSet.from_dict({"name": "small-random", "extractors": [*light, *networks]})


@pytest.fixture(scope="session")
def extractors(full: FeatureSet) -> list[Extractor]:
    return full.build()


@pytest.fixture(scope="session")
def videos(shared_data: Path) -> list[Path]:
    """Three short real TikToks."""
    return sorted((shared_data / "tiktok_videos" / "videos").glob("*.mp4"), key=lambda path: path.stat().st_size)[:3]


@pytest.fixture(scope="session")
def samples(full: FeatureSet, videos: list[Path]) -> list[Sample]:
    """The three of them, decoded, with a context each."""
    plan = Plan.of(full.requests)
    return [Sample(decode(str(path), plan, Limits()), CONTEXT) for path in videos]
