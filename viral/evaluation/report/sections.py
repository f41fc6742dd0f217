"""The parts of a scorecard beside its main figures: what the model rests on, for whom it holds, what it is made of."""

from __future__ import annotations

from pydantic import Field

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.bootstrap.settings import Frozen


class Shown(Frozen):
    """What the model is worth when it is shown some modalities only.

    Attributes:
        shown: the modalities.
        left: the share of the posts that have any of them; of the others the model can say nothing, and the average of
            the training posts stands in for it.
        figures: of all posts.
        differences: how much higher each figure is than that of the model that is shown everything.
    """

    shown: tuple[str, ...]
    left: float
    figures: dict[str, Estimate]
    differences: dict[str, Estimate]


class Ablation(Frozen):
    """The test posts scored again with modalities hidden. The model is the same: it is not trained again.

    `posts` are those that were scored again, `resampled_posts` those of the authors that the intervals come from.
    """

    modalities: tuple[str, ...]
    posts: int
    resampled_posts: int
    resamples: int
    whole: dict[str, Estimate]
    subsets: tuple[Shown, ...]


class Cut(Frozen):
    """The model judged by another bar for viral: the top `share` of the training posts, by `threshold` on the target.

    `viral` is the share of the test posts above it.
    """

    share: float
    threshold: float
    viral: float
    figures: dict[str, Estimate]


class Group(Frozen):
    """Test posts of one kind: how many of their intervals hold, and how far the mean probability is off.

    `gap` is the mean probability less the share that was viral.
    """

    name: str
    posts: int
    authors: int
    coverage: Estimate | None
    predicted: float
    happened: float
    gap: Estimate


class Grouping(Frozen):
    """The test posts in groups by one trait."""

    by: str
    groups: tuple[Group, ...]


class Input(Frozen):
    """One extractor of the model's feature set. `used`: whether the model looks at it."""

    name: str
    modality: str
    dim: int
    version: str
    weights: str | None = None
    used: bool = True


class Card(Frozen):
    """The model card. `fitted` are the label's constants, learnt from the training posts alone."""

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
