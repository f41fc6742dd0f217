"""The fused network, the ensemble and their stack against a tuned LightGBM and n-grams alone, over several seeds.

`python -m tests.bench.parity FOLDER --root ROOT [--split time_author] [--sets all content] [--seeds 0 1 2 3 4]`, where
FOLDER has the `raw_data.csv` of `vn_tiktok.py`. Spearman and nMSE of the log of the views; differences are means over
the seeds, with 90 % intervals by a bootstrap over authors, each drawn in all seeds alike. The seed is that of the
training, and of the split where that has one (`--split author`). Predictions are kept in ROOT, so that a run with more
seeds or sets goes on from an earlier one.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from jobs import backfill, ingest, label, train_ensemble, train_network, train_stacked
from jobs.ingesting.source import IngestSource
from jobs.runtime.session import session
from jobs.train_ensemble import EnsembleSpec
from jobs.training.labelled import labelled_features
from jobs.training.specs import TrainSpec
from tests.bench.vn_tiktok import COLUMNS, SETS, Floats, best_of, forecast
from viral.config import Settings
from viral.datasets.streams import dense, from_table, streams_of
from viral.evaluation.bootstrap.by_author import AuthorBootstrap
from viral.evaluation.splits import Kind, SplitSpec, author_codes
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec
from viral.models.ensemble.rows import Layout
from viral.models.train_config import TrainConfig
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables.places import posts_table

LIGHTGBM, FUSION, ENSEMBLE, STACK, WORDS = "LightGBM, tuned", "fusion", "ensemble", "stack", "n-grams alone"
RESAMPLES = 1000
PAIRS = ((FUSION, LIGHTGBM), (ENSEMBLE, LIGHTGBM), (STACK, LIGHTGBM), (STACK, WORDS), (ENSEMBLE, WORDS))


@dataclass(frozen=True)
class Tested:
    """Test posts of one seed: truth, code of the author in the whole corpus, and the score by each model, (rows,)."""

    y: Floats
    authors: npt.NDArray[np.int64]
    scores: Mapping[str, Floats]


def measure(store: Store, feature_set: FeatureSet, kind: Kind, seed: int, trials: int, *, fast: bool) -> Tested:
    """Label, train all and score the test posts; without the ensemble and the stack if `fast`."""
    name = f"{kind}-{seed}" if kind != "time_author" else kind
    label.run(store, LabelSpec("log_views"), SplitSpec(kind, seed=seed), name=name)
    model = f"{feature_set.name}-{kind}-{seed}"
    words = train_ensemble.run(store, EnsembleSpec(f"{model}-words", feature_set, name, ("ngrams",), seed=seed)).model
    models = {WORDS: words}
    network = TrainSpec(f"{model}-fusion", feature_set, name, workers=0)
    models[FUSION] = train_network.run(store, network, TrainConfig(seed=seed)).model
    if not fast:
        models[ENSEMBLE] = train_ensemble.run(store, EnsembleSpec(f"{model}-trees", feature_set, name, seed=seed)).model
        stack = train_stacked.StackedSpec(f"{model}-stack", (models[FUSION], models[ENSEMBLE]))
        models[STACK] = train_stacked.run(store, stack).model
    data, _ = labelled_features(store, feature_set, name, streams_of(feature_set))
    rows = data.read(0, 0, ("train", "validation", "test"))
    tested = rows.filter(rows["split"].to_numpy() == "test")
    scores = {name: forecast(Scorer.load(store, saved), tested).score for name, saved in models.items()}
    scores[LIGHTGBM] = trees(rows, feature_set, trials, seed)
    everyone = posts_table(store).read(columns=["post_id", "author_id"])
    codes = dict(zip(everyone["post_id"].to_pylist(), author_codes(everyone).tolist(), strict=True))
    authors = np.array([codes[post] for post in tested["post_id"].to_pylist()])
    return Tested(tested["target"].to_numpy(), authors, scores)


def trees(rows: Any, feature_set: FeatureSet, trials: int, seed: int) -> Floats:
    """The best of many random settings on the same numbers, by the validation split."""
    streams = dense(streams_of(feature_set))
    width = sum(stream.dim for stream in streams)
    x = Layout(streams, np.zeros(width, np.float32), np.ones(width, np.float32)).with_nan(from_table(streams, rows))
    return best_of(x, rows["target"].to_numpy(), rows["split"].to_numpy(), "regression", trials, seed)


def table(title: str, seeds: Sequence[Tested]) -> None:
    """Print the means over the seeds, and paired differences."""
    print(f"\n{title}: {len(seeds)} seeds, {np.mean([len(seed.y) for seed in seeds]):.0f} test posts each")
    whole, drawn, bootstrap = judged(seeds)
    for name in seeds[0].scores:
        print(f"{name:34}" + "".join(f"{figure} {whole[f'{name} {figure}']:.4f}   " for figure in ("spearman", "nmse")))
    for first, second in PAIRS:
        if {first, second} <= seeds[0].scores.keys():
            # Of nMSE the other way round, so that above zero is good for the first.
            for figure, sign in (("spearman", 1), ("nmse", -1)):
                names = f"{first} {figure}", f"{second} {figure}"
                value, gaps = whole[names[0]] - whole[names[1]], drawn[names[0]] - drawn[names[1]]
                gap = bootstrap.estimate(sign * value, sign * gaps)
                print(f"{first} ahead of {second}, {figure}: {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")


def judged(seeds: Sequence[Tested]) -> tuple[dict[str, float], dict[str, Floats], AuthorBootstrap]:
    """Figures of each model, their replicates and the bootstrap: an author is drawn in all seeds."""
    which = np.repeat(np.arange(len(seeds)), [len(seed.y) for seed in seeds])
    y = np.concatenate([seed.y for seed in seeds])
    scores = {name: np.concatenate([seed.scores[name] for seed in seeds]) for name in seeds[0].scores}

    def figures(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        parts = [rows[which[rows] == seed] for seed in range(len(seeds))]
        found = {}
        for name, score in scores.items():
            found[f"{name} spearman"] = float(np.mean([spearmanr(y[i], score[i]).statistic for i in parts]))
            found[f"{name} nmse"] = float(np.mean([((y[i] - score[i]) ** 2).mean() / y[i].var() for i in parts]))
        return found

    bootstrap = AuthorBootstrap(np.concatenate([seed.authors for seed in seeds]), RESAMPLES)
    return figures(np.arange(len(y))), bootstrap.replicates(figures), bootstrap


def kept(store: Store, key: str) -> Tested | None:
    """Predictions of an earlier run."""
    if not store.exists(key):
        return None
    arrays = dict(np.load(io.BytesIO(store.read(key))))
    return Tested(arrays.pop("y"), arrays.pop("authors"), arrays)


def keep(store: Store, key: str, tested: Tested) -> None:
    sink = io.BytesIO()
    np.savez(sink, y=tested.y, authors=tested.authors, **tested.scores)
    store.write(key, sink.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", choices=get_args(Kind), default="time_author")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--fast", action="store_true", help="Without the ensemble and the stack.")
    args = parser.parse_args()
    args.root.mkdir(parents=True, exist_ok=True)
    store = Store.open(args.root)
    with session():
        ingest.run(store, IngestSource("csv", (str(args.folder / "raw_data.csv"),), COLUMNS))
        for name in args.sets:
            feature_set, seeds = SETS[name], []
            backfill.run(store, feature_set, Settings())
            for seed in args.seeds:
                key = f"parity/{feature_set.fingerprint}-{args.split}-{seed}{'-fast' if args.fast else ''}.npz"
                tested = kept(store, key)
                if tested is None:
                    tested = measure(store, feature_set, args.split, seed, args.trials, fast=args.fast)
                    keep(store, key, tested)
                seeds.append(tested)
            table(f"{name}, {args.split}", seeds)


if __name__ == "__main__":
    main()
