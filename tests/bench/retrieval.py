"""What the outcomes of similar earlier posts by other authors add to a tuned LightGBM, on real posts.

`python -m tests.bench.retrieval ROOT [--split time_author] [--set all] [--seeds 0 1 2]`, where ROOT is one that
`parity.py` has filled. Added inputs: mean score of the nearest posts by the caption's embedding, how similar they are,
and how many there are. For a training post they come from earlier training posts, for others from earlier training and
validation posts; never from its own author. Differences are means over the seeds of LightGBM, with 90 % intervals by a
bootstrap over authors; above zero favours the added inputs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jobs.runtime.session import session
from jobs.training.labelled import labelled_features
from tests.bench.parity import Tested, judged
from tests.bench.vn_tiktok import SETS, Floats, best_of
from viral.datasets.streams import dense, from_table, streams_of
from viral.evaluation.splits import author_codes
from viral.models.ensemble.rows import Layout
from viral.storage.store import Store

NEIGHBOURS = (10, 50)  # few and close, or many and less noisy
BLOCK = 1000  # posts compared at a time: 80 MB of similarities with 10,000 others
WITH, WITHOUT = "with neighbours", "without"

Vectors = npt.NDArray[np.float32]
Times = npt.NDArray[np.int64]


def earlier_outcomes(
    vectors: Vectors, posted_at: Times, authors: npt.NDArray[np.int64], score: Floats, learnt: npt.NDArray[np.bool_]
) -> Floats:
    """Describe the nearest earlier posts by other authors.

    Args:
        vectors: of unit length, (N, dim); zeros for a post without one.
        posted_at: time of posting, in any unit.
        authors: code of each author.
        score: known outcomes; those of posts that are not `learnt` are not looked at.
        learnt: which posts may be neighbours.

    Returns:
        (N, 2 * len(NEIGHBOURS) + 1): for each number of neighbours the mean score, weighted by similarity, and the mean
        similarity; then the logarithm of how many posts there were to choose from. NaN without any.
    """
    known = np.flatnonzero(learnt & vectors.any(axis=1))
    columns = np.full((len(vectors), 2 * len(NEIGHBOURS) + 1), np.nan)
    for first in range(0, len(vectors), BLOCK):
        rows = np.arange(first, min(first + BLOCK, len(vectors)))
        similar = (vectors[rows] @ vectors[known].T).astype(np.float64)
        allowed = (posted_at[known] < posted_at[rows, None]) & (authors[known] != authors[rows, None])
        allowed &= vectors[rows].any(axis=1)[:, None]
        similar[~allowed] = -np.inf
        order = np.argsort(-similar, axis=1, kind="stable")[:, : max(NEIGHBOURS)]
        nearest = np.take_along_axis(similar, order, axis=1)
        columns[rows] = _described(nearest, score[known][order], allowed.sum(axis=1))
    return columns


def _described(nearest: Floats, scores: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    found = []
    for k in NEIGHBOURS:
        real = np.isfinite(nearest[:, :k])
        weights = np.where(real, np.exp(20 * (np.where(real, nearest[:, :k], 0) - 1)), 0)  # halves each 0.035
        total = weights.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append((weights * scores[:, :k]).sum(axis=1) / total)
            found.append(np.where(real, nearest[:, :k], 0).sum(axis=1) / real.sum(axis=1))
    return np.stack([*found, np.where(counts > 0, np.log1p(counts), np.nan)], axis=1)


def measure(store: Store, name: str, split: str, trials: int, seeds: list[int]) -> list[Tested]:
    """Train both on the same posts, one pair per seed."""
    feature_set = SETS[name]
    streams = dense(streams_of(feature_set))
    data, _ = labelled_features(store, feature_set, split, streams)
    rows = data.read(0, 0, ("train", "validation", "test"))
    batch, parts, y = from_table(streams, rows), rows["split"].to_numpy(), rows["target"].to_numpy()
    width = sum(stream.dim for stream in streams)
    x = Layout(streams, np.zeros(width, np.float32), np.ones(width, np.float32)).with_nan(batch)
    begun, posted = time.process_time(), rows["posted_at"].cast("int64").to_numpy()
    vectors, authors = batch.vectors["caption"], author_codes(rows)
    # A training post is described by training posts alone, as the later ones are not known when the model is trained.
    outcomes = earlier_outcomes(vectors, posted, authors, y, parts == "train")
    tested = parts == "test"
    outcomes[tested] = earlier_outcomes(vectors, posted, authors, y, parts != "test")[tested]
    print(f"neighbours of {len(rows)} posts: {time.process_time() - begun:.1f} s of CPU")
    more = np.concatenate([x, outcomes.astype(np.float32)], axis=1)
    return [
        Tested(
            y[tested],
            authors[tested],
            {
                WITHOUT: best_of(x, y, parts, "regression", trials, seed),
                WITH: best_of(more, y, parts, "regression", trials, seed),
            },
        )
        for seed in seeds
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--split", default="time_author", help="Label table of the root.")
    parser.add_argument("--set", choices=SETS, default="all")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    with session():
        seeds = measure(Store.open(args.root), args.set, args.split, args.trials, args.seeds)
    whole, drawn, bootstrap = judged(seeds)
    for figure, sign in (("spearman", 1), ("nmse", -1)):
        values = {name: whole[f"{name} {figure}"] for name in (WITHOUT, WITH)}
        gaps = drawn[f"{WITH} {figure}"] - drawn[f"{WITHOUT} {figure}"]
        gap = bootstrap.estimate(sign * (values[WITH] - values[WITHOUT]), sign * gaps)
        print(
            f"{figure}: {values[WITHOUT]:.4f} without, {values[WITH]:.4f} with; better by {gap.value:+.4f} "
            f"[{gap.low:+.4f}, {gap.high:+.4f}]"
        )


if __name__ == "__main__":
    main()
