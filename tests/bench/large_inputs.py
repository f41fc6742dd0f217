"""CPU seconds of functions whose cost has to stay nearly linear, on large synthetic inputs.

`python tests/bench/large_inputs.py [--rounds 3]`
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from report import ROUNDS, interleave, print_table

from viral.evaluation.baselines.baselines import Inputs, fit_predict
from viral.evaluation.splits import SplitSpec, assign
from viral.labels import LabelSpec, fit
from viral.sources import read


def split_posts() -> dict[str, Callable[[], object]]:
    """A million posts by 400,000 authors, under each kind of split."""
    rng = np.random.default_rng(0)
    posts = pa.table(
        {
            "post_id": pa.array(np.arange(10**6)).cast(pa.string()),
            "author_id": pa.array(rng.integers(400_000, size=10**6)).cast(pa.string()),
            "posted_at": pa.array(rng.integers(10**14, size=10**6)).cast(pa.timestamp("us", tz="UTC")),
        }
    )
    return {
        f"split of 1,000,000 posts: {kind}": partial(assign, posts, SplitSpec(kind, gap_days=7))
        for kind in ("time_author", "time", "author", "random")
    }


def one_author() -> Callable[[], object]:
    """The label over_author, of one author with 100,000 posts."""
    size = 100_000
    moments = pa.array(np.arange(size) * 10**9 + 10**15).cast(pa.timestamp("us", "UTC"))
    views = pa.array(np.random.default_rng(0).integers(0, 10**6, size))
    posts = pa.table({"author_id": pa.array(["a"] * size), "posted_at": moments, "views": views})
    return partial(fit, LabelSpec("over_author"), posts, np.ones(size, bool))


def busy_author() -> Callable[[], object]:
    """The baseline author_earlier_median, where one of 50,000 authors wrote half of 200,000 posts."""
    size, rng = 200_000, np.random.default_rng(0)
    y, train, none = rng.normal(size=size), rng.random(size) < 0.8, np.full(size, np.nan)
    authors = rng.integers(2, size=size) * rng.integers(50_000, size=size)
    inputs = Inputs(y, y > 1, none, none, none, authors, np.arange(size) * 60.0, none[:, None], [""] * size, {})
    return partial(fit_predict, "author_earlier_median", inputs, train, ~train)


def csv_rows() -> Callable[[], object]:
    """A CSV file of 100,000 rows with numbers written for people."""
    row = '{},user{},{}.5K,"{},234",2025-05-21 09:44:45,00:31,"a caption, with #fyp and #viral"'
    rows = "\n".join(row.format(7_500_000_000_000_000_000 + n, n % 5000, n % 900, n % 900 + 1) for n in range(100_000))
    content = ("post_id,author_id,views,likes,posted_at,duration_seconds,caption\n" + rows).encode()
    return lambda: list(read("f.csv", lambda _: io.BytesIO(content)))


def measure(works: dict[str, Callable[[], object]]) -> Iterator[tuple[str, float]]:
    """Run each once."""
    for side, work in works.items():
        start = time.process_time()
        work()
        yield side, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    works = {
        **split_posts(),
        "label over_author, 100,000 posts of one author": one_author(),
        "baseline author_earlier_median, 200,000 posts": busy_author(),
        "100,000 CSV rows": csv_rows(),
    }
    print_table(interleave(lambda: measure(works), args.rounds), digits=2)


if __name__ == "__main__":
    main()
