"""CPU seconds per post of each extractor, on one core.

`python tests/bench/extractors.py NAME… [--videos 3] [--rounds 3] [--param clips=1]…`: on real videos, with
random weights in the networks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from report import ROUNDS, interleave, print_table

from viral.extractors.extractor import Context, PostInput
from viral.extractors.registry import extractor, parameters
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.weights.resolve import resolve_local

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
CONTEXT = Context(caption="Would you wear this? Follow me for part 2 #fyp #fashion", posted_at=datetime.now(UTC))


class Bench:
    """One extractor on the posts of some videos."""

    def __init__(self, name: str, params: dict[str, Any], paths: list[Path]) -> None:
        params = {"weights": "random", **params} if "weights" in parameters(name) else params
        spec = extractor(name, {key: value for key, value in params.items() if key in parameters(name)})
        self.name, self.paths, self.plan = name, paths, SamplingPlan.from_requests(spec.needs)
        start = time.process_time()
        self.encode = spec.load("cpu", resolve_local)
        self.load_seconds = time.process_time() - start
        self.encode(self._decode(paths[0]))  # imports and caches of the first use

    def _decode(self, path: Path) -> PostInput:
        return PostInput(decode(str(path), self.plan, MediaLimits()), CONTEXT)

    def measure(self) -> Iterator[tuple[str, float]]:
        """CPU seconds per post."""
        start = time.process_time()
        posts = [self._decode(path) for path in self.paths]
        decoded = time.process_time()
        for post in posts:
            self.encode(post)
        yield f"{self.name}: decode", (decoded - start) / len(posts)
        yield f"{self.name}: encode", (time.process_time() - decoded) / len(posts)


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--param", action="append", default=[], help="KEY=VALUE, the value as JSON or a word")
    args = parser.parse_args()
    params = {key: _value(value) for key, _, value in (text.partition("=") for text in args.param)}
    paths = sorted(VIDEOS.glob("*.mp4"))[: args.videos]
    benches = [Bench(name, params, paths) for name in args.names]
    print_table(interleave(lambda: chain.from_iterable(bench.measure() for bench in benches), args.rounds), digits=4)
    for bench in benches:
        print(f"{bench.name}: loaded once in {bench.load_seconds:.2f} CPU seconds")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


if __name__ == "__main__":
    main()
