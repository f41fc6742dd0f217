"""What a submitted job runs on the cluster: the command, if the cluster has this version of the product."""

from __future__ import annotations

import sys

import viral


def main() -> None:
    """Run `viral` with the arguments after the version of the sender."""
    sent_by = sys.argv[1]
    if sent_by != viral.__version__:
        sys.exit(
            f"error: this cluster has viral {viral.__version__}, the sender {sent_by}: install one version on both, or "
            "send your own code (viral submit --code)"
        )
    sys.argv = ["viral", *sys.argv[2:]]
    from cluster.cli import main as viral_main

    viral_main()


if __name__ == "__main__":
    main()
