"""One corpus through every split, from the scraped file to the page that says how much each split flatters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import click
import numpy as np
import pyarrow.compute as pc

import viral
from jobs import backfill, ingest
from jobs.backfill import Progress
from jobs.ingest import column_map, posts_table
from jobs.label import labels_prefix
from jobs.options import chosen_set
from jobs.session import session
from jobs.study_spec import StudySpec
from jobs.study_steps import KINDS, Cell, Recipe, Steps
from viral import generations
from viral.cli import bar, common, execute, on_ray, say
from viral.config import Settings, load
from viral.errors import ConfigError, UsageError
from viral.evaluation.bootstrap import Estimate
from viral.evaluation.report import Report
from viral.evaluation.study import Judged, Labelled, Study, flattery
from viral.extractors.feature_set import FeatureSet
from viral.history import Recorder, recorded
from viral.labels import DEFINITIONS, LabelSpec
from viral.models.ensemble.member import MEMBERS
from viral.registry import check_name
from viral.sources import SOURCES
from viral.store import Store
from viral.tables import LABELS

CROWDED = 0.01  # of the range of the training posts


@dataclass
class StudySummary:
    """Where the page lies, and what it says. `skipped` names models that could not be, and why."""

    html: str
    json: str
    posts: int
    models: int
    reused: int
    headline: dict[str, str] = field(default_factory=dict)
    random: dict[str, str] = field(default_factory=dict)
    flattery: dict[str, str] = field(default_factory=dict)
    constant: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


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
        study = _study(spec, store, cards, skipped)
    store.write(f"{place}/study.json", study.to_json().encode())
    store.write(f"{place}/study.html", study.to_html().encode())
    return _summary(store, place, study, len(cards), steps.reused)


def usual_set(store: Store) -> FeatureSet:
    """`light`, or where no post has a video `words`."""
    seen = (bool(pc.any(pc.is_valid(rows["video_uri"])).as_py()) for rows in posts_table(store).scan(["video_uri"]))
    return FeatureSet.named("light" if any(seen) else "words")


Cards = Mapping[Cell, tuple[Report, str]]
"""Of each model its scorecard, and where that lies from the study's page."""


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


def _study(spec: StudySpec, store: Store, cards: Cards, skipped: dict[str, str]) -> Study:
    judged = {
        cell: Judged.of(card, seed=cell.seed, share=cell.share, scorecard=page) for cell, (card, page) in cards.items()
    }
    card, headline, random = cards[spec.headline][0], judged[spec.headline], judged.get(spec.splits[-1])
    return Study(
        title=f"Study of {spec.name}",
        model=spec.recipe.kind,
        **{name: getattr(card.about, name) for name in ("score", "corpus", "feature_set", "inputs", "synthetic")},
        gap_days=spec.gap_days,
        level=card.settings.level,
        resamples=spec.resamples,
        code_version=viral.__version__,
        splits=tuple(judged[cell] for cell in spec.splits if cell in judged),
        skipped=skipped,
        flattery=flattery(headline, random),
        seeds=tuple(judged[cell] for cell in spec.seeded if cell in judged),
        curve=tuple(judged[cell] for cell in spec.curve if cell in judged),
        labels=tuple(_labelled(store, cell, cards[cell][0], judged[cell]) for cell in spec.beside if cell in judged),
    )


def _labelled(store: Store, cell: Cell, card: Report, judged: Judged) -> Labelled:
    """How the training posts' values of a label lie: one number a post of the training split, on this machine."""
    table, _ = generations.current(store, labels_prefix(cell.table), LABELS)
    parts = [rows.filter(pc.equal(rows["split"], "train"))["target"] for rows in table.scan(["split", "target"])]
    values = np.concatenate([part.to_numpy() for part in parts])
    extent = float(np.ptp(values))
    return Labelled(
        definition=cell.label.definition,
        viral=card.about.viral,
        crowded=float((values - values.min() <= CROWDED * extent).mean()),
        extent=extent,
        judged=judged,
    )


def _summary(store: Store, place: str, study: Study, models: int, reused: int) -> StudySummary:
    random = next((each for each in study.splits if each.split == "random"), None)
    flat = {each.definition: each.judged.figure("constant", "rmse") for each in study.labels}
    return StudySummary(
        html=store.uri(f"{place}/study.html"),
        json=store.uri(f"{place}/study.json"),
        posts=sum(part.posts for part in study.headline.parts),
        models=models,
        reused=reused,
        headline=_lines(study.headline),
        random=_lines(random) if random else {},
        flattery={each.system: _told(each.figures) for each in study.flattery},
        constant={name: _told({"rmse": each}) for name, each in flat.items() if each},
        skipped=study.skipped,
    )


def _lines(judged: Judged) -> dict[str, str]:
    """Each system's figures, or why there are none."""
    return {each.name: each.unavailable or _told(each.figures) for each in judged.systems}


def _told(figures: Mapping[str, Estimate]) -> str:
    return ", ".join(
        f"{name} {each.value:.3f}" + (f" [{each.low:.3f}, {each.high:.3f}]" if each.low is not None else "")
        for name, each in figures.items()
        if each.value is not None
    )


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
        gap_days,
        seeds,
        resamples,
        Recipe(kind, tuple(dict.fromkeys(members)) or tuple(MEMBERS)),
        chosen_set(feature_set, weights, store) if feature_set else None,
        source_of(scraped, map_file),
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
