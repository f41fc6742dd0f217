"""One corpus through every split, from the scraped file to the page that says how much each split flatters."""

from __future__ import annotations

import click
import pyarrow.compute as pc

from jobs import backfill, ingest
from jobs.backfill import Progress
from jobs.ingest import column_map
from jobs.runtime.options import chosen_set
from jobs.runtime.session import session
from jobs.studying.report import Cards, StudySummary, study_of, summary_of
from jobs.studying.spec import StudySpec
from jobs.studying.steps import KINDS, Cell, Recipe, Steps
from viral.config import Settings, load
from viral.console.commands import execute
from viral.console.options import common, on_ray
from viral.console.output import bar, say
from viral.errors import ConfigError, UsageError
from viral.evaluation.report.report import Report
from viral.evaluation.study.page import render
from viral.extractors.feature_set import FeatureSet
from viral.labels import DEFINITIONS, LabelSpec
from viral.models.ensemble.member import MEMBERS
from viral.sources import SOURCES
from viral.storage.store import Store
from viral.tables.places import check_name, posts_table
from viral.tables.run_log import Recorder, recorded


def run(
    store: Store,
    spec: StudySpec,
    settings: Settings,
    *,
    address: str | None = None,
    progress: Progress = lambda _done, _all: None,
    debug: bool = False,
) -> StudySummary:
    """Ingest if there is something to, extract, then label, train and judge under every split; write the page.

    Killed and run again, it goes on: models of the same data that are there, and their scorecards, stay.

    Raises:
        TableError, ConfigError: the headline split cannot be made of these posts, or too little is left to learn from.
    """
    place = f"studies/{check_name(spec.name)}"
    with session(address, debug=debug):
        if spec.source:
            ingest.run(store, spec.source)
        feature_set = spec.feature_set or usual_set(store)
        backfill.run(store, feature_set, settings)
        steps = Steps(store, place, feature_set, spec.recipe, spec.resamples)
        cards, skipped = _judged(spec, steps, progress)
        study = study_of(spec, store, cards, skipped)
    store.write(f"{place}/study.json", study.to_json().encode())
    store.write(f"{place}/study.html", render(study).encode())
    return summary_of(store, place, study, len(cards), steps.reused)


def usual_set(store: Store) -> FeatureSet:
    """`light`, or where no post has a video `words`."""
    seen = (bool(pc.any(pc.is_valid(rows["video_uri"])).as_py()) for rows in posts_table(store).scan(["video_uri"]))
    return FeatureSet.named("light" if any(seen) else "words")


def _judged(spec: StudySpec, steps: Steps, progress: Progress) -> tuple[Cards, dict[str, str]]:
    """The scorecards of all models, and why there are not more."""
    cards: dict[Cell, tuple[Report, str]] = {}
    skipped = {}
    for count, cell in enumerate(spec.cells):
        progress(count, len(spec.cells))
        try:
            cards[cell] = steps.judged(cell)
        except UsageError as error:
            if cell == spec.headline:  # without it there is nothing to compare with
                raise
            skipped[cell.model(spec.recipe.kind)] = str(error)
    progress(len(spec.cells), len(spec.cells))
    return cards, skipped


@click.command()
@click.option("--name", default="study", show_default=True, help="Of the folder studies/NAME.")
@click.option(
    "--source",
    "scraped",
    nargs=2,
    metavar="SOURCE FILE",
    help=f"Ingest that first: one of {', '.join(SOURCES)}, and a file or a folder of them.",
)
@click.option("--map-file", type=click.Path(dir_okay=False), help="For csv, parquet: which of their columns is which.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    default=("log_views",),
    show_default=True,
    type=click.Choice(DEFINITIONS),
    help="Several times: the first is studied whole, the others beside a constant.",
)
@click.option("--top", default=0.25, show_default=True, help="The fraction of posts that counts as viral.")
@click.option("--gap-days", default=0.0, show_default=True, help="Where time divides: days left out before the cut.")
@click.option("--model", "kind", default="ensemble", show_default=True, type=click.Choice(KINDS))
@click.option("--member", "members", multiple=True, metavar="MEMBER", help=f"Of an ensemble: {', '.join(MEMBERS)}.")
@click.option("--feature-set", help="By default light, or words where no post has a video.")
@click.option("--weights", help="With --feature-set: see `viral backfill`.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Trainings of the first model.")
@click.option("--resamples", default=200, show_default=True, type=click.IntRange(100), help="Of the bootstrap.")
@on_ray
@common
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
    """Train and judge one model under every split, and say how much each flatters: studies/NAME/study.html.

    The splits: newer posts by other authors (the headline), newer posts, other authors, posts drawn at random. Beside
    them the headline's model with other seeds, and shown only some of the training authors.
    """
    store = Store.open(root)
    spec = StudySpec(
        name,
        tuple(LabelSpec(each, top) for each in labels),
        gap_days=gap_days,
        seeds=seeds,
        resamples=resamples,
        recipe=Recipe(kind, tuple(dict.fromkeys(members)) or tuple(MEMBERS)),
        feature_set=chosen_set(feature_set, weights, store) if feature_set else None,
        source=source_of(scraped, map_file),
    )
    if weights and not feature_set:
        raise ConfigError("--weights is for the networks of a feature set: name it with --feature-set")
    shown = bar("study", unit="model")

    def work(record: Recorder) -> StudySummary:
        def progress(done: int, total: int) -> None:
            shown(done, total)
            record.progress(done, total)

        return run(store, spec, load(), address=address, progress=progress, debug=debug)

    say(recorded(store, "study", work), as_json=as_json)


def source_of(scraped: tuple[str, str] | None, map_file: str | None) -> ingest.Source | None:
    """What `--source` and `--map-file` name. Raises ConfigError: no such kind, or a map of nothing."""
    if scraped is None:
        if map_file:
            raise ConfigError("--map-file is for what --source names: add --source csv FILE")
        return None
    kind, file = scraped
    if kind not in SOURCES:
        raise ConfigError(f"there is no source {kind!r}: --source takes one of {', '.join(SOURCES)}, then a file")
    return ingest.Source(kind, (file,), column_map((), map_file) or None)


if __name__ == "__main__":
    execute(command)
