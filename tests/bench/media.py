"""CPU seconds of decode plans over the real TikToks: `python tests/bench/media.py [FOLDER OF VIDEOS]`.

The first row, a full decode of the picture by PyAV on one thread with nothing kept, is what the others are compared to.
All rows take turns on each video, and the best of `ROUNDS` counts, so that a busy machine slows all of them alike.
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

from viral.extractors.feature_set import FeatureSet
from viral.media import decode as decoding
from viral.media.limits import Limits
from viral.media.plan import Plan
from viral.media.requests import AudioTrack, Clips, Frames, Packets, Request

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
ROUNDS = 3

Work = Callable[[str], object]

REQUESTS = FeatureSet.named("full", weights="random").requests
FULL = Plan.of(REQUESTS)
EVERY = Plan.of([Frames(every=0.2, size=(112, 112))])
KEYS = Plan.of([Frames(count=8, size=(224, 224), choice="key")])


def only(kind: type[Request], **values: object) -> Plan:
    """What the full set asks of that kind."""
    return Plan.of(
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
    "8 even frames": Plan.of([Frames(count=8, size=(224, 224))]),
}


def decode_all(path: str, *, sound: bool = False, skip: str = "DEFAULT") -> None:
    with av.open(path) as container:
        picture = container.streams.video[0]
        picture.codec_context.thread_count = 1
        picture.codec_context.skip_frame = skip
        for _ in container.decode(picture, *(container.streams.audio[:1] if sound else ())):
            pass


def answer(path: str, plan: Plan, decoder: str | None = None) -> None:
    chosen = decoding._on_keys
    if decoder is not None:
        decoding._on_keys = lambda wanted, index: decoder == "decord"
    try:
        decoding.decode(path, plan, Limits())
    finally:
        decoding._on_keys = chosen


def rows() -> dict[str, Work]:
    found: dict[str, Work] = {
        "full decode, PyAV, one thread": decode_all,
        "the same, with the sound": partial(decode_all, sound=True),
        "key frames only, PyAV": partial(decode_all, skip="NONKEY"),
    }
    found |= {label: partial(answer, plan=plan) for label, plan in PLANS.items()}
    for decoder in ("decord", "PyAV"):
        for label, plan in (("full set", FULL), ("every 0.2 s", EVERY), ("8 key frames", KEYS)):
            found[f"{label}, {decoder} only"] = partial(answer, plan=plan, decoder=decoder)
    return found


def seconds(work: Work, path: str) -> float:
    begun = time.process_time()
    work(path)
    return time.process_time() - begun


def compare(works: dict[str, Work], paths: list[str]) -> None:
    totals = dict.fromkeys(works, 0.0)
    for path in paths:
        turns = [[seconds(work, path) for work in works.values()] for _ in range(ROUNDS)]
        for label, *taken in zip(works, *turns, strict=True):
            totals[label] += min(taken)
    whole = next(iter(totals.values()))
    for label, taken in totals.items():
        print(f"{label:36}{taken:8.2f}{taken / whole:8.3f}")


def transfer(path: str) -> None:
    media = decoding.decode(path, FULL, Limits())
    begun = time.perf_counter()
    for _ in range(20):
        size = len(answer := pickle.dumps(media, protocol=5))
        pickle.loads(answer)
    took = (time.perf_counter() - begun) / 20
    print(f"pickling one full result both ways: {size / 1e6:.1f} MB, {took * 1e3:.1f} ms")


def main(folder: Path) -> None:
    av.logging.set_level(None)
    decord.logging.set_level(decord.logging.QUIET)
    paths = [str(path) for path in sorted(folder.glob("*.mp4"))]
    print(f"{len(paths)} videos{'':26}CPU s   ratio", flush=True)
    compare(rows(), paths)
    transfer(paths[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else VIDEOS)
