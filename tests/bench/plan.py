"""What `viral plan` says of a backfill, against what it then takes.

`python tests/bench/plan.py [--posts 200] [--feature-set light]`. Of two mixes of lengths, each with a long tail, a
fifth of the posts is measured first; the plan is of the rest, on the same cores.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from viral.demo import CorpusSpec, generate

MIXES = {"3 to 5 s": (3.1, 5.0), "3 to 20 s": (3.1, 20.0)}


def viral(*arguments: str | Path) -> dict[str, Any]:
    """Run a command and return its summary."""
    command = [str(Path(sys.executable).with_name("viral")), *map(str, arguments), "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def first(file: Path, count: int) -> Path:
    """The first posts of a file, as another file."""
    with file.open(newline="") as all_posts, file.with_name("first.csv").open("w", newline="") as some:
        csv.writer(some).writerows(row for row, _ in zip(csv.reader(all_posts), range(count + 1), strict=False))
    return file.with_name("first.csv")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--posts", type=int, default=200)
    parser.add_argument("--feature-set", default="light")
    options = parser.parse_args()
    cores = str(os.cpu_count())
    print(f"{'lengths':<12} {'planned':>9} {'took':>9} {'ratio':>6}")
    for name, seconds in MIXES.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            generate(root / "corpus", CorpusSpec(posts=options.posts, seconds=seconds, size=(240, 426)), workers=2)
            posts, common = root / "corpus" / "posts.csv", ("--root", root, "--feature-set", options.feature_set)
            viral("ingest", "csv", first(posts, options.posts // 5), "--root", root)
            viral("backfill", *common)
            viral("ingest", "csv", posts, "--root", root)
            planned = viral("plan", *common, "--cores", cores)["hours"] * 3600
            took = viral("backfill", *common)["wall_seconds"]
            print(f"{name:<12} {planned:>7.1f} s {took:>7.1f} s {planned / took:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
