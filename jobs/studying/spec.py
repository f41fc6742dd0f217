"""Settings of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from jobs.ingesting.source import IngestSource
from jobs.studying.steps import Experiment, Recipe
from viral.evaluation.splits import Kind, SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec

SPLITS: tuple[Kind, ...] = ("time_author", "time", "author", "random")
"""Default splits, the headline first."""


@dataclass(frozen=True)
class StudySpec:
    """Settings of a study.

    Attributes:
        name: name of the folder below `studies/`.
        labels: the first is studied under every split, the others under the headline split only.
        kinds: kinds of splits, the headline first.
        gap_days: for splits by time, days left out before the cut.
        seeds: number of seeds to train the headline's model with.
        author_fractions: points of the learning curve, as fractions of the training authors; 1 is added.
        resamples: number of bootstrap resamples.
        recipe: kind and settings of the model.
        feature_set: input of the model; None: `light`, or `words` if no post has a video.
        source: posts to ingest first; None: use the posts in the root.
    """

    name: str
    labels: tuple[LabelSpec, ...]
    kinds: tuple[Kind, ...] = SPLITS
    gap_days: float = 0.0
    seeds: int = 3
    author_fractions: tuple[float, ...] = (0.25, 0.5)  # with 1, three points: they show whether the curve still rises
    resamples: int = 200
    recipe: Recipe = field(default_factory=Recipe)
    feature_set: FeatureSet | None = None
    source: IngestSource | None = None

    @property
    def headline(self) -> Experiment:
        """Experiment whose results are the main results of the study."""
        return self.by_split[0]

    @property
    def by_split(self) -> tuple[Experiment, ...]:
        """Experiments with the first label, one per split."""
        return tuple(self._experiment(kind) for kind in self.kinds)

    @property
    def by_seed(self) -> tuple[Experiment, ...]:
        """Experiments with the headline's label and split, one per seed."""
        return tuple(self._experiment(seed=seed) for seed in range(self.seeds))

    @property
    def learning_curve(self) -> tuple[Experiment, ...]:
        """Experiments with the headline's label and split, on growing fractions of the authors."""
        return tuple(self._experiment(author_fraction=fraction) for fraction in (*self.author_fractions, 1.0))

    @property
    def by_label(self) -> tuple[Experiment, ...]:
        """Experiments under the headline split, one per label."""
        return tuple(self._experiment(label=label) for label in dict.fromkeys(self.labels))

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """All experiments without repeats, the headline first."""
        # Headline, first label, first seed and the full curve are the same experiment: trained once.
        return tuple(dict.fromkeys(chain(self.by_split, self.by_label, self.by_seed, self.learning_curve)))

    def _experiment(
        self, kind: Kind | None = None, *, label: LabelSpec | None = None, seed: int = 0, author_fraction: float = 1.0
    ) -> Experiment:
        kind = kind or self.kinds[0]
        # Only a split by time has a border that a gap can widen.
        gap = self.gap_days if kind in ("time_author", "time") else 0.0
        return Experiment(label or self.labels[0], SplitSpec(kind, gap_days=gap), seed, author_fraction)
