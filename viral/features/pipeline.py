"""Extraction of feature vectors from posts, as used by backfills, the endpoint and `viral score`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from viral.config import Settings
from viral.errors import ExtractorError
from viral.extractors.encode import EncodedBatch, encode
from viral.extractors.extractor import Context, Extractor, PostInput
from viral.extractors.feature_set import FeatureSet
from viral.features.posts import DecodedPost, ExtractionRequest, ExtractionResult
from viral.features.reader import MediaReader
from viral.media.media import Facts, Media
from viral.storage.store import Store
from viral.weights.resolve import resolve_local
from viral.weights.root import RootWeights

ENCODE_BATCH_SIZE = 8  # posts with media; networks gain little from more, and the media of a batch must fit in memory
TEXT_BATCH_SIZE = 128  # posts without media: a thousand word pieces, for which text networks have their full speed


class FeatureEncoder:
    """Second half of the pipeline: runs extractors (from `FeatureSet.build`) on decoded posts."""

    def __init__(self, extractors: Sequence[Extractor]) -> None:
        self.extractors = extractors

    def encode(self, posts: Sequence[DecodedPost]) -> Iterator[ExtractionResult]:
        """Yield the result of each post, in order."""
        inputs = [
            # A post without files is text-only: extractors get None instead of its empty `media`.
            PostInput(post.media if post.request.has_files else None, post.request.context)
            for post in posts
            if post.media
        ]
        encoded, index = encode(self.extractors, inputs), 0
        for post in posts:
            if post.media is None:
                request, seconds = post.request, post.stage_seconds
                yield ExtractionResult(
                    request.post_id, "failed", post.reason, post.detail, stage_seconds=seconds, attempt=request.attempt
                )
            else:
                yield _extracted(post, post.media, encoded, index)
                index += 1


def batches(posts: Iterable[DecodedPost]) -> Iterator[list[DecodedPost]]:
    """Yield groups of at most `TEXT_BATCH_SIZE` posts, of which at most `ENCODE_BATCH_SIZE` have media."""
    batch: list[DecodedPost] = []
    with_media = 0
    for post in posts:
        batch.append(post)
        # Text-only posts have no tracks: a batch may hold many more of them.
        with_media += post.media is not None and bool(post.media.tracks)
        if with_media == ENCODE_BATCH_SIZE or len(batch) == TEXT_BATCH_SIZE:
            yield batch
            batch, with_media = [], 0
    if batch:
        yield batch


class Pipeline:
    """Reads, decodes and encodes posts. It owns the weights of the extractors and a child process: call `close`.

    Args:
        feature_set: features to extract.
        store: root of the videos and of the weights.
        settings: limits on media and the sandbox.
    """

    def __init__(self, feature_set: FeatureSet, store: Store, settings: Settings) -> None:
        self.encoder = FeatureEncoder(with_root_weights(feature_set, store).build())
        self.reader = MediaReader(feature_set.requests, store, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        self.reader.close()

    def extract(self, requests: Iterable[ExtractionRequest]) -> Iterator[ExtractionResult]:
        """Yield the result of each request, in order. The next files are decoded while a batch is encoded."""
        decoded = self.reader.read(requests)
        try:
            for posts in batches(decoded):
                yield from self.encoder.encode(posts)
        finally:
            # If the consumer stops early: ends the reader's loop, which removes its temporary files.
            decoded.close()

    def extract_draft(self, video_uri: str | None, context: Context) -> ExtractionResult:
        """Extract the features of one draft, from its context only if it has no video."""
        request = ExtractionRequest("draft", video_uri, context)
        text_only = [DecodedPost(request, Media(Facts()))]
        (result,) = self.encoder.encode(text_only) if video_uri is None else self.extract([request])
        return result


def _extracted(post: DecodedPost, media: Media, encoded: EncodedBatch, index: int) -> ExtractionResult:
    errors = encoded.errors[index]
    # The column holds one reason: that of the file, if it has one, before a failed extractor.
    reasons = [*media.partial, *(["audio_missing"] if post.audio_missing else [])]
    reasons += [ExtractorError.reason] if errors else []
    # Extractors run on whole batches: each post gets its share of the time.
    seconds_per_post = {name: seconds / len(encoded.vectors) for name, seconds in encoded.seconds.items()}
    return ExtractionResult(
        post.request.post_id,
        status="partial" if reasons else "ok",
        reason=reasons[0] if reasons else None,
        detail="; ".join([*media.notes, *(f"{name}: {error}" for name, error in errors.items())]) or None,
        facts=media.facts,
        vectors=encoded.vectors[index],
        notes=encoded.notes[index],
        stage_seconds={**post.stage_seconds, **seconds_per_post},
        attempt=post.request.attempt,
    )


def with_root_weights(feature_set: FeatureSet, store: Store) -> FeatureSet:
    """Make a feature set look up weights in the root, unless it has its own way to resolve them."""
    return feature_set.with_resolve(RootWeights(store)) if feature_set.resolve is resolve_local else feature_set
