"""Resident memory of a backfill's processes over time.

`python tests/bench/memory.py stubs --posts 10000` or `… videos --posts 1000` prints one line per process: its memory at
three moments, and the slope of a straight line through its samples per post, or `within noise`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
from report import WITHIN_NOISE, slope

from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
MARK = "MARK_OF_A_BENCHMARK"
EVERY = 0.5  # seconds between samples: reading /proc then takes little of a core
SETS = {"stubs": ["metadata"], "videos": ["metadata", "acoustics", "craft"]}


def tiny_clip(path: Path) -> None:
    """Write a video of ten small frames, for stub posts."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def stub_posts(root: Path, count: int, uris: list[str]) -> None:
    """Write a posts table of `count` posts that share the videos."""
    posts = [
        {"post_id": f"post-{number}", "source": "test", "video_uri": uris[number % len(uris)]}
        for number in range(count)
    ]
    posts_table(Store.open(root)).append(pa.Table.from_pylist(posts, schema=POSTS), 0)


def named(pid: int) -> str:
    """Name of a process that is the same in every run."""
    line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    for pattern, name in (
        (r"viral\.media\.child", "decoding child"),
        (r"^ray::(\w+)", r"ray::\1"),
        (r"(raylet/raylet|gcs_server|viral backfill|log_monitor|agent)", r"\1"),
    ):
        if match := re.search(pattern, line):
            return match.expand(name)
    return line[:30]


def resident(mark: str) -> dict[tuple[str, int], float]:
    """Resident MB of each process with the mark in its environment, by name and id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if mark.encode() in (folder / "environ").read_bytes():
                    pages = int((folder / "statm").read_text().split()[1])
                    found[named(int(folder.name)), int(folder.name)] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            except OSError:
                continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=SETS)
    parser.add_argument("--posts", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        root.mkdir()
        if args.kind == "stubs":
            tiny_clip(Path(folder, "tiny.mp4"))
            uris = [str(Path(folder, "tiny.mp4"))]
        else:
            uris = sorted(map(str, VIDEOS.glob("*.mp4")))
        stub_posts(root, args.posts, uris)
        Path(folder, "set.yaml").write_text(json.dumps({"name": args.kind, "extractors": SETS[args.kind]}))
        watched(folder, args.posts)


def watched(folder: str, posts: int) -> None:
    mark, seen = uuid.uuid4().hex, defaultdict(list)
    command = [str(Path(sys.executable).with_name("viral")), "backfill", "--json"]
    command += ["--feature-set", f"{folder}/set.yaml", "--root", f"{folder}/root"]
    start = time.monotonic()
    with subprocess.Popen(command, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE) as running:
        while running.poll() is None:
            for process, megabytes in resident(mark).items():
                seen[process].append((time.monotonic() - start, megabytes))
            time.sleep(EVERY)
        assert running.stdout is not None
        summary = json.loads(running.stdout.read())
    outcomes = ", ".join(f"{summary[status]} {status}" for status in ("ok", "partial", "failed"))
    print(f"{posts} posts in {summary['wall_seconds']:.0f} s: {outcomes}")
    print(f"{'MB at 1/4':>10}{'3/4':>8}{'end':>8}{'slope, KB/post':>18}  process")
    for (name, _), samples in sorted(seen.items(), key=lambda item: -item[1][-1][1]):
        if len(samples) * EVERY < summary["wall_seconds"] / 2:
            continue  # too short for a slope: decoding children are replaced after 100 files
        times, sizes = np.array(samples[len(samples) // 4 : -4]).T
        growth = slope(times, sizes)
        text = WITHIN_NOISE if growth is None else f"{growth * summary['wall_seconds'] / posts * 1000:.2f}"
        print(f"{sizes[0]:10.0f}{sizes[len(sizes) * 2 // 3]:8.0f}{sizes[-1]:8.0f}{text:>18}  {name}")
    children = [size for (name, _), samples in seen.items() if name == "decoding child" for _, size in samples]
    print(
        f"decoding children, {sum(name == 'decoding child' for name, _ in seen)} in all: at most {max(children):.0f} MB"
    )


if __name__ == "__main__":
    main()
