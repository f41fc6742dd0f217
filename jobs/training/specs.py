"""Settings of the training jobs."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.training.options import Workers
from viral.datasets.streams import Stream, dense, streams_of
from viral.errors import ConfigError
from viral.extractors.feature_set import FeatureSet
from viral.extractors.spec import ExtractorSpec
from viral.registry.registry import ModelVersion


@dataclass(frozen=True)
class TrainSpec:
    """Settings of a network trained on a feature table.

    Attributes:
        name: name of the saved model.
        feature_set: feature set whose table is the input.
        label: name of the label table.
        workers: number of Ray Train workers; 0 trains in this process.
        gates: fixed weights of the streams; None: learn them.
        modality: use only the extractors of this modality.
        extractor: use only this extractor.
        architecture: one of `viral.models.networks.NETWORKS`.
        start: saved model to continue from; None: start from random weights.
        author_fraction: fraction of the training split's authors to train on.
    """

    name: str
    feature_set: FeatureSet
    label: str
    workers: Workers = 2
    gates: dict[str, float] | None = None
    modality: str | None = None
    extractor: str | None = None
    architecture: str = "gated"
    start: ModelVersion | None = None
    author_fraction: float = 1.0

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Inputs of the network. Raises ConfigError if the feature set lacks the modality or extractor."""
        available = numeric_streams(self.feature_set)
        streams = tuple(stream for stream in available if self.modality in (None, stream.modality))
        streams = tuple(stream for stream in streams if self.extractor in (None, stream.name))
        if not streams:
            # The error lists what the set offers, in the kind of name that was asked for.
            names = dict.fromkeys(stream.name if self.extractor else stream.modality for stream in available)
            missing = self.extractor or self.modality
            raise ConfigError(f"the feature set {self.feature_set.name} has no {missing}: it has {', '.join(names)}")
        return streams


def numeric_streams(feature_set: FeatureSet) -> tuple[Stream, ...]:
    """Return the streams whose vectors are numbers. Raises ConfigError if the feature set has none."""
    streams = dense(streams_of(feature_set))
    if not streams:
        raise ConfigError(f"the feature set {feature_set.name} has nothing but n-grams: add metadata or caption")
    return streams


@dataclass(frozen=True)
class VideoSpec:
    """Settings of a video network: model name, pretrained backbone, label table, Ray Train workers (0: none)."""

    name: str
    backbone: ExtractorSpec
    label: str
    workers: int = 2
