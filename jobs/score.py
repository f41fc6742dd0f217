"""`viral score`: score files, or all posts of a feature table into the predictions table."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial

import click
import pyarrow as pa
from click.core import ParameterSource

from jobs.runtime.buckets import map_buckets
from jobs.runtime.options import Count, draft_options, photo_set_options, resolve_feature_set
from jobs.runtime.session import session
from jobs.scoring.endpoint import score_by_endpoint
from jobs.scoring.files import photo_set_draft, score_files, video_drafts
from jobs.scoring.loaded import loaded_scorer, prediction_row
from viral.console.commands import execute
from viral.console.options import no_root_error, optional_root_options, ray_options
from viral.console.output import print_summary
from viral.datasets.streams import from_table
from viral.errors import ConfigError
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table, missing_table_error
from viral.registry.registry import Registry
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import BucketedTable, log2_buckets_for
from viral.tables.places import predictions_prefix
from viral.tables.run_log import record_run
from viral.tables.schemas import PREDICTIONS

DEFAULT_MODEL = "fusion"  # the name that `viral train fusion` gives


@dataclass
class ScoreSummary:
    """Number of posts scored into `table`, and of posts without any of the model's inputs."""

    table: str
    model: str
    scored: int = 0
    without_features: int = 0


def run(
    store: Store, model: str, *, feature_set: FeatureSet | None = None, address: str | None = None, debug: bool = False
) -> ScoreSummary:
    """Score all posts of a feature table; by default, that of the feature set on which the model was trained.

    Raises:
        TableError: no such model, an empty table, or another feature set than the model's.
    """
    saved = Registry(store).load(model)
    scorer = Scorer(saved)
    feature_set = feature_set or scorer.feature_set
    # Vectors of another feature set have other meanings under the same names: refuse before Ray starts.
    scorer.check(feature_set)
    features = features_table(store, feature_set)
    rows = features.stored_rows()
    if not rows:
        raise missing_table_error(store, feature_set)
    prefix, version = predictions_prefix(str(saved)), uuid.uuid4().hex[:12]
    summary = ScoreSummary(prefix, str(saved))
    with session(address, store, debug=debug):
        log2_buckets = log2_buckets_for(rows)
        predictions = replaced.begin(store, prefix, PREDICTIONS, version)
        work = _ScoreBucket(features, predictions, str(saved), log2_buckets)
        for scored, without_features in map_buckets(work, log2_buckets):
            summary.scored += scored
            summary.without_features += without_features
    replaced.commit(store, prefix, version, {"model": str(saved), "feature_set": feature_set.to_dict()})
    return summary


@dataclass(frozen=True)
class _ScoreBucket:
    features: BucketedTable
    predictions: BucketedTable
    model: str
    log2_buckets: int

    def __call__(self, bucket: int) -> tuple[int, int]:
        # By name, not as an attribute: each worker loads the model once instead of receiving it with every task.
        scorer = loaded_scorer(self.features.store.root, self.model)
        names = [stream.name for stream in scorer.streams]
        rows = self.features.read(self.log2_buckets, bucket, ["post_id", *names])
        # A post whose row failed has no vector at all; a score from nothing would be the average for everyone.
        present = from_table(scorer.streams, rows).present.any(axis=1)
        rows = rows.filter(pa.array(present))
        if rows.num_rows:
            scores = zip(rows["post_id"].to_pylist(), scorer.score_batch(from_table(scorer.streams, rows)), strict=True)
            table = pa.Table.from_pylist([prediction_row(post, score) for post, score in scores], schema=PREDICTIONS)
            self.predictions.append(table, self.log2_buckets)
        return rows.num_rows, int((~present).sum())


@click.command()
@click.argument("files", nargs=-1)
@click.option("--model", help="NAME, NAME/VERSION or NAME@champion; default: fusion, or the endpoint's first model.")
@click.option("--endpoint", metavar="URL", help="Score FILES by the endpoint at this address, and not in this process.")
@click.option("--all", "all_posts", is_flag=True, help="Score all posts of the model's feature table.")
@photo_set_options
@click.option("--feature-set", help="With --all: fail unless the model was trained on this set.")
@click.option("--weights", help="With --feature-set: see `viral backfill`.")
@click.option(
    "--author-views",
    "views",
    multiple=True,
    type=Count(),
    help="Views of an earlier post by the author of FILES, to compare the score with; repeatable. No model sees them.",
)
@draft_options
@ray_options
@optional_root_options
def command(
    files: tuple[str, ...],
    model: str | None,
    endpoint: str | None,
    all_posts: bool,
    photos: bool,
    sound: str | None,
    feature_set: str | None,
    weights: str | None,
    views: tuple[int, ...],
    context: Context,
    root: str | None,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Score FILES, or with --all every post that has features."""
    if endpoint is not None:
        _check_endpoint_options(files)
        score_by_endpoint(endpoint, model, files, context, views, as_json=as_json)
        return
    if root is None:
        raise no_root_error()
    store, model = Store.open(root), model or DEFAULT_MODEL
    # Exactly one of the two.
    if all_posts == bool(files):
        raise ConfigError("name FILES to score, or --all for the posts of the root")
    if (all_posts and photos) or (sound and not photos):
        raise ConfigError("--photos takes the slides of one photo set as FILES, and --sound its sound")
    if all_posts:
        expected = resolve_feature_set(feature_set, weights, store) if feature_set else None
        work = partial(run, store, model, feature_set=expected, address=address, debug=debug)
        print_summary(record_run(store, "score", lambda _: work()), as_json=as_json)
        return
    drafts = [photo_set_draft(files, sound, context)] if photos else video_drafts(files, context)
    score_files(store, model, drafts, views, as_json=as_json)


def _check_endpoint_options(files: tuple[str, ...]) -> None:
    """Raise ConfigError for options that say something about this process, or without FILES."""
    call = click.get_current_context()
    for name in ("all_posts", "photos", "sound", "feature_set", "weights", "address", "root"):
        if call.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(parameter.opts[0] for parameter in call.command.params if parameter.name == name)
            raise ConfigError(f"{option} does not go with --endpoint, which scores video files: leave one out")
    if not files:
        raise ConfigError("name FILES to score by the endpoint")


if __name__ == "__main__":
    execute(command)
