"""How fast videos become vectors, beside a plain script, Ray Data's own reader and the floor of this machine.

`python tests/bench/speed.py [--videos 8] [--repeat 3] [--folder FOLDER]` (needs `pip install opencv-python-headless`,
and `ffmpeg` for the floor; without it PyAV decodes, with the same libraries.)

All sides take the same files, the same two networks with the same random weights, 8 frames and 3 clips of 16 a video,
and the sound descriptors (which `read_videos` cannot give). Start-up is left out: of the sides on Ray what counts is
the difference between a run and one of more posts.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa

from jobs import backfill
from jobs.runtime.session import session
from viral.config import Settings
from viral.extractors.extractor import Sample
from viral.extractors.feature_set import FeatureSet
from viral.media.decode import decode
from viral.media.limits import Limits
from viral.media.media import Audio, ClipBatch, Facts, FrameBatch, Media
from viral.media.plan import Plan
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
FRAMES, CLIPS, CLIP_FRAMES = 8, 3, 16
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def chosen(precision: str) -> FeatureSet:
    """The sound, and both networks with random weights."""
    nets = [
        {"name": name, "params": {"weights": "random", "precision": precision}} for name in ("resnet50", "r2plus1d")
    ]
    return FeatureSet.from_dict({"name": f"bench-{precision}", "extractors": ["acoustics", *nets]})


@dataclass(frozen=True)
class Row:
    side: str
    seconds: float
    """Wall time a video."""


def frame_count(path: str) -> int:
    import cv2

    capture = cv2.VideoCapture(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return count


def numbers(count: int) -> tuple[list[int], list[list[int]]]:
    """The frames that a script takes by their number: 8 over the video, and 3 times 16, every second one."""
    frames = np.linspace(0, count - 1, FRAMES).astype(int).tolist()
    starts = np.linspace(0, max(0, count - 2 * CLIP_FRAMES), CLIPS).astype(int)
    return frames, [[min(count - 1, int(start) + 2 * step) for step in range(CLIP_FRAMES)] for start in starts]


def wanted_of(count: int) -> set[int]:
    frames, clips = numbers(count)
    return {*frames, *(number for clip in clips for number in clip)}


def opencv(path: str, wanted: Sequence[int], size: tuple[int, int]) -> dict[int, Pixels]:
    """Read a file from its beginning, keeping the wanted frames."""
    import cv2

    kept, capture, number, last = {}, cv2.VideoCapture(path), 0, max(wanted)
    while number <= last:
        good, frame = capture.read()
        if not good:
            break
        if number in wanted:
            kept[number] = cv2.cvtColor(cv2.resize(frame, size[::-1]), cv2.COLOR_BGR2RGB)
        number += 1
    capture.release()
    return kept


def sound(path: str, rate: int) -> Audio:
    with av.open(path) as container:
        resampler = av.AudioResampler("flt", "mono", rate)
        blocks = [block.to_ndarray()[0] for frame in container.decode(audio=0) for block in resampler.resample(frame)]
    return Audio(np.concatenate(blocks), rate)


class Nets:
    """The extractors, fed by hand with pixels from wherever."""

    def __init__(self, feature_set: FeatureSet) -> None:
        self.acoustics, self.resnet, self.r2plus1d = feature_set.build()

    def image(self, pixels: Pixels) -> None:
        batch = FrameBatch(pixels, np.zeros(len(pixels)))
        self.resnet([Sample(Media(Facts(), {self.resnet.needs[0]: batch}))])

    def clip(self, pixels: Pixels) -> None:
        batch = ClipBatch(pixels, np.zeros(pixels.shape[:2]))
        self.r2plus1d([Sample(Media(Facts(), {self.r2plus1d.needs[0]: batch}))])

    def sound(self, audio: Audio) -> None:
        self.acoustics([Sample(Media(Facts(), {self.acoustics.needs[0]: audio}))])


def plain_script(paths: Sequence[str], nets: Nets) -> float:
    """Each modality opens and decodes the file again; the networks take frames and clips one by one."""
    begun = time.perf_counter()
    for path in paths:
        frames, clips = numbers(frame_count(path))
        for image in opencv(path, frames, (224, 224)).values():
            nets.image(image[None])
        for clip in clips:
            seen = opencv(path, clip, (128, 171))
            nets.clip(np.stack([seen[number] for number in clip if number in seen])[None])
        nets.sound(sound(path, nets.acoustics.needs[0].rate))
    return (time.perf_counter() - begun) / len(paths)


class NetsOfGroup:
    """The same networks on the frames of one file, as `read_videos` gives them."""

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
    """`read_videos`, then the wanted frames, then the networks a file."""
    import ray.data

    counts = {path: frame_count(path) for path in paths}
    wanted = {path: wanted_of(count) for path, count in counts.items()}
    begun = time.perf_counter()
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
    return time.perf_counter() - begun


def ours(paths: Sequence[str], feature_set: FeatureSet, times: int) -> float:
    """A backfill of the files, each under so many ids; its wall time."""
    with tempfile.TemporaryDirectory() as root:
        posts = [
            {"post_id": f"{Path(path).stem}-{turn}", "source": "test", "video_uri": path}
            for turn in range(times)
            for path in paths
        ]
        posts_table(Store.open(root)).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
        said = backfill.run(Store.open(root), feature_set, Settings())
        assert said.ok + said.partial == len(posts)
        return said.wall_seconds


def decode_seconds(paths: Sequence[str]) -> float:
    """CPU seconds of decoding each file once, pictures only, on one thread."""
    if ffmpeg := shutil.which("ffmpeg"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for path in paths:
            command = [ffmpeg, "-v", "quiet", "-threads", "1", "-i", path, "-map", "0:v:0", "-f", "null", "-"]
            subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    begun = time.process_time()
    for path in paths:
        with av.open(path) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for _ in container.decode(video=0):
                pass
    return time.process_time() - begun


def net_seconds(paths: Sequence[str], feature_set: FeatureSet) -> float:
    """CPU seconds of the extractors alone, on one thread, on media that are ready in memory."""
    import torch

    extractors, plan, total = feature_set.build(), Plan.of(feature_set.requests), 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for place, path in enumerate([paths[0], *paths]):
        sample = Sample(decode(path, plan, Limits()))
        begun = time.process_time()
        for extractor in extractors:
            extractor([sample])
        total += (time.process_time() - begun) if place else 0.0
    torch.set_num_threads(threads)
    return total


def rows(paths: Sequence[str], repeat: int) -> Iterator[Row]:
    cores, count = os.cpu_count() or 1, len(paths)
    decoded = decode_seconds(paths) / count
    yield Row("one full decode, CPU seconds", decoded)
    nets: dict[str, float] = {}
    for precision in ("float32", "bfloat16"):
        nets[precision] = net_seconds(paths, chosen(precision)) / count
        yield Row(f"the nets and descriptors alone, {precision}, CPU seconds", nets[precision])
        yield Row(f"(d) the floor: their sum over {cores} cores, {precision}", (decoded + nets[precision]) / cores)
    with session():
        for precision in ("float32", "bfloat16"):
            once, often = (ours(paths, chosen(precision), times) for times in (1, 1 + repeat))
            yield Row(f"(c) viral backfill, {precision}", (often - once) / (repeat * count))
    yield Row("(a) plain script, float32", plain_script(paths, Nets(chosen("float32"))))
    with session():
        few = ray_data(paths[: count // 2], chosen("float32"))
        yield Row(
            "(b) ray.data.read_videos, float32", (ray_data(paths, chosen("float32")) - few) / (count - count // 2)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=VIDEOS)
    parser.add_argument("--videos", type=int, default=8, help="so many of the shortest")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    paths = sorted(map(str, given.folder.glob("*.mp4")), key=frame_count)[: given.videos]
    print(f"{len(paths)} videos, {os.cpu_count()} cores; wall seconds a video unless it says CPU", flush=True)
    for row in rows(paths, given.repeat):
        print(f"{row.seconds:8.3f}  {row.side}", flush=True)


if __name__ == "__main__":
    main()
