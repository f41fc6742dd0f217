"""Work on one and on two nodes of a local cluster, each with half a core: `sudo python tests/bench/nodes.py`.

The stub is a fixed amount of processor time per task; beside it stand real decodes, by `viral backfill`. The head runs
no tasks. Each side is run in turn, and the medians are printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from cluster.local.nodes import HEAD, STORAGE, LocalCluster, LocalSettings
from viral.demo import CorpusSpec, generate

CORES = 0.5
STUB = """
import sys, time, ray
ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")

@ray.remote(num_cpus=1)
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass

ray.get([burn.remote(0.01) for _ in range(20)])  # workers have started
started = time.monotonic()
ray.get([burn.remote(0.25) for _ in range(int(sys.argv[2]))])
print(time.monotonic() - started)
"""
UPLOAD = """
import sys
from pathlib import Path
from viral.storage.store import Store
store = Store.open(sys.argv[1])
for path in sorted(Path(sys.argv[2]).rglob("*")):
    if path.is_file():
        store.upload(path, f"corpus/{path.relative_to(sys.argv[2])}")
"""
SET = {"name": "pictures", "extractors": ["metadata", "craft"]}


def output(cluster: LocalCluster, host: int, *command: str) -> str:
    """What a command on a host prints."""
    with tempfile.TemporaryFile() as file:
        process = cluster.network.host(host).start(*command, env=cluster.environment(), output=file)
        status = process.wait()
        file.seek(0)
        text = file.read().decode()
        assert status == 0, text
        return text


def measure(nodes: int, corpus: Path, tasks: int, feature_set: Path) -> tuple[float, float]:
    """Seconds of the stub, and of the backfill after its start."""
    cluster = LocalCluster("bench").up(LocalSettings(nodes + 1, cores=CORES, idle_head=True))
    try:
        root, viral = cluster.variables()["VIRAL_ROOT"], str(Path(sys.executable).with_name("viral"))
        stub = float(output(cluster, HEAD, sys.executable, "-c", STUB, cluster.address, str(tasks)).split()[-1])
        output(cluster, STORAGE, sys.executable, "-c", UPLOAD, root, str(corpus))
        common = ("--root", root, "--address", cluster.address, "--json")
        output(cluster, HEAD, viral, "ingest", "csv", f"{root}/corpus/posts.csv", *common)
        said = output(cluster, HEAD, viral, "backfill", "--feature-set", str(feature_set), *common)
        summary = json.loads(said.splitlines()[-1])
        assert summary["failed"] == 0, summary
        return stub, summary["wall_seconds"] - summary["start_seconds"]
    finally:
        cluster.down()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=160)
    parser.add_argument("--posts", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus, feature_set = Path(folder, "corpus"), Path(folder, "set.yaml")
        generate(corpus, CorpusSpec(posts=options.posts, seconds=(4.0, 6.0)), workers=2)
        feature_set.write_text(json.dumps(SET))
        found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for _ in range(options.repeat):
            for nodes, times in found.items():
                times.append(measure(nodes, corpus, options.tasks, feature_set))
    print(f"{'':<10} {'one node':>10} {'two nodes':>10} {'ratio':>6}")
    for place, name in enumerate(("stub", "backfill")):
        one, two = (statistics.median(time[place] for time in found[nodes]) for nodes in (1, 2))
        print(f"{name:<10} {one:>8.1f} s {two:>8.1f} s {one / two:>6.2f}")


if __name__ == "__main__":
    main()
