"""Vectors to search by: which table has them, and those of a new file or text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from viral.config import load
from viral.errors import ConfigError, TableError, UsageError
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.extractors.spec import ExtractorSpec
from viral.features.pipeline import Pipeline
from viral.features.posts import ExtractionRequest
from viral.search.segments import Floats, unit
from viral.search.sources import FeatureCard, feature_cards
from viral.search.vector_index import VectorSource
from viral.storage.store import Store
from viral.weights.root import RootWeights

IMAGE, TEXT = "image", "text"
"""Modalities of the extractors that examples and texts are compared by, unless another is named."""

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp")
"""Ends of the names of pictures, which are read as photo sets of one slide."""


@dataclass(frozen=True)
class Embedding:
    """An extractor of a feature table whose vectors can be compared."""

    card: FeatureCard
    spec: ExtractorSpec
    source: VectorSource


def find_embedding(store: Store, modality: str, by: str | None = None, feature_set: str | None = None) -> Embedding:
    """Find the extractor to compare by; of several tables that have it, the one with the most rows.

    Args:
        store: the root.
        modality: of the extractor.
        by: name of the extractor, instead of the modality.
        feature_set: name of the feature set, if not any.

    Raises:
        TableError: no feature table has such an extractor.
    """
    embeddings = list(_embeddings(store))
    matching = [
        embedding
        for embedding in embeddings
        if (embedding.spec.name == by if by else embedding.spec.modality == modality)
        and feature_set in (None, embedding.card.name)
    ]
    if not matching:
        wanted = f"an extractor named {by}" if by else f"an extractor of modality {modality}"
        there = sorted({f"{embedding.spec.name} of {embedding.card.name}" for embedding in embeddings})
        fix = f"there are {', '.join(there)} (--by, --feature-set)" if there else "backfill first (viral backfill)"
        raise TableError(f"no feature table of {store.root} has {wanted} that can be compared: {fix}")
    return max(matching, key=lambda embedding: embedding.source.table.stored_rows())


def _embeddings(store: Store) -> Iterator[Embedding]:
    """Yield the extractors of all feature tables whose numbers are not separate measurements."""
    for card in feature_cards(store):
        values = {name: value for name, value in card.feature_set.items() if name != "fingerprint"}
        try:
            specs = FeatureSet.from_dict(values).specs
        except ConfigError:  # of another version of viral
            continue
        for spec in specs:
            if not spec.columns and not spec.sparse:
                yield Embedding(card, spec, VectorSource(store, card.prefix, spec.name, spec.dim))


class ExampleEncoder:
    """Computes the vector of a file or a text by the pipeline of the backfill, of one extractor alone.

    Loads its weights when it is created. Call `close`.

    Raises:
        ConfigError: the weights or the code differ from those that made the table.
        WeightsError: the weights are unavailable here.
    """

    def __init__(self, store: Store, embedding: Embedding) -> None:
        self.spec = embedding.spec
        feature_set = FeatureSet.from_dict(embedding.card.feature_set, resolve=RootWeights(store))
        entries = tuple(entry for entry in feature_set.entries if entry.spec.name == embedding.spec.name)
        self._pipeline = Pipeline(replace(feature_set, entries=entries), store, load())

    def close(self) -> None:
        """End the child process that decodes files."""
        self._pipeline.close()

    def file(self, file: str) -> Floats:
        """Return the vector of a video or a picture, given by path or `s3://` address, of unit length.

        Raises:
            UsageError: it cannot be read, or has nothing that the extractor reads.
        """
        uri = file if file.startswith("s3://") else str(Path(file).expanduser().absolute())
        picture = Path(file).suffix.lower() in PICTURES
        request = ExtractionRequest(file, None if picture else uri, slides=(uri,) if picture else None)
        return self._vector(request, file)

    def text(self, text: str) -> Floats:
        """Return the vector of a text as if it were a caption, of unit length. Raises UsageError as `file` does."""
        return self._vector(ExtractionRequest("text", None, Context(caption=text)), "the text")

    def _vector(self, request: ExtractionRequest, name: str) -> Floats:
        (result,) = self._pipeline.extract([request])
        vector = result.vectors.get(self.spec.name)
        if vector is None:
            detail = f"{result.detail} ({result.reason})" if result.reason else f"nothing that {self.spec.name} reads"
            raise UsageError(f"{name}: {detail}")
        scaled: Floats = unit(vector[None])[0]
        if scaled[0] != scaled[0]:  # NaN: of a black picture, for example
            raise UsageError(f"{name}: {self.spec.name} sees nothing in it")
        return scaled
