"""CPU seconds of decode plans over the real TikToks: `python tests/bench/media.py [FOLDER OF VIDEOS]`.

The first row, a full decode by PyAV on one thread with nothing kept, is what the others are compared to.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import decord

from viral.media import decode as decoding
from viral.media.limits import Limits
from viral.media.plan import Plan
from viral.media.requests import AudioTrack, Clips, Frames, Packets, hook

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
CLIP = (112, 112)

FULL = Plan.of(
    [
        Frames(count=8, size=(224, 224), choice="key"),
        Clips(count=3, frames=16, step=1 / 15, size=CLIP, choice="key"),
        hook(seconds=3, every=0.125, size=CLIP),
        Clips(count=12, frames=2, step=0.2, size=CLIP, choice="key", fit="inside"),
        AudioTrack(16000),
        Packets(),
    ]
)
PLANS = {
    "the product's full set": FULL,
    "every 0.2 s": Plan.of([Frames(every=0.2, size=CLIP)]),
    "8 key frames": Plan.of([Frames(count=8, size=(224, 224), choice="key")]),
    "8 even frames": Plan.of([Frames(count=8, size=(224, 224))]),
    "3 clips": Plan.of([FULL.requests[1]]),
    "hook": Plan.of([FULL.requests[2]]),
    "sound": Plan.of([AudioTrack(16000)]),
    "packets": Plan.of([Packets()]),
}


def decode_all(path: str, skip: str = "DEFAULT") -> None:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.skip_frame = skip
        for _ in container.decode(stream):
            pass


def cost(label: str, work: Callable[[str], object], paths: list[str], whole: float | None) -> float:
    cpu, wall = time.process_time(), time.perf_counter()
    for path in paths:
        work(path)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{label:36}{cpu:8.2f}{wall:8.2f}{cpu / (whole or cpu):8.3f}", flush=True)
    return cpu


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
    print(f"{len(paths)} videos{'':26}CPU s  wall s   ratio")
    whole = cost("full decode, PyAV, one thread", decode_all, paths, None)
    cost("key frames only, PyAV", lambda path: decode_all(path, "NONKEY"), paths, whole)
    for label, plan in PLANS.items():
        cost(label, lambda path, plan=plan: decoding.decode(path, plan, Limits()), paths, whole)
    for decoder, decoding.DENSE in (("decord", 1.1), ("PyAV", 0.0)):
        for label in list(PLANS)[:3]:
            plan = PLANS[label]
            cost(
                f"{label}, {decoder} only", lambda path, plan=plan: decoding.decode(path, plan, Limits()), paths, whole
            )
    transfer(paths[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else VIDEOS)
