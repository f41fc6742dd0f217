"""Resident memory of a backfill's processes while it runs: does it stay flat?

`python tests/bench/memory.py stubs --posts 10000` or `… videos --posts 1000`: a process a line, with its memory early
and late and the slope of a straight line through the second half of what was seen, by the post.
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

from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
MARK = "MARK_OF_A_BENCHMARK"
EVERY = 0.5
SETS = {"stubs": ["metadata"], "videos": ["metadata", "acoustics", "craft"]}


def tiny_clip(path: Path) -> None:
    """A picture of ten frames: what a stub post points to."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def stub_posts(root: Path, count: int, uris: list[str]) -> None:
    """A posts table of so many posts, which take turns with the videos."""
    posts = [
        {"post_id": f"post-{number}", "source": "test", "video_uri": uris[number % len(uris)]}
        for number in range(count)
    ]
    posts_table(Store.open(root)).append(pa.Table.from_pylist(posts, schema=POSTS), 0)


def named(pid: int) -> str:
    """What a process is, in words that do not change."""
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
    """MB of private and shared pages of each process that carries the mark, by name and id."""
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
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        root.mkdir()
        if given.kind == "stubs":
            tiny_clip(Path(folder, "tiny.mp4"))
            uris = [str(Path(folder, "tiny.mp4"))]
        else:
            uris = sorted(map(str, VIDEOS.glob("*.mp4")))
        stub_posts(root, given.posts, uris)
        Path(folder, "set.yaml").write_text(json.dumps({"name": given.kind, "extractors": SETS[given.kind]}))
        watched(folder, given.posts)


def watched(folder: str, posts: int) -> None:
    mark, seen = uuid.uuid4().hex, defaultdict(list)
    command = [str(Path(sys.executable).with_name("viral")), "backfill", "--json"]
    command += ["--feature-set", f"{folder}/set.yaml", "--root", f"{folder}/root"]
    began = time.monotonic()
    with subprocess.Popen(command, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE) as running:
        while running.poll() is None:
            for process, megabytes in resident(mark).items():
                seen[process].append((time.monotonic() - began, megabytes))
            time.sleep(EVERY)
        assert running.stdout is not None
        said = json.loads(running.stdout.read())
    outcomes = ", ".join(f"{said[status]} {status}" for status in ("ok", "partial", "failed"))
    print(f"{posts} posts in {said['wall_seconds']:.0f} s: {outcomes}")
    print(f"{'MB at 1/4':>10}{'3/4':>8}{'end':>8}{'slope, KB a post':>18}  process")
    for (name, _), samples in sorted(seen.items(), key=lambda item: -item[1][-1][1]):
        if len(samples) * EVERY < said["wall_seconds"] / 2:
            continue  # it lived too short to have a slope: children are replaced after 100 files
        times, sizes = np.array(samples[len(samples) // 4 : -4]).T
        slope = np.polyfit(times, sizes, 1)[0] * said["wall_seconds"] / posts * 1000
        print(f"{sizes[0]:10.0f}{sizes[len(sizes) * 2 // 3]:8.0f}{sizes[-1]:8.0f}{slope:18.2f}  {name}")
    children = [size for (name, _), samples in seen.items() if name == "decoding child" for _, size in samples]
    print(
        f"decoding children, {sum(name == 'decoding child' for name, _ in seen)} in all: at most {max(children):.0f} MB"
    )


if __name__ == "__main__":
    main()
