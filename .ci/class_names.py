"""Lists class names that the product defines more than once; exits 1 if there are any.

A class whose line ends in `# same name: REASON` is left out.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path


def repeated(project: Path) -> dict[str, list[str]]:
    """For each class name that two places define, these places."""
    places = defaultdict(list)
    for package in ("viral", "jobs", "serve", "cluster"):
        for path in sorted((project / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            lines = text.splitlines()
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef) and "# same name:" not in lines[node.lineno - 1]:
                    places[node.name].append(f"{path.relative_to(project)}:{node.lineno}")
    return {name: where for name, where in places.items() if len(where) > 1}


if __name__ == "__main__":
    found = repeated(Path(__file__).resolve().parent.parent)
    for name, where in found.items():
        print(name, *where)
    sys.exit(bool(found))
