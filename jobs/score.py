"""Features → predictions of a model, for every post that has any."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import pyarrow as pa

from jobs.runtime.buckets import bucket_rows
from jobs.runtime.options import chosen_set, draft_options
from jobs.runtime.session import session
from jobs.scoring.files import score_files
from jobs.scoring.loaded import loaded_scorer, prediction_row
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import say
from viral.datasets.streams import from_table
from viral.errors import ConfigError, TableError
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.registry.registry import Registry
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import Parts, bits_for
from viral.tables.places import predictions_prefix
from viral.tables.run_log import recorded
from viral.tables.schemas import PREDICTIONS


@dataclass
class ScoreSummary:
    """How many posts were scored into which table, and how many had nothing to be scored from."""

    table: str
    model: str
    scored: int = 0
    without_features: int = 0


def run(
    store: Store,
    model: str,
    *,
    feature_set: FeatureSet | None = None,
    address: str | None = None,
    debug: bool = False,
) -> ScoreSummary:
    """Score all posts of a feature table: by default the one that the model was trained on.

    Raises:
        TableError: no such model, an empty table, or one of another feature set.
    """
    saved = Registry(store).load(model)
    scorer = Scorer(saved)
    chosen = feature_set or scorer.feature_set
    scorer.check(chosen)
    features = features_table(store, chosen)
    rows = sum(part.rows for part in features.parts())
    if not rows:
        raise TableError(f"the table {chosen.table} of {store.root} is empty: backfill first (viral backfill)")
    prefix, generation = predictions_prefix(str(saved)), uuid.uuid4().hex[:12]
    summary = ScoreSummary(prefix, str(saved))
    with session(address, debug=debug):
        for row in _scored(features, replaced.begin(store, prefix, PREDICTIONS, generation), str(saved), rows):
            summary.scored += row["scored"]
            summary.without_features += row["without"]
    replaced.commit(store, prefix, generation, {"model": str(saved), "feature_set": chosen.to_dict()})
    return summary


def _scored(features: Parts, predictions: Parts, model: str, rows: int) -> Iterator[dict[str, Any]]:
    bits = bits_for(rows)
    work = _ScoreBucket(features, predictions, model, bits)
    yield from bucket_rows(bits).map_batches(work, batch_size=1, batch_format="pyarrow").iter_rows()


@dataclass(frozen=True)
class _ScoreBucket:
    features: Parts
    predictions: Parts
    model: str
    bits: int

    def __call__(self, batch: pa.Table) -> pa.Table:
        scorer = loaded_scorer(self.features.store.root, self.model)
        counts = [self._bucket(scorer, bucket) for bucket in batch["bucket"].to_pylist()]
        return pa.Table.from_pylist([{"scored": scored, "without": without} for scored, without in counts])

    def _bucket(self, scorer: Scorer, bucket: int) -> tuple[int, int]:
        names = [stream.name for stream in scorer.streams]
        rows = self.features.read(self.bits, bucket, ["post_id", *names])
        present = from_table(scorer.streams, rows).present.any(axis=1)
        rows = rows.filter(pa.array(present))
        if rows.num_rows:
            scored = scorer.score_batch(from_table(scorer.streams, rows))
            pairs = zip(rows["post_id"].to_pylist(), scored, strict=True)
            table = pa.Table.from_pylist([prediction_row(post, each) for post, each in pairs], schema=PREDICTIONS)
            self.predictions.append(table, self.bits)
        return rows.num_rows, int((~present).sum())


@click.command()
@click.argument("files", nargs=-1)
@click.option("--model", default="fusion", show_default=True, help="NAME, NAME/VERSION or NAME@champion.")
@click.option("--all", "everything", is_flag=True, help="Score all posts of the model's feature table.")
@click.option("--feature-set", help="With --all: refuse unless the model was trained on this set.")
@click.option("--weights", help="With --feature-set: see `viral backfill`.")
@click.option(
    "--author-views",
    "views",
    multiple=True,
    type=click.IntRange(0),
    help="Of FILES: the views of an earlier post by the author, to compare with; several times. No model sees them.",
)
@draft_options
@on_ray
@common
def command(
    files: tuple[str, ...],
    model: str,
    everything: bool,
    feature_set: str | None,
    weights: str | None,
    views: tuple[int, ...],
    context: Context,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Score FILES, or with --all every post that has features."""
    store = Store.open(root)
    if everything == bool(files):
        raise ConfigError("name FILES to score, or --all for the posts of the root")
    if everything:
        chosen = chosen_set(feature_set, weights, store) if feature_set else None
        work = partial(run, store, model, feature_set=chosen, address=address, debug=debug)
        say(recorded(store, "score", lambda _: work()), as_json=as_json)
        return
    score_files(store, model, files, context, views, as_json=as_json)


if __name__ == "__main__":
    execute(command)
