"""Settings of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from jobs.ingest import IngestSource
from jobs.studying.steps import Experiment, Recipe
from viral.evaluation.splits import Kind, SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec

SPLITS: tuple[Kind, ...] = ("time_author", "time", "author", "random")
"""Default splits, the headline first."""
_TIMED = ("time_author", "time")


@dataclass(frozen=True)
class StudySpec:
    """Settings of a study.

    Attributes:
        name: folder below `studies/`.
        labels: the first is studied under every split, the others under the headline split only.
        kinds: splits, the headline first.
        gap_days: for the time splits, days left out before the cut.
        seeds: number of trainings of the headline's model.
        author_fractions: fractions of the training authors for the learning curve, besides all of them.
        resamples: of the bootstraps.
        recipe: how the model is trained.
        feature_set: its input; None: `light`, or `words` if no post has a video.
        source: posts to ingest first; None: use those of the root.
    """

    name: str
    labels: tuple[LabelSpec, ...]
    kinds: tuple[Kind, ...] = SPLITS
    gap_days: float = 0.0
    seeds: int = 3
    author_fractions: tuple[float, ...] = (0.25, 0.5)  # two more points show whether the curve still rises
    resamples: int = 200
    recipe: Recipe = field(default_factory=Recipe)
    feature_set: FeatureSet | None = None
    source: IngestSource | None = None

    @property
    def headline(self) -> Experiment:
        """The experiment whose metrics are to be quoted."""
        return self.by_split[0]

    @property
    def by_split(self) -> tuple[Experiment, ...]:
        """The first label under every split."""
        return tuple(self._experiment(kind) for kind in self.kinds)

    @property
    def by_seed(self) -> tuple[Experiment, ...]:
        """The headline's model with each seed."""
        return tuple(self._experiment(seed=seed) for seed in range(self.seeds))

    @property
    def learning_curve(self) -> tuple[Experiment, ...]:
        """The headline's model on more and more authors."""
        return tuple(self._experiment(author_fraction=fraction) for fraction in (*self.author_fractions, 1.0))

    @property
    def by_label(self) -> tuple[Experiment, ...]:
        """Each label under the headline split."""
        return tuple(self._experiment(label=label) for label in dict.fromkeys(self.labels))

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """All experiments without repeats, the headline first."""
        return tuple(dict.fromkeys(chain(self.by_split, self.by_label, self.by_seed, self.learning_curve)))

    def _experiment(
        self, kind: Kind | None = None, *, label: LabelSpec | None = None, seed: int = 0, author_fraction: float = 1.0
    ) -> Experiment:
        kind = kind or self.kinds[0]
        gap = self.gap_days if kind in _TIMED else 0.0
        return Experiment(label or self.labels[0], SplitSpec(kind, gap_days=gap), seed, author_fraction)
