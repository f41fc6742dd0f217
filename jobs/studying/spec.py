"""What a study trains and judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from jobs.ingest import Source
from jobs.studying.steps import Cell, Recipe
from viral.evaluation.splits import Kind, SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.labels import LabelSpec

SPLITS: tuple[Kind, ...] = ("time_author", "time", "author", "random")
"""The headline first."""
_TIMED = ("time_author", "time")


@dataclass(frozen=True)
class StudySpec:
    """What to study.

    Attributes:
        name: of the folder below `studies/`.
        labels: the first is studied whole, the others beside a constant under the headline split.
        kinds: of splits, the headline first.
        gap_days: for the time splits, days left out before the cut.
        seeds: how many times the headline's model is trained.
        shares: of the training authors that the headline's model is shown, besides all of them.
        resamples: of the bootstraps.
        recipe: the model.
        feature_set: what it sees; None: `light`, or `words` where no post has a video.
        source: is ingested first; None: the posts are there.
    """

    name: str
    labels: tuple[LabelSpec, ...]
    kinds: tuple[Kind, ...] = SPLITS
    gap_days: float = 0.0
    seeds: int = 3
    shares: tuple[float, ...] = (0.25, 0.5)
    resamples: int = 200
    recipe: Recipe = field(default_factory=Recipe)
    feature_set: FeatureSet | None = None
    source: Source | None = None

    @property
    def headline(self) -> Cell:
        """The model whose figures are to be quoted."""
        return self.splits[0]

    @property
    def splits(self) -> tuple[Cell, ...]:
        """The first label under every split."""
        return tuple(self._cell(kind) for kind in self.kinds)

    @property
    def seeded(self) -> tuple[Cell, ...]:
        """The headline's model, trained by other throws of the dice."""
        return tuple(self._cell(seed=seed) for seed in range(self.seeds))

    @property
    def curve(self) -> tuple[Cell, ...]:
        """The headline's model, shown ever more authors."""
        return tuple(self._cell(share=share) for share in (*self.shares, 1.0))

    @property
    def beside(self) -> tuple[Cell, ...]:
        """Each label under the headline split."""
        return tuple(self._cell(label=label) for label in dict.fromkeys(self.labels))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All models, each once, the headline's first."""
        return tuple(dict.fromkeys(chain(self.splits, self.beside, self.seeded, self.curve)))

    def _cell(
        self, kind: Kind | None = None, *, label: LabelSpec | None = None, seed: int = 0, share: float = 1.0
    ) -> Cell:
        kind = kind or self.kinds[0]
        gap = self.gap_days if kind in _TIMED else 0.0
        return Cell(label or self.labels[0], SplitSpec(kind, gap_days=gap), seed, share)
