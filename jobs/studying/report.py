"""From the scorecards of a study's models to the study itself, and to what its command prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

import viral
from jobs.studying.spec import StudySpec
from jobs.studying.steps import Cell
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report.report import Report
from viral.evaluation.study.study import Judged, Labelled, Study, flattery
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix
from viral.tables.schemas import LABELS

CROWDED = 0.01  # of the range of the training posts
Cards = Mapping[Cell, tuple[Report, str]]
"""Of each model its scorecard, and where that lies from the study's page."""


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


def study_of(spec: StudySpec, store: Store, cards: Cards, skipped: dict[str, str]) -> Study:
    """All that is on the page."""
    judged = {
        cell: Judged.of(card, seed=cell.seed, share=cell.share, scorecard=page) for cell, (card, page) in cards.items()
    }
    card, headline = cards[spec.headline][0], judged[spec.headline]
    random = next((judged[cell] for cell in spec.splits if cell in judged and cell.split.kind == "random"), None)
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
    table, _ = replaced.current(store, labels_prefix(cell.table), LABELS)
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


def summary_of(store: Store, place: str, study: Study, models: int, reused: int) -> StudySummary:
    """The main figures."""
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
