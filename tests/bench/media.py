"""CPU seconds of sampling plans over real videos: `python tests/bench/media.py [FOLDER OF VIDEOS]`.

The base is a full decode of the picture by PyAV on one thread that keeps no frame. The rows take turns on each video,
so that a busy machine slows all of them alike; a row's value is its sum over the videos.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import decord
from report import interleave, print_table

from viral.extractors.feature_set import FeatureSet
from viral.media import decode as decoding
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.media.requests import AudioTrack, Clips, Frames, Packets, Request

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
BASE = "full decode, PyAV, one thread"

Work = Callable[[str], object]

REQUESTS = FeatureSet.named("full", weights="random").requests
FULL = SamplingPlan.from_requests(REQUESTS)
EVERY = SamplingPlan.from_requests([Frames(every=0.2, size=(112, 112))])
KEYS = SamplingPlan.from_requests([Frames(count=8, size=(224, 224), choice="key")])


def only(kind: type[Request], **values: object) -> SamplingPlan:
    """The plan of the full set's requests of one kind."""
    return SamplingPlan.from_requests(
        r for r in REQUESTS if isinstance(r, kind) and all(getattr(r, name) == value for name, value in values.items())
    )


PLANS = {
    "the product's full set": FULL,
    "its hook": only(Frames, choice="uniform"),
    "its key frames": only(Frames, choice="key"),
    "its clips": only(Clips),
    "its sound": only(AudioTrack),
    "its packets": only(Packets),
    "every 0.2 s": EVERY,
    "8 key frames": KEYS,
    "8 even frames": SamplingPlan.from_requests([Frames(count=8, size=(224, 224))]),
}


def decode_all(path: str, *, sound: bool = False, skip: str = "DEFAULT") -> None:
    with av.open(path) as container:
        picture = container.streams.video[0]
        picture.codec_context.thread_count = 1
        picture.codec_context.skip_frame = skip
        for _ in container.decode(picture, *(container.streams.audio[:1] if sound else ())):
            pass


def answer(path: str, plan: SamplingPlan, decoder: str | None = None) -> None:
    chosen = decoding._only_key_frames
    if decoder is not None:
        decoding._only_key_frames = lambda wanted, index: decoder == "decord"
    try:
        decoding.decode(path, plan, MediaLimits())
    finally:
        decoding._only_key_frames = chosen


def rows() -> dict[str, Work]:
    works: dict[str, Work] = {
        BASE: decode_all,
        "the same, with the sound": partial(decode_all, sound=True),
        "key frames only, PyAV": partial(decode_all, skip="NONKEY"),
    }
    works |= {label: partial(answer, plan=plan) for label, plan in PLANS.items()}
    for decoder in ("decord", "PyAV"):
        for label, plan in (("full set", FULL), ("every 0.2 s", EVERY), ("8 key frames", KEYS)):
            works[f"{label}, {decoder} only"] = partial(answer, plan=plan, decoder=decoder)
    return works


def seconds(work: Work, path: str) -> float:
    start = time.process_time()
    work(path)
    return time.process_time() - start


def measure(works: dict[str, Work], paths: list[str]) -> dict[str, float]:
    """CPU seconds of each row over all videos."""
    totals = dict.fromkeys(works, 0.0)
    for path in paths:
        for label, work in works.items():
            totals[label] += seconds(work, path)
    return totals


def transfer(path: str) -> None:
    media = decoding.decode(path, FULL, MediaLimits())
    start = time.perf_counter()
    for _ in range(20):
        size = len(answer := pickle.dumps(media, protocol=5))
        pickle.loads(answer)
    took = (time.perf_counter() - start) / 20
    print(f"pickling one full result both ways: {size / 1e6:.1f} MB, {took * 1e3:.1f} ms")


def main(folder: Path) -> None:
    av.logging.set_level(None)
    decord.logging.set_level(decord.logging.QUIET)
    paths = [str(path) for path in sorted(folder.glob("*.mp4"))]
    print(f"{len(paths)} videos, CPU seconds", flush=True)
    works = rows()
    print_table(interleave(lambda: measure(works, paths).items()), base=BASE, digits=2)
    transfer(paths[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else VIDEOS)
