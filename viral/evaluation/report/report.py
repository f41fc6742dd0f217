"""A model's scorecard: one JSON for machines, one self-contained HTML page for people."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.bootstrap.settings import Frozen, Settings
from viral.evaluation.report.sections import Ablation, Card, Cut, Grouping

Image = Annotated[str, Field(pattern=r"^data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}$")]

MODEL = "model"
"""The name of the judged model among the systems of a report."""


class About(Frozen):
    """What was judged, and on what.

    Attributes:
        title: of the page.
        model: name and version.
        viral: in words, which posts count as viral.
        score: in words, the score that is predicted, with its unit.
        feature_set: name and fingerprint.
        inputs: what the model sees: its extractors.
        random_weights: the extractors whose weights are random, not trained.
        corpus: the posts, in words.
        synthetic: whether the posts were made up.
        data_hash: of the table of labels.
        code_version: of this product.
        limits: what else the reader must know.
    """

    title: str
    model: str
    viral: str
    score: str
    feature_set: str
    inputs: tuple[str, ...] = ()
    random_weights: tuple[str, ...] = ()
    corpus: str
    synthetic: bool
    data_hash: str
    code_version: str
    limits: tuple[str, ...] = ()


class Part(Frozen):
    """One part of the split. `viral` is the share of its posts that are."""

    name: str
    posts: int
    authors: int
    viral: float | None = None


class Split(Frozen):
    """How the posts were divided: a `splits.SplitSpec` and what came of it."""

    kind: str
    gap_days: float
    seed: int
    parts: tuple[Part, ...]


class System(Frozen):
    """The model or a baseline, with all its figures, or with the reason why there are none."""

    name: str
    describes: str = ""
    unavailable: str | None = None
    figures: dict[str, Estimate] = Field(default_factory=dict)


class Difference(Frozen):
    """How much higher each figure is for the model than for one baseline, on the same resamples."""

    baseline: str
    figures: dict[str, Estimate]


class Curve(Frozen):
    """Points of a line."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Bin(Frozen):
    """Posts with about the same probability: its mean, how often they were viral, and how many they are."""

    predicted: float
    happened: float
    posts: int


class Confusion(Frozen):
    """Posts by what they were called and what they were."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class Plots(Frozen):
    """What the figures of the page are drawn from. None: a single class, so that there is no curve."""

    roc: Curve | None
    precision_recall: Curve | None
    reliability: tuple[Bin, ...]
    confusion: Confusion
    scatter: Curve
    """A sample of the test posts: x the predicted score, y the actual one."""


class Modality(Frozen):
    """One modality: the share of the posts that have it, and its mean share in their predictions."""

    name: str
    present: float
    share: float | None


class Example(Frozen):
    """One prediction and what came of it. `image` is a data URI of a frame."""

    post_id: str
    probability: float
    score: float
    actual: float
    is_viral: bool
    low: float | None = None
    high: float | None = None
    caption: str | None = None
    image: Image | None = None


class Report(Frozen):
    """The scorecard of a model. Holds no time of its making: the same inputs give the same report.

    `calibration` are facts in words: how probabilities and intervals were corrected, and on which posts.
    """

    about: About
    split: Split
    settings: Settings
    systems: tuple[System, ...]
    differences: tuple[Difference, ...]
    plots: Plots
    modalities: tuple[Modality, ...] = ()
    best: tuple[Example, ...] = ()
    worst: tuple[Example, ...] = ()
    ablation: Ablation | None = None
    cuts: tuple[Cut, ...] = ()
    groupings: tuple[Grouping, ...] = ()
    card: Card | None = None
    calibration: dict[str, str] = Field(default_factory=dict)

    def to_json(self) -> str:
        """All of it; `Report.model_validate_json` reads it back."""
        return self.model_dump_json(indent=1)
