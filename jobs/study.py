"""`viral study`: evaluate one kind of model under every split, from a scraped file to a page with all results."""

from __future__ import annotations

import click

from jobs import backfill, ingest
from jobs.ingesting.source import IngestSource, own_map
from jobs.runtime.options import resolve_feature_set
from jobs.runtime.session import session
from jobs.studying.report import Scorecards, StudySummary, build_study, summarise
from jobs.studying.spec import StudySpec
from jobs.studying.steps import KINDS, Experiment, Recipe, StudyRunner
from viral.config import Settings, load
from viral.console.commands import execute
from viral.console.options import ray_options, root_options
from viral.console.output import ProgressCallback, print_summary, progress_bar
from viral.errors import ConfigError, UsageError
from viral.evaluation.report.report import Report
from viral.evaluation.study.page import render
from viral.extractors.feature_set import FeatureSet
from viral.labels import DEFINITIONS, LabelSpec
from viral.models.ensemble.member import MEMBERS
from viral.storage.store import Store
from viral.tables.places import check_name, posts_table
from viral.tables.run_log import RunRecorder, record_run


def run(
    store: Store,
    spec: StudySpec,
    settings: Settings,
    *,
    address: str | None = None,
    progress: ProgressCallback = lambda _done, _all: None,
    debug: bool = False,
) -> StudySummary:
    """Ingest `spec.source` if set, extract features, label, train and evaluate under every split, and write the page.

    After a kill, the same call continues: it reuses models and scorecards of the same data.

    Raises:
        TableError, ConfigError: the posts cannot be split as the headline needs, or too few are left to train on.
    """
    prefix = f"studies/{check_name(spec.name)}"
    with session(address, store, debug=debug):
        if spec.source:
            ingest.run(store, spec.source)
        feature_set = spec.feature_set or default_feature_set(store)
        # Posts that have all features are skipped, so a study that is run again reads no video twice.
        backfill.run(store, feature_set, settings)
        runner = StudyRunner(store, prefix, feature_set, spec.recipe, spec.resamples)
        cards, skipped = _evaluate(spec, runner, progress)
        study = build_study(spec, store, cards, skipped)
    store.write(f"{prefix}/study.json", study.to_json().encode())
    store.write(f"{prefix}/study.html", render(study).encode())
    return summarise(store, prefix, study, len(cards), runner.reused)


def default_feature_set(store: Store) -> FeatureSet:
    """Return the set `light`, or `words` if no post has a video."""
    tables = posts_table(store).scan(["video_uri"])
    return FeatureSet.named("light" if any(rows["video_uri"].null_count < len(rows) for rows in tables) else "words")


def _evaluate(spec: StudySpec, runner: StudyRunner, progress: ProgressCallback) -> tuple[Scorecards, dict[str, str]]:
    """Return the scorecards of all experiments, and the error of each failed one by model name."""
    cards: dict[Experiment, tuple[Report, str]] = {}
    skipped = {}
    for count, experiment in enumerate(spec.experiments):
        progress(count, len(spec.experiments))
        try:
            cards[experiment] = runner.evaluate(experiment)
        # A label or split that does not fit these posts costs one line of the page, not the study.
        except UsageError as error:
            if experiment == spec.headline:  # the page compares the others with it
                raise
            skipped[experiment.model_name(spec.recipe.kind)] = str(error)
    progress(len(spec.experiments), len(spec.experiments))
    return cards, skipped


@click.command()
@click.option("--name", default="study", show_default=True, help="Results go to studies/NAME.")
@click.option(
    "--source",
    "scraped",
    nargs=2,
    metavar="SOURCE FILE",
    help="Posts to ingest first: a name from `viral ingest --list` or a format, then a file or a folder of files.",
)
@click.option("--map-file", type=click.Path(dir_okay=False), help="YAML map of the columns.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    default=("log_views",),
    show_default=True,
    type=click.Choice(DEFINITIONS),
    help="Label. Repeatable: the first is studied under every split, the others under the headline split only.",
)
@click.option("--top", default=0.25, show_default=True, help="Fraction of posts that counts as viral.")
@click.option("--gap-days", default=0.0, show_default=True, help="For splits by time: days left out before the cut.")
@click.option("--model", "kind", default="ensemble", show_default=True, type=click.Choice(KINDS))
@click.option(
    "--member", "members", multiple=True, metavar="MEMBER", help=f"For ensemble: {', '.join(MEMBERS)}; repeatable."
)
@click.option("--feature-set", help="By default light, or words if no post has a video.")
@click.option("--weights", help="With --feature-set: see `viral backfill`.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Seeds for the headline's model.")
@click.option("--resamples", default=200, show_default=True, type=click.IntRange(100), help="Bootstrap resamples.")
@ray_options
@root_options
def command(
    name: str,
    scraped: tuple[str, str] | None,
    map_file: str | None,
    labels: tuple[str, ...],
    top: float,
    gap_days: float,
    kind: str,
    members: tuple[str, ...],
    feature_set: str | None,
    weights: str | None,
    seeds: int,
    resamples: int,
    root: str,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Train and evaluate one kind of model under every split, and compare the splits: studies/NAME/study.html.

    Test posts: newer posts by other authors (the headline), newer posts, posts by other authors, random posts. The page
    also shows the headline's model with other seeds, and trained on fractions of the authors.
    """
    store = Store.open(root)
    spec = StudySpec(
        name,
        tuple(LabelSpec(definition, top) for definition in labels),
        gap_days=gap_days,
        seeds=seeds,
        resamples=resamples,
        recipe=Recipe(kind, tuple(dict.fromkeys(members)) or tuple(MEMBERS)),
        feature_set=_feature_set(store, feature_set, weights),
        source=source_of(scraped, map_file),
    )

    def work(record: RunRecorder) -> StudySummary:
        """Run the study, with its progress on the terminal and in the run log."""
        progress = record.progress_with(progress_bar("study", unit="model"))
        return run(store, spec, load(), address=address, progress=progress, debug=debug)

    print_summary(record_run(store, "study", work), as_json=as_json)


def _feature_set(store: Store, feature_set: str | None, weights: str | None) -> FeatureSet | None:
    if weights and not feature_set:
        raise ConfigError("--weights is for a feature set: select one with --feature-set")
    return resolve_feature_set(feature_set, weights, store) if feature_set else None


def source_of(scraped: tuple[str, str] | None, map_file: str | None) -> IngestSource | None:
    """Return the source to ingest, if any. Raises ConfigError: unknown kind, or `--map-file` without `--source`."""
    if scraped is None:
        if map_file:
            raise ConfigError("--map-file is for --source: add --source csv FILE")
        return None
    kind, file = scraped
    return IngestSource(kind, (file,), own_map((), map_file) or None)


if __name__ == "__main__":
    execute(command)
