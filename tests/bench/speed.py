"""Seconds per video from file to vectors, against a plain script, Ray Data's reader and the floor of this machine.

`python tests/bench/speed.py [--videos 43] [--repeat 1] [--rounds 3] [--folder FOLDER]` (needs `pip install
opencv-python-headless`, and `ffmpeg` for the floor; without it PyAV decodes, with the same libraries).

All sides process the same files (the plain script and `read_videos`, which take ten times as long, every fourth) with
the same two networks and random weights: 8 frames and 3 clips of 16 frames per video, and sound descriptors (which
`read_videos` cannot provide). The plain script and `read_videos` run the networks
as torchvision publishes them, the others as `FoldedNetwork`. Start-up is excluded: for the sides on Ray the figure is
the difference between a run and a longer one.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
from report import ROUNDS, interleave, print_table, ratio

from jobs import backfill
from jobs.backfilling.shapes import POSTS_WITHOUT_RAY
from jobs.runtime.session import connect, session
from viral.config import Settings
from viral.extractors.extractor import PostInput
from viral.extractors.feature_set import FeatureSet
from viral.extractors.network import NetworkSpec
from viral.extractors.spec import ExtractorSpec
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Audio, ClipBatch, Facts, FrameBatch, Media
from viral.media.plan import SamplingPlan
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS
from viral.weights.resolve import resolve_local

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
EVERY = 4  # of the files, by their length, are for the slow sides: a round takes some ten minutes
FRAMES, CLIPS, CLIP_FRAMES = 8, 3, 16  # what the networks of the set `full` read
PRECISIONS = ("float32", "bfloat16")
BACKFILL, DECODE = "viral backfill", "one full decode, CPU seconds"
PLAIN, READ_VIDEOS = "plain script, float32", "ray.data.read_videos, float32"
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def feature_set_of(precision: str) -> FeatureSet:
    """Sound descriptors, and both networks with random weights."""
    nets = [
        {"name": name, "params": {"weights": "random", "precision": precision}} for name in ("resnet50", "r2plus1d")
    ]
    return FeatureSet.from_dict({"name": f"bench-{precision}", "extractors": ["acoustics", *nets]})


def frame_count(path: str) -> int:
    import cv2

    capture = cv2.VideoCapture(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return count


def numbers(count: int) -> tuple[list[int], list[list[int]]]:
    """Numbers of the frames to read: 8 over the video, and 3 clips of 16, every second frame."""
    frames = np.linspace(0, count - 1, FRAMES).astype(int).tolist()
    starts = np.linspace(0, max(0, count - 2 * CLIP_FRAMES), CLIPS).astype(int)
    return frames, [[min(count - 1, int(start) + 2 * step) for step in range(CLIP_FRAMES)] for start in starts]


def frames_of(count: int) -> set[int]:
    frames, clips = numbers(count)
    return {*frames, *(number for clip in clips for number in clip)}


def opencv(path: str, wanted: Sequence[int], size: tuple[int, int]) -> dict[int, Pixels]:
    """Read a file from its beginning and keep the wanted frames."""
    import cv2

    frames, capture, number, last = {}, cv2.VideoCapture(path), 0, max(wanted)
    while number <= last:
        good, frame = capture.read()
        if not good:
            break
        if number in wanted:
            frames[number] = cv2.cvtColor(cv2.resize(frame, size[::-1]), cv2.COLOR_BGR2RGB)
        number += 1
    capture.release()
    return frames


def sound(path: str, rate: int) -> Audio:
    with av.open(path) as container:
        resampler = av.AudioResampler("flt", "mono", rate)
        blocks = [block.to_ndarray()[0] for frame in container.decode(audio=0) for block in resampler.resample(frame)]
    return Audio(np.concatenate(blocks), rate)


class Nets:
    """The extractors, with torchvision's networks as they are, applied to pixels from any decoder."""

    def __init__(self, feature_set: FeatureSet) -> None:
        acoustics, self.resnet, self.r2plus1d = feature_set.specs
        self.acoustics = acoustics.build("cpu", resolve_local)
        self.networks = {spec.name: _published(spec) for spec in feature_set.specs[1:]}

    def image(self, pixels: Pixels) -> None:
        self._run(self.resnet, FrameBatch(pixels, np.zeros(len(pixels))))

    def clip(self, pixels: Pixels) -> None:
        self._run(self.r2plus1d, ClipBatch(pixels, np.zeros(pixels.shape[:2])))

    def _run(self, spec: ExtractorSpec, batch: FrameBatch | ClipBatch) -> None:
        assert isinstance(spec, NetworkSpec)
        post = PostInput(Media(Facts(), {spec.needs[0]: batch}))
        spec.encode_batch(self.networks[spec.name], "cpu", [post])

    def sound(self, audio: Audio) -> None:
        self.acoustics([PostInput(Media(Facts(), {self.acoustics.needs[0]: audio}))])


def _published(spec: ExtractorSpec) -> Any:
    assert isinstance(spec, NetworkSpec)
    return spec.load_network(resolve_local).eval().requires_grad_(False)


def plain_script(paths: Sequence[str], nets: Nets) -> float:
    """Open and decode the file once per modality; run the networks on single frames and clips."""
    start = time.perf_counter()
    for path in paths:
        frames, clips = numbers(frame_count(path))
        for image in opencv(path, frames, (224, 224)).values():
            nets.image(image[None])
        for clip in clips:
            seen = opencv(path, clip, (128, 171))
            nets.clip(np.stack([seen[number] for number in clip if number in seen])[None])
        nets.sound(sound(path, nets.acoustics.needs[0].rate))
    return (time.perf_counter() - start) / len(paths)


