"""Fusion, ensemble and their stack against a tuned LightGBM on 10,102 real posts: captions and numbers, no videos.

`python tests/bench/vn_tiktok.py FOLDER [--root ROOT] [--trials 16]`, where FOLDER has `raw_data.csv`. The target is
the log of the views; the test posts are newer and by other authors. First with everything known at posting time, then
without the author's followers. All intervals are 90 %, by a bootstrap over authors. Differences are paired: below zero
(RMSE) or above (Spearman, ROC-AUC) favours the stack, `within noise` is an interval that contains zero. With --root, a
second run reuses the features of the first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from jobs import backfill, evaluate, ingest, label, train_stacked
from jobs.ingesting.source import IngestSource
from jobs.runtime.session import session
from jobs.training.labelled import labelled_features
from viral.config import Settings
from viral.datasets.streams import dense, from_table, streams_of
from viral.evaluation.bootstrap.by_author import AuthorBootstrap, Estimate
from viral.evaluation.splits import SplitSpec, author_codes
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.models.ensemble.rows import Layout
from viral.scoring.scorer import Scorer
from viral.storage.store import Store

COLUMNS = {
    "post_id": "vid_id",
    "author_id": "user_name",
    "posted_at": "vid_postTime",
    "scraped_at": "vid_scrapeTime",
    "caption": "vid_caption",
    "hashtags": "vid_hashtags",
    "duration_seconds": "vid_duration",
    "sound_original": "music_originality",
    "views": "vid_nview",
    "likes": "vid_nlike",
    "comments": "vid_ncomment",
    "shares": "vid_nshare",
    "saves": "vid_nsave",
    "author_followers": "user_nfollower",
    "page_url": "vid_url",
}
CAPTION = {"name": "caption", "params": {"model": "multilingual-e5-small"}}
METADATA = {"name": "metadata", "params": {"author": False}}
SETS = {
    "all": FeatureSet.from_dict({"name": "words", "extractors": ["metadata", CAPTION, "ngrams"]}),
    "content": FeatureSet.from_dict({"name": "content", "extractors": [METADATA, CAPTION, "ngrams"]}),
}
LABEL, LIGHTGBM, STACK = "log_views", "LightGBM, tuned", "stacked"
FIGURES = ("rmse", "spearman", "roc_auc")
RESAMPLES = 1000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """What a model says of the test posts: (rows,) each."""

    score: Floats
    probability: Floats


@dataclass(frozen=True)
class Result:
    """For each model its figures, and for each other one by how much the stack's are higher."""

    posts: int
    figures: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]


def prepare(store: Store, file: Path) -> None:
    """The posts and their labels: later in time and by other authors."""
    ingest.run(store, IngestSource("csv", (str(file),), COLUMNS))
    label.run(store, LabelSpec(LABEL), SplitSpec("time_author"))


def measure(store: Store, feature_set: FeatureSet, *, trials: int, resamples: int = RESAMPLES) -> Result:
    """Extract, train all and judge them on the test posts. Call it within a session."""
    backfill.run(store, feature_set, Settings())
    stack = f"{feature_set.name}-{STACK}"
    fusion, ensemble = train_stacked.train_members(store, stack, feature_set, LABEL)
    stacked = train_stacked.run(store, train_stacked.StackedSpec(stack, (fusion, ensemble)))
    print(f"\n{stacked}\n{evaluate.run(store, stacked.model, resamples=100)}", flush=True)
    data, _ = labelled_features(store, feature_set, LABEL, streams_of(feature_set))
    rows = data.read(0, 0, ("train", "validation", "test"))
    test = rows["split"].to_numpy() == "test"
    tested = rows.filter(test)
    models = {"fusion": fusion, "ensemble": ensemble, STACK: stacked.model}
    said = {name: forecast(Scorer.load(store, model), tested) for name, model in models.items()}
    said[LIGHTGBM] = tuned(rows, data.streams, trials)
    y, viral = tested["target"].to_numpy(), tested["is_viral"].to_numpy(zero_copy_only=False)
    said["constant"] = constant(rows, len(y))
    return judged(said, y, viral, AuthorBootstrap(author_codes(tested), resamples))


def forecast(scorer: Scorer, rows: Any) -> Forecast:
    """What a saved model says."""
    scored = scorer.score_batch(from_table(scorer.streams, rows))
    return Forecast(np.array([each.score for each in scored]), np.array([each.probability for each in scored]))


def constant(rows: Any, count: int) -> Forecast:
    """The average of the training posts."""
    train = rows.filter(rows["split"].to_numpy() == "train")
    viral = train["is_viral"].to_numpy(zero_copy_only=False)
    return Forecast(np.full(count, train["target"].to_numpy().mean()), np.full(count, viral.mean()))


