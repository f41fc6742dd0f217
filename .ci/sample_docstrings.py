"""Prints docstrings of the product drawn at random, to read aloud: `python .ci/sample_docstrings.py SEED [COUNT]`."""

from __future__ import annotations

import ast
import random
import sys
from collections.abc import Iterator
from pathlib import Path


def docstrings(project: Path) -> Iterator[tuple[str, str]]:
    """Each place of the product that has a docstring, with its first paragraph."""
    for package in ("viral", "jobs", "serve", "cluster"):
        for path in sorted((project / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                documented = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                if documented and (text := ast.get_docstring(node)):
                    yield f"{path.relative_to(project)}:{node.lineno} {node.name}", text.split("\n\n")[0]


if __name__ == "__main__":
    seed, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20
    found = list(docstrings(Path(__file__).resolve().parent.parent))
    for where, text in random.Random(seed).sample(found, count):
        print(f"{where}\n    {' '.join(text.split())}")
