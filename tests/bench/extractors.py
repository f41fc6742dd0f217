"""How many CPU seconds a post costs each extractor, on one core.

`python tests/bench/extractors.py NAME… [--videos 3] [--param clips=1]…`: of real videos, networks with random weights.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from viral.extractors.extractor import Context, Sample
from viral.extractors.registry import extractor, parameters
from viral.media.decode import decode
from viral.media.limits import Limits
from viral.media.plan import Plan
from viral.weights.resolve import local_file

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
CONTEXT = Context(caption="Would you wear this? Follow me for part 2 #fyp #fashion", posted_at=datetime.now(UTC))


def seconds_of(name: str, params: dict[str, Any], paths: list[Path]) -> tuple[float, float, float]:
    """To load it, and to decode and to encode a post."""
    chosen = {"weights": "random", **params} if "weights" in parameters(name) else params
    spec = extractor(name, {key: value for key, value in chosen.items() if key in parameters(name)})
    started = time.process_time()
    encode = spec.load("cpu", local_file)
    loaded = time.process_time()
    samples = [Sample(decode(str(path), Plan.of(spec.needs), Limits()), CONTEXT) for path in paths]
    taken = time.process_time() - loaded
    encode(samples[0])  # what is imported at first use counts for no post
    ready = time.process_time()
    for sample in samples:
        encode(sample)
    return loaded - started, taken / len(paths), (time.process_time() - ready) / len(paths)


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--param", action="append", default=[], help="KEY=VALUE, the value as JSON or a word")
    args = parser.parse_args()
    params = {key: _value(value) for key, _, value in (each.partition("=") for each in args.param)}
    paths = sorted(VIDEOS.glob("*.mp4"))[: args.videos]
    print(f"{'extractor':<12}{'load s':>10}{'decode s':>12}{'encode s a post':>18}")
    for name in args.names:
        load, decoding, encoding = seconds_of(name, params, paths)
        print(f"{name:<12}{load:>10.2f}{decoding:>12.3f}{encoding:>18.4f}", flush=True)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


if __name__ == "__main__":
    main()
