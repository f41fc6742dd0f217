"""Further sections of a scorecard: ablation, thresholds, groups and the model card.

Aliases are keys of the stored JSON.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.bootstrap.settings import Frozen

StoredMetrics = Annotated[dict[str, Estimate], Field(validation_alias="figures", serialization_alias="figures")]
Observed = Annotated[float, Field(validation_alias="happened", serialization_alias="happened")]
"""Share of posts that was viral."""


class AblationResult(Frozen):
    """Metrics of the model with some modalities hidden.

    Attributes:
        shown: the visible modalities.
        available: share of posts with any visible modality; the others get the average of the training posts.
        metrics: on all posts.
        differences: each metric minus the metric with all modalities.
    """

    shown: tuple[str, ...]
    available: float = Field(validation_alias="left", serialization_alias="left")
    metrics: StoredMetrics
    differences: dict[str, Estimate]


class Ablation(Frozen):
    """The model's metrics with modalities hidden, without retraining.

    `posts` is the number of posts scored, `resampled_posts` the number used for the intervals.
    """

    modalities: tuple[str, ...]
    posts: int
    resampled_posts: int
    resamples: int
    whole: dict[str, Estimate]
    subsets: tuple[AblationResult, ...]


class ThresholdResult(Frozen):
    """Metrics under another threshold for viral.

    `share` is the share of training posts above `threshold`, `viral` the share of test posts above it.
    """

    share: float
    threshold: float
    viral: float
    metrics: StoredMetrics


class Group(Frozen):
    """Calibration on one group of test posts. `gap` is `predicted` (mean probability) minus `observed`."""

    name: str
    posts: int
    authors: int
    coverage: Estimate | None
    predicted: float
    observed: Observed
    gap: Estimate


class Grouping(Frozen):
    """The test posts grouped by one property."""

    by: str
    groups: tuple[Group, ...]


class Input(Frozen):
    """One extractor of the model's feature set. `used`: whether the model uses it."""

    name: str
    modality: str
    dim: int
    version: str
    weights: str | None = None
    used: bool = True


class Card(Frozen):
    """The model card. `fitted` has the constants of the label, fitted on the training posts alone."""

    kind: str
    architecture: str
    settings: dict[str, str] = Field(default_factory=dict)
    label: dict[str, str]
    fitted: dict[str, float] = Field(default_factory=dict)
    inputs: tuple[Input, ...]
    unseen: tuple[str, ...] = ()
    training: dict[str, str]
    data_hash: str
    code_version: str
    sources: tuple[str, ...]
