"""The encoder deployment: runs the extractors on decoded drafts, concurrent ones as one batch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ray import serve

from serve.models import ModelCache
from serve.settings import EndpointSpec
from viral.extractors.extractor import Extractor, ExtractorOutput, PostInput
from viral.features.pipeline import ENCODE_BATCH_SIZE, TEXT_BATCH_SIZE, FeatureEncoder, with_root_weights
from viral.features.posts import DecodedPost, ExtractionResult
from viral.registry.registry import ModelVersion
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store

NO_WAIT = 0.0  # a batch is what came while the last one was computed: waiting for more would only add to the time


class _OneAtATime:
    """An extractor that two threads may call: tokenizers and some networks cannot be shared."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor, self._lock = extractor, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._extractor, name)

    def __call__(self, batch: Sequence[PostInput]) -> Sequence[ExtractorOutput]:
        with self._lock:
            return self._extractor(batch)


class DraftEncoder:
    """The extractors of a feature set; those that read no media also by themselves.

    Args:
        extractors: from `FeatureSet.build`.
    """

    def __init__(self, extractors: Sequence[Extractor]) -> None:
        shared: list[Any] = [_OneAtATime(extractor) for extractor in extractors]
        self.names = [extractor.name for extractor in extractors]
        self.all = FeatureEncoder(shared)
        self.context_only = FeatureEncoder([extractor for extractor in shared if not extractor.needs])

    def encode(self, posts: Sequence[DecodedPost]) -> list[ExtractionResult]:
        """Run all extractors on drafts with media."""
        return list(self.all.encode(posts))

    def encode_context(self, posts: Sequence[DecodedPost]) -> list[ExtractionResult]:
        """Run the extractors that read no media; the vectors of the others come from `reused`, or are None."""
        results = self.context_only.encode(posts)
        return [self._complete(post, result) for post, result in zip(posts, results, strict=True)]

    def _complete(self, post: DecodedPost, result: ExtractionResult) -> ExtractionResult:
        vectors = dict.fromkeys(self.names) | dict(result.vectors)
        if post.reused is None:
            return replace(result, vectors=vectors)
        known = post.reused
        return replace(
            known if result.reason is None else replace(known, status="partial", reason=result.reason),
            detail="; ".join(filter(None, [known.detail, result.detail])) or None,
            vectors={**vectors, **known.vectors},
            notes={**known.notes, **result.notes},
            stage_seconds=result.stage_seconds,
        )


class EncoderDeployment:
    """Extracts vectors with the same code as a backfill.

    Texts and videos have a queue each, so that a caption does not wait for a video.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)  # replicas share a node's cores, so the endpoint scales by replicas, not by threads
        self._store = Store(spec.root)
        self._encoders: dict[str, DraftEncoder] = {}
        self._models = ModelCache(spec, self._load)

    def _load(self, saved: ModelVersion) -> DraftEncoder:
        feature_set = with_root_weights(feature_set_of(saved), self._store)
        encoder = self._encoders.get(feature_set.fingerprint) or DraftEncoder(feature_set.build())
        # At most two feature sets: models that have the same one share its networks in memory.
        self._encoders = {**dict(list(self._encoders.items())[-1:]), feature_set.fingerprint: encoder}
        return encoder

    async def __call__(self, post: DecodedPost, model: str) -> ExtractionResult:
        """Extract the vectors that a model version needs; the result reports a failure."""
        # A video whose vectors are known needs only the extractors of the context, as a text does.
        if post.media is not None and post.media.tracks and post.reused is None:
            return await self._encode(post, model)  # type: ignore[no-any-return]  # Ray has no types
        return await self._encode_context(post, model)  # type: ignore[no-any-return]  # as above

    @serve.batch(max_batch_size=ENCODE_BATCH_SIZE, batch_wait_timeout_s=NO_WAIT)  # type: ignore[untyped-decorator]  # as above
    async def _encode(self, posts: list[DecodedPost], models: list[str]) -> list[ExtractionResult]:
        return await self._by_model(posts, models, DraftEncoder.encode)

    @serve.batch(max_batch_size=TEXT_BATCH_SIZE, batch_wait_timeout_s=NO_WAIT)  # type: ignore[untyped-decorator]  # as above
    async def _encode_context(self, posts: list[DecodedPost], models: list[str]) -> list[ExtractionResult]:
        return await self._by_model(posts, models, DraftEncoder.encode_context)

    async def _by_model(self, posts: list[DecodedPost], models: list[str], encode: Any) -> list[ExtractionResult]:
        results: dict[int, ExtractionResult] = {}
        # One batch may hold requests of several models, and each model has its own feature set.
        for model in dict.fromkeys(models):
            encoder = await self._models.version(model)
            indices = [i for i, name in enumerate(models) if name == model]
            encoded = await asyncio.to_thread(encode, encoder, [posts[i] for i in indices])
            results.update(zip(indices, encoded, strict=True))
        return [results[i] for i in range(len(posts))]
