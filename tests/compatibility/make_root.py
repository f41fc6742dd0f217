"""Makes a root with the `viral` command of an older commit, and packs the small part that later versions must read.

    python tests/compatibility/make_root.py root.tar.xz COMMAND [ARGUMENT …]

COMMAND is the older commit's `viral`. The root holds one demo corpus, its features and labels, one model of each kind
and its predictions; what scoring never reads (clips, curves, pages, logs) is left out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

POSTS = 80  # the fewest that the demo takes
NETWORKS = ("attention", "weighted", "concat")
UNREAD = ("corpus", "runs", "mlflow.db", "models/*/*/curves", "models/*/*/scorecard.*", "models/*/*/tested*")


def make(root: Path, viral: list[str]) -> None:
    """Run the older commit's commands on a new root."""

    def call(*arguments: str) -> None:
        subprocess.run([*viral, *arguments, "--root", str(root)], check=True)

    call("demo", "--posts", str(POSTS))
    trained = ["demo"]
    for name in NETWORKS:
        call("train", "fusion", "--name", name, "--architecture", name, "--workers", "1")
        trained.append(name)
    for name in ("craft", "text"):
        call("train", name, "--workers", "1")
        trained.append(name)
    call("train", "ensemble")
    call("train", "stacked", "--member", "demo", "--member", "ensemble")
    for name in (*trained, "ensemble", "stacked"):
        call("score", "--all", "--model", name)


def pack(root: Path, archive: Path) -> None:
    """Write the root into an archive, without what scoring does not read."""
    for pattern in UNREAD:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with tarfile.open(archive, "w:xz") as file:
        file.add(root, arcname="root")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "root"
        make(made, sys.argv[2:])
        pack(made, Path(sys.argv[1]))
