"""Time the scorecard of a large test split: metrics, intervals, JSON and page.

`python tests/bench/scorecard.py [--posts 100000] [--authors 10000] [--resamples 1000] [--folder FOLDER]`

The posts are synthetic. Most authors have a few, some have thousands; the model and eight baselines are arrays. One is
constant and some have few distinct values, since ties are the harder case.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from viral.evaluation.evaluate import evaluate
from viral.evaluation.labels import Labels
from viral.evaluation.report.page import render
from viral.evaluation.report.report import About, Report, Split, SplitPart
from viral.models.predictions import PredictionBatch

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LargeTest:
    """A large test split with the predictions of each system."""

    labels: Labels
    model: PredictionBatch
    baselines: dict[str, PredictionBatch]


def make_test(posts: int, authors: int) -> LargeTest:
    """Scores that follow their authors a little. Author number r has about 1 / r of the posts of the first."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(10, authors + 10)
    who = np.append(np.arange(min(authors, posts)), rng.choice(authors, max(0, posts - authors), p=share / share.sum()))
    y = 8 + rng.normal(size=authors)[who] + rng.normal(size=posts)
    model = predicted(y, 1.5, rng)
    noises = {"constant": np.inf, "hour_only": 8.0, "duration_only": 6.0, "followers_only": 3.0, "author_median": 2.0}
    baselines = {name: predicted(y, noise, rng, digits=1) for name, noise in noises.items()}
    baselines |= {
        name: predicted(y, noise, rng) for name, noise in (("metadata_gbm", 2.0), ("text", 4.0), ("audio", 5.0))
    }
    labels = Labels([f"post-{row}" for row in range(posts)], who, y, y > np.quantile(y, 0.75))
    return LargeTest(
        labels, PredictionBatch(model.probability, model.score, model.score - 2, model.score + 2), baselines
    )


def predicted(y: Floats, noise: float, rng: np.random.Generator, digits: int = 15) -> PredictionBatch:
    """Predictions from noisy scores; with infinite noise they are the mean."""
    weight = 1 / (1 + noise**2)
    seen = y.mean() + weight * (y - y.mean() + (rng.normal(size=len(y)) * noise if weight else 0.0))
    return PredictionBatch(np.round(1 / (1 + np.exp(1 - (seen - y.mean()))), digits), np.round(seen, digits))


def scorecard(test: LargeTest, resamples: int) -> Report:
    """Evaluate all systems."""
    posts, authors = len(test.labels.y), len(np.unique(test.labels.authors))
    about = About(
        title="A large test",
        model="made-up 1",
        viral="the top 25 %",
        score="log views",
        feature_set="none",
        corpus="made-up posts",
        synthetic=True,
        data_hash="none",
        code_version="0",
    )
    split = Split(
        kind="time", gap_days=0, seed=0, parts=(SplitPart(name="test", posts=posts, authors=authors, viral=0.25),)
    )
    options = {"quartile": float(np.quantile(test.labels.y, 0.75)), "log_scale": True, "resamples": resamples}
    return evaluate(test.labels, test.model, test.baselines, about=about, split=split, **options)


def main() -> None:
    """Print the times and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--authors", type=int, default=10_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    test = make_test(arguments.posts, arguments.authors)
    began, used = time.perf_counter(), time.process_time()
    report = scorecard(test, arguments.resamples)
    metrics = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        target = arguments.folder or Path(folder)
        (target / "scorecard.json").write_text(report.to_json(), encoding="utf-8")
        (target / "scorecard.html").write_text(render(report), encoding="utf-8")
    whole, used = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    sizes = np.bincount(test.labels.authors)
    print(
        f"posts {arguments.posts:,}, authors {arguments.authors:,} (of {sizes.min()} to {sizes.max():,} posts), "
        f"systems {1 + len(test.baselines)}, resamples {arguments.resamples:,}, cores {os.cpu_count()}\n"
        f"{'metrics and intervals':28}{metrics:8.1f} s\n{'with JSON and page':28}{whole:8.1f} s\n"
        f"{'processor time':28}{used:8.1f} s\n{'peak memory':28}{peak:8.2f} GiB"
    )
    spearman = report.systems[0].metrics["spearman"]
    print(f"Spearman of the model: {spearman.value:.4f} [{spearman.low:.4f}, {spearman.high:.4f}]")


if __name__ == "__main__":
    main()
