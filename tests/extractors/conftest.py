"""Real posts, decoded once, and a whole feature set with random weights, loaded once."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.extractors.tiny_speech import write_aligner, write_whisper
from viral.extractors.extractor import Context, Extractor, PostInput
from viral.extractors.feature_set import FeatureSet
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan

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
def samples(full: FeatureSet, videos: list[Path]) -> list[PostInput]:
    """The three smallest videos, decoded, with a context each."""
    plan = SamplingPlan.from_requests(full.requests)
    return [PostInput(decode(str(path), plan, MediaLimits()), CONTEXT) for path in videos[:3]]


@pytest.fixture(scope="session")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Whisper with random weights."""
    return write_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="session")
def aligner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny wav2vec 2.0 with random weights."""
    return write_aligner(tmp_path_factory.mktemp("aligners") / "english")


@pytest.fixture(scope="session")
def cases(shared_data: Path) -> Path:
    """Media of all kinds, recordings of speech among them."""
    return shared_data / "media_cases" / "files"


@pytest.fixture(scope="module")
def nothing_leaves_this_machine() -> Iterator[None]:
    """No test here opens a connection, looks up a host, or starts a program (ffmpeg, say) but our own decoder."""
    tried: list[object] = []
    start = subprocess.Popen.__init__

    def refuse(*arguments: object, **named: object) -> None:
        tried.append(arguments)
        raise OSError("no connection is allowed here")

    def start_ours(process: object, command: list[str], **named: object) -> None:
        (start if "viral.media.child" in command else refuse)(process, command, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(subprocess.Popen, "__init__", start_ours)
        yield
        from pyannote.audio.telemetry import metrics

        metrics.provider.force_flush()  # what it had to report to its makers would go now
    assert tried == []