def tuned(rows: Any, streams: Any, trials: int) -> Forecast:
    """The best of many random settings, by the validation split, which also says when to stop; the same inputs."""
    # All numbers; identifiers of n-grams are none.
    streams = dense(streams)
    batch, parts = from_table(streams, rows), rows["split"].to_numpy()
    width = sum(stream.dim for stream in streams)
    x = Layout(streams, np.zeros(width, np.float32), np.ones(width, np.float32)).with_nan(batch)
    targets = {
        "regression": rows["target"].to_numpy(),
        "binary": rows["is_viral"].to_numpy(zero_copy_only=False).astype(float),
    }
    said = {objective: best_of(x, y, parts, objective, trials) for objective, y in targets.items()}
    return Forecast(said["regression"], said["binary"])


def best_of(
    x: npt.NDArray[np.float32], y: Floats, parts: npt.NDArray[np.str_], objective: str, trials: int, seed: int = 0
) -> Floats:
    train, held, test = (parts == part for part in ("train", "validation", "test"))
    fixed = {"objective": objective, "verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": seed}
    fixed |= {"feature_pre_filter": False, "bagging_freq": 1}
    posts = lightgbm.Dataset(x[train], y[train], params=fixed)
    known = lightgbm.Dataset(x[held], y[held], reference=posts)
    best, losses = np.inf, []
    for settings in draws(trials, seed):
        stop = lightgbm.early_stopping(50, verbose=False)
        booster = lightgbm.train({**fixed, **settings}, posts, 2000, valid_sets=[known], callbacks=[stop])
        ((loss,),) = (each.values() for each in booster.best_score.values())
        losses.append(loss)
        if loss < best:
            best, said = loss, booster.predict(x[test])
    print(
        f"LightGBM, {objective}: {trials} settings, validation loss {min(losses):.4f} to {max(losses):.4f}", flush=True
    )
    return said


def draws(trials: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        yield {
            "num_leaves": int(rng.choice([4, 7, 15, 31, 63])),
            "learning_rate": float(rng.choice([0.03, 0.06, 0.1])),
            "min_data_in_leaf": int(rng.choice([5, 10, 20, 50, 100])),
            "feature_fraction": float(rng.choice([0.1, 0.3, 0.6, 1.0])),
            "bagging_fraction": float(rng.choice([0.6, 0.8, 1.0])),
            "lambda_l2": float(rng.choice([0.0, 1.0, 10.0, 30.0])),
        }


def judged(said: dict[str, Forecast], y: Floats, viral: npt.NDArray[np.bool_], authors: AuthorBootstrap) -> Result:
    """Figures of each, and paired differences to the stack: all models are drawn the same authors."""

    def figures(model: Forecast, rows: Any) -> dict[str, float]:
        return {
            "rmse": float(root_mean_squared_error(y[rows], model.score[rows])),
            "spearman": float(spearmanr(y[rows], model.score[rows]).statistic) if np.ptp(model.score) else np.nan,
            "roc_auc": float(roc_auc_score(viral[rows], model.probability[rows])),
        }

    whole = {name: figures(each, slice(None)) for name, each in said.items()}
    drawn = {name: authors.replicates(partial(figures, each)) for name, each in said.items()}

    def estimates(name: str, base: str | None = None) -> dict[str, Estimate]:
        return {
            each: authors.estimate(
                whole[name][each] - (whole[base][each] if base else 0),
                drawn[name][each] - (drawn[base][each] if base else 0),
            )
            for each in FIGURES
        }

    others = [name for name in said if name != STACK]
    return Result(len(y), {name: estimates(name) for name in said}, {name: estimates(STACK, name) for name in others})


def interval(estimate: Estimate, sign: str = "") -> str:
    """An estimate with its interval; of a signed difference only the interval if it contains zero."""
    if estimate.low is None or estimate.high is None or estimate.value is None:
        return "-"
    value = "within noise" if sign and estimate.low <= 0 <= estimate.high else f"{estimate.value:{sign}.3f}"
    return f"{value} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def table(title: str, result: Result) -> None:
    print(f"\n{title}: {result.posts} test posts\n{'':28}" + "".join(f"{name:>32}" for name in FIGURES))
    for model, figures in result.figures.items():
        print(f"{model:28}" + "".join(f"{interval(figures[name]):>32}" for name in FIGURES))
    for model, figures in result.differences.items():
        print(
            f"{'stacked - ' + model:28}" + "".join(f"{interval(figures[name], '+'):>32}" for name in FIGURES),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, session():
        store = Store.open(args.root or folder)
        prepare(store, args.folder / "raw_data.csv")
        for name in args.sets:
            table(name, measure(store, SETS[name], trials=args.trials))


if __name__ == "__main__":
    main()
