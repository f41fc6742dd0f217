"""What to train: the settings of each training job."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.training.options import Workers
from viral.datasets.streams import Stream, streams_of
from viral.errors import ConfigError
from viral.extractors.feature_set import FeatureSet
from viral.extractors.spec import ExtractorSpec
from viral.registry.registry import Saved


@dataclass(frozen=True)
class TrainSpec:
    """What to train: `name` on the table of `feature_set` and the label table `label`.

    Attributes:
        name: what the model is saved as.
        feature_set: whose table it learns from.
        label: the label table.
        workers: of Ray Train.
        gates: fixed weights of the streams.
        modality: look at the extractors of this one alone.
        extractor: look at this one alone.
        architecture: one of `viral.models.networks.NETWORKS`.
        start: go on from this model's weights.
        share: learn from so many of the training split's authors.
    """

    name: str
    feature_set: FeatureSet
    label: str
    workers: Workers = 2
    gates: dict[str, float] | None = None
    modality: str | None = None
    extractor: str | None = None
    architecture: str = "gated"
    start: Saved | None = None
    share: float = 1.0

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What it may look at. Raises ConfigError: nothing of that kind is in the feature set."""
        offered = streams_of(self.feature_set)
        chosen = tuple(each for each in offered if self.modality in (None, each.modality))
        chosen = tuple(each for each in chosen if self.extractor in (None, each.name))
        if not chosen:
            known = ", ".join(dict.fromkeys(each.name if self.extractor else each.modality for each in offered))
            wanted = self.extractor or self.modality
            raise ConfigError(f"the feature set {self.feature_set.name} has no {wanted}: it has {known}")
        return chosen


@dataclass(frozen=True)
class VideoSpec:
    """What to train: `name`, from `backbone` with the weights that it names, on the label table `label`."""

    name: str
    backbone: ExtractorSpec
    label: str
    workers: int = 2
