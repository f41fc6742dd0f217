"""A model's scorecard, stored as JSON and rendered as a self-contained HTML page."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from viral.evaluation.bootstrap.settings import EvaluationSettings, Frozen
from viral.evaluation.report.sections import Ablation, Card, Grouping, Observed, StoredMetrics, ThresholdResult

Image = Annotated[str, Field(pattern=r"^data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}$")]

MODEL = "model"
"""Name of the evaluated model among the systems of a report."""


class About(Frozen):
    """What was evaluated, and on which posts.

    Attributes:
        title: title of the page.
        model: name and version of the model.
        viral: definition of a viral post, in words.
        score: definition of the score with its unit, in words.
        feature_set: name and fingerprint of the feature set.
        inputs: extractors that the model uses.
        random_weights: extractors with random, untrained weights.
        corpus: description of the posts.
        synthetic: whether the posts are synthetic.
        data_hash: hash of the label table.
        code_version: version of this product.
        limits: further limitations to show.
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


class SplitPart(Frozen):
    """One part of the split. `viral` is its share of viral posts."""

    name: str
    posts: int
    authors: int
    viral: float | None = None


class Split(Frozen):
    """How the posts were split: fields of the `splits.SplitSpec`, and the resulting parts."""

    kind: str
    gap_days: float
    seed: int
    parts: tuple[SplitPart, ...]


class System(Frozen):
    """The model or a baseline, with its metrics or the reason why it has none."""

    name: str
    describes: str = ""
    unavailable: str | None = None
    metrics: StoredMetrics = Field(default_factory=dict)


class Difference(Frozen):
    """Differences of the metrics, model minus one baseline, on the same resamples."""

    baseline: str
    metrics: StoredMetrics


class Curve(Frozen):
    """Points of a line."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Bin(Frozen):
    """Posts in one range of probabilities: mean probability, share of viral posts, number of posts."""

    predicted: float
    observed: Observed
    posts: int


class Confusion(Frozen):
    """Number of posts by predicted and actual class."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class Plots(Frozen):
    """Points of the plots. A curve is None if all posts are of one class; `scatter` has predicted and actual scores."""

    roc: Curve | None
    precision_recall: Curve | None
    reliability: tuple[Bin, ...]
    confusion: Confusion
    scatter: Curve


class Modality(Frozen):
    """One modality: share of posts that have it, and its mean share in the predictions for these posts."""

    name: str
    present: float
    share: float | None


class Example(Frozen):
    """One prediction with the actual score. `image` is a data URI of a frame."""

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
    """The scorecard of a model. It has no creation time, so equal inputs give equal reports.

    `calibration` describes how probabilities and intervals were calibrated, and on which posts.
    """

    about: About
    split: Split
    settings: EvaluationSettings
    systems: tuple[System, ...]
    differences: tuple[Difference, ...]
    plots: Plots
    modalities: tuple[Modality, ...] = ()
    best: tuple[Example, ...] = ()
    worst: tuple[Example, ...] = ()
    ablation: Ablation | None = None
    thresholds: tuple[ThresholdResult, ...] = Field(default=(), validation_alias="cuts", serialization_alias="cuts")
    groupings: tuple[Grouping, ...] = ()
    card: Card | None = None
    calibration: dict[str, str] = Field(default_factory=dict)

    def to_json(self) -> str:
        """Serialise the report; `Report.model_validate_json` reads it back."""
        return self.model_dump_json(indent=1, by_alias=True)
