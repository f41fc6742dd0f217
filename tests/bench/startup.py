"""Wall seconds of short commands: `python tests/bench/startup.py [--rounds 5] [--root ROOT]`.

`viral --help`, and with a root `viral models list`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from report import interleave, print_table

VIRAL = str(Path(sys.executable).with_name("viral"))


def measure(commands: Sequence[Sequence[str]]) -> Iterator[tuple[str, float]]:
    """Run each command once."""
    for command in commands:
        start = time.perf_counter()
        subprocess.run([VIRAL, *command], check=True, stdout=subprocess.DEVNULL)
        yield f"viral {' '.join(command)}", time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--root")
    args = parser.parse_args()
    commands = [["--help"], *([["models", "list", "--root", args.root]] if args.root else [])]
    print_table(interleave(lambda: measure(commands), args.rounds), digits=2)


if __name__ == "__main__":
    main()
