"""Search by example: `python -m tests.bench.search [--vectors N] [--dim D] [--new N]`, from the repository.

It writes a feature table of random vectors into a temporary root (5 kB of disk per vector of 1,280 numbers), and
searches it as `viral search --like` does. The vectors are like pooled features of a network: mixtures of 48 directions
of falling weight, with noise, cut off at 0. It prints time and memory of the first index and of an update, recall at 10
against exact search, and the time of a query. CPU seconds are of all cores; wall times depend on other load.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.search.index import LocalFiles, opened
from viral.search.segments import unit
from viral.search.vector_index import VectorIndex, VectorSource, refresh_vectors
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable, log2_buckets_for

DIRECTIONS, NOISE = 48, 0.3
QUERIES, NEAREST = 200, 10
BLOCK = 20_000  # vectors that are made at once
Floats = npt.NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--new", type=int, default=10_000, help="vectors of the update")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(folder)
        source = VectorSource(store, "features/bench-0", "image", options.dim)
        posts = Posts(options.dim)
        queries = posts.vectors(QUERIES, seed=10**9)
        nearest = Nearest(queries)
        log2_buckets = log2_buckets_for(options.vectors)
        for start in range(0, options.vectors, 10 * BLOCK):
            posts.write(source.table, start, min(options.vectors, start + 10 * BLOCK), log2_buckets, nearest)
        measure(source, queries, nearest, "first index")
        posts.write(source.table, options.vectors, options.vectors + options.new, log2_buckets, nearest)
        measure(source, queries, nearest, f"update of {options.new:,}")


class Posts:
    """Posts with vectors, made from their numbers."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._directions = np.random.default_rng(0).standard_normal((DIRECTIONS, dim), dtype=np.float32)

    def vectors(self, count: int, seed: int) -> Floats:
        rng = np.random.default_rng(seed)
        weights = rng.standard_normal((count, DIRECTIONS), dtype=np.float32)
        weights *= (np.arange(1, DIRECTIONS + 1) ** -0.5).astype(np.float32)
        noise = NOISE * rng.standard_normal((count, self.dim), dtype=np.float32)
        return np.maximum(weights @ self._directions + noise, 0)

    def write(self, table: BucketedTable, start: int, end: int, log2_buckets: int, nearest: Nearest) -> None:
        blocks = []
        for first in range(start, end, BLOCK):
            vectors = self.vectors(min(BLOCK, end - first), seed=first + 1)
            nearest.add(first, vectors)
            blocks.append(rows(table.schema, first, vectors))
        table.append(pa.concat_tables(blocks), log2_buckets)


class Nearest:
    """Exact search: the numbers of the posts nearest to each query."""

    def __init__(self, queries: Floats) -> None:
        self._queries = unit(queries)
        self.similarity = np.full((len(queries), NEAREST), -np.inf, np.float32)
        self.numbers = np.full((len(queries), NEAREST), -1)

    def add(self, first: int, vectors: Floats) -> None:
        similarity = np.concatenate([self.similarity, self._queries @ unit(vectors).T], axis=1)
        numbers = np.concatenate(
            [self.numbers, np.tile(np.arange(first, first + len(vectors)), (len(similarity), 1))], 1
        )
        best = np.argpartition(-similarity, NEAREST, axis=1)[:, :NEAREST]
        self.similarity, self.numbers = (np.take_along_axis(array, best, 1) for array in (similarity, numbers))


def rows(schema: pa.Schema, first: int, vectors: Floats) -> pa.Table:
    """Rows of the feature table."""
    count, dim = vectors.shape
    offsets = pa.array(np.arange(0, count * dim + 1, dim), pa.int32())
    columns: dict[str, pa.Array] = {name: pa.nulls(count, schema.field(name).type) for name in schema.names}
    columns["post_id"] = pa.array([f"{first + number:019}" for number in range(count)])
    columns["attempt"] = pa.array(np.zeros(count), pa.int32())
    for name in ("status", "feature_set", "code_version"):
        columns[name] = pa.array(["ok"] * count)
    columns["finished_at"] = pa.array([datetime.now(UTC)] * count, schema.field("finished_at").type)
    columns["image"] = pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel()))
    return pa.table(columns, schema=schema)


def measure(source: VectorSource, queries: Floats, nearest: Nearest, name: str) -> None:
    """Bring the index up to date, search it, and print a line of each."""
    files = LocalFiles(source.store)
    with clock() as spent:
        placed = opened(files, lambda: refresh_vectors(source, files), None)
    assert placed is not None
    about, size = placed[0].about, sum(placed[0].sizes.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    time_spent = f"{spent['wall']:.0f} s, {spent['cpu']:.0f} s of CPU"
    print(f"{name}: {time_spent}, at most {peak:.2f} GiB of memory, {size / 2**30:.2f} GiB on disk")
    for part in about["segments"]:
        print(
            f"  segment of {part['rows']:,}: {part['probes']} lists per query, recall {part['recall']:.3f} of its own"
        )
    with clock() as spent:
        index = VectorIndex(*placed)
    print(f"  open     {spent['wall']:.2f} s, {spent['cpu']:.2f} s of CPU")
    index.search(unit(queries[:1])[0], NEAREST)
    hits, walls, cpus = 0, [], []
    for query, expected in zip(unit(queries), nearest.numbers, strict=True):
        with clock() as spent:
            found = index.search(query, NEAREST)
        hits += len({int(match.post_id) for match in found} & set(expected.tolist()))
        walls.append(1000 * spent["wall"])
        cpus.append(1000 * spent["cpu"])
    print(f"  recall   {hits / nearest.numbers.size:.4f} at {NEAREST}, of {len(queries)} queries")
    print(
        f"  query    {np.median(walls):.1f} ms (median), {np.quantile(walls, 0.95):.1f} ms (95 of 100), "
        f"{np.median(cpus):.1f} ms of CPU",
        flush=True,
    )
    files.close()


@contextmanager
def clock() -> Iterator[dict[str, float]]:
    """Seconds of the block, by the clock and of CPU."""
    spent = {"wall": -time.perf_counter(), "cpu": -time.process_time()}
    yield spent
    spent["wall"] += time.perf_counter()
    spent["cpu"] += time.process_time()


if __name__ == "__main__":
    main()
