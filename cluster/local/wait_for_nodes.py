"""Wait until a cluster has so many nodes: `python -m cluster.local.wait_for_nodes ADDRESS NODES SECONDS`."""

from __future__ import annotations

import sys
import time

_POLL_SECONDS = 0.2


def main() -> None:
    """Return once they have joined; fails after so many seconds."""
    import ray

    address, nodes, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    until = time.monotonic() + seconds
    ray.init(address, log_to_driver=False, logging_level="ERROR")
    while (joined := sum(node["Alive"] for node in ray.nodes())) < nodes:
        if time.monotonic() > until:
            sys.exit(f"{joined} of {nodes} have joined")
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