class NetsOfGroup:
    """The same networks on the frames of one file from `read_videos`."""

    def __init__(self, feature_set: FeatureSet, counts: dict[str, int]) -> None:
        import torch

        torch.set_num_threads(1)
        self.nets, self.counts = Nets(feature_set), counts

    def __call__(self, group: dict[str, Any]) -> dict[str, Any]:
        import cv2

        seen = dict(zip(group["frame_index"].tolist(), group["frame"], strict=True))
        frames, clips = numbers(self.counts[group["path"][0]])
        self.nets.image(np.stack([cv2.resize(seen[number], (224, 224)) for number in frames if number in seen]))
        for clip in clips:
            small = [cv2.resize(seen[number], (171, 128)) for number in clip if number in seen]
            if small:
                self.nets.clip(np.stack(small)[None])
        return {"path": group["path"][:1]}


def ray_data(paths: Sequence[str], feature_set: FeatureSet) -> float:
    """`read_videos`, a filter for the wanted frames, then the networks per file."""
    import ray.data

    counts = {path: frame_count(path) for path in paths}
    wanted = {path: frames_of(count) for path, count in counts.items()}
    start = time.perf_counter()
    done = (
        ray.data.read_videos(list(paths), include_paths=True)
        .filter(lambda row: row["frame_index"] in wanted[row["path"]])
        .groupby("path")
        .map_groups(
            NetsOfGroup,
            fn_constructor_args=(feature_set, counts),
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=max(1, (os.cpu_count() or 2) - 1)),
        )
    )
    assert done.count() == len(paths)
    return time.perf_counter() - start


def busy_seconds() -> tuple[float, float]:
    """Seconds that the cores of this machine have been busy, and in all, since it started."""
    times = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle, total = times[3] + times[4], sum(times)  # 4 is waiting for the disk
    return (total - idle) / os.sysconf("SC_CLK_TCK"), total / os.sysconf("SC_CLK_TCK")


def ours(paths: Sequence[str], feature_set: FeatureSet, times: int) -> tuple[float, float]:
    """Wall time of a backfill of the files, each under `times` ids, and the share of the cores that was busy."""
    with tempfile.TemporaryDirectory() as root:
        posts = [
            {"post_id": f"{Path(path).stem}-{turn}", "source": "test", "video_uri": path}
            for turn in range(times)
            for path in paths
        ]
        posts_table(Store.open(root)).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
        busy, total = busy_seconds()
        summary = backfill.run(Store.open(root), feature_set, Settings())
        busy, total = (after - before for after, before in zip(busy_seconds(), (busy, total), strict=True))
        assert summary.ok + summary.partial == len(posts)
        return summary.wall_seconds, busy / total


def decode_seconds(paths: Sequence[str]) -> float:
    """CPU seconds of decoding each file once, pictures only, on one thread."""
    if ffmpeg := shutil.which("ffmpeg"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for path in paths:
            command = [ffmpeg, "-v", "quiet", "-threads", "1", "-i", path, "-map", "0:v:0", "-f", "null", "-"]
            subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    start = time.process_time()
    for path in paths:
        with av.open(path) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for _ in container.decode(video=0):
                pass
    return time.process_time() - start


def net_seconds(paths: Sequence[str], feature_set: FeatureSet) -> float:
    """CPU seconds of the extractors alone, on one thread, on media that are ready in memory."""
    import torch

    extractors, plan, total = feature_set.build(), SamplingPlan.from_requests(feature_set.requests), 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for turn, path in enumerate([paths[0], *paths]):
        sample = PostInput(decode(path, plan, MediaLimits()))
        start = time.process_time()
        for extractor in extractors:
            extractor([sample])
        total += (time.process_time() - start) if turn else 0.0  # the first warms up
    torch.set_num_threads(threads)
    return total


def measure(paths: Sequence[str], repeat: int) -> Iterator[tuple[str, float]]:
    """Measure each side once."""
    cores, count = os.cpu_count() or 1, len(paths)
    decoded = decode_seconds(paths) / count
    yield DECODE, decoded
    for precision in PRECISIONS:
        networks = net_seconds(paths, feature_set_of(precision)) / count
        yield f"networks and descriptors alone, {precision}, CPU seconds", networks
        yield f"floor: decode and networks over {cores} cores, {precision}", (decoded + networks) / cores
    with session():
        for precision in PRECISIONS:
            (once, _), (often, busy) = (ours(paths, feature_set_of(precision), times) for times in (1, 1 + repeat))
            yield f"{BACKFILL}, {precision}", (often - once) / (repeat * count)
            yield f"{BACKFILL}, {precision}: busy share of the cores, its start included", busy
    some = paths[::EVERY]
    yield PLAIN, plain_script(some, Nets(feature_set_of("float32")))
    with session():
        connect()
        half = len(some) // 2
        few = ray_data(some[:half], feature_set_of("float32"))
        yield READ_VIDEOS, (ray_data(some, feature_set_of("float32")) - few) / (len(some) - half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=VIDEOS)
    parser.add_argument("--videos", type=int, help="number of videos, the shortest first; default: all")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    paths = sorted(map(str, args.folder.glob("*.mp4")), key=frame_count)[: args.videos]
    if len(paths) <= POSTS_WITHOUT_RAY:  # the shorter run would start no workers, and the difference hold their start
        parser.error(f"more than {POSTS_WITHOUT_RAY} videos are needed")
    print(f"{len(paths)} videos, {os.cpu_count()} cores; wall seconds per video unless it says CPU", flush=True)
    samples = interleave(partial(measure, paths, args.repeat), args.rounds)
    print_table(samples)
    for precision in PRECISIONS:
        for side in (PLAIN, READ_VIDEOS):
            print(f"{side}, to {BACKFILL}, {precision}: {ratio(samples[side], samples[f'{BACKFILL}, {precision}'])}")


if __name__ == "__main__":
    main()
