"""Reuse of features from other tables: for a set with a new extractor, only that extractor has to run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.config import Settings
from viral.duplicates.perceptual_hash import perceptual_hash, with_hashed_frames
from viral.errors import ExtractorError
from viral.extractors.feature_set import FeatureSet
from viral.features.pipeline import FeatureEncoder
from viral.features.posts import DecodedPost, ExtractionRequest, ExtractionResult
from viral.features.reader import MediaReader
from viral.media.media import Facts, Media
from viral.storage.store import Store, read_json
from viral.tables.bucketed import BucketedTable
from viral.tables.schemas import FACTS, feature_schema, note_column

CARD = "_set.json"
"""Object beside the data files of a feature table that describes its extractors."""
_ATTEMPT_COLUMNS = ("post_id", "attempt", "status", "reason", "detail")


@dataclass(frozen=True)
class SourceTable:
    """A feature table to copy from, and the `extractors` to copy; `noted` are those of them with notes."""

    table: BucketedTable
    extractors: tuple[str, ...]
    noted: tuple[str, ...] = ()

    def rows(self, log2_buckets: int, bucket: int) -> pa.Table:
        """Read the reusable rows of a bucket, which exclude failed posts and posts on which an extractor failed."""
        notes = map(note_column, self.noted)
        columns = [*_ATTEMPT_COLUMNS, *FACTS.names, *self.extractors, *notes]
        rows = self.table.read(log2_buckets, bucket, columns)
        # Such a row lacks vectors that a new attempt may give.
        extractor_failed = pc.equal(pc.fill_null(rows["reason"], ""), ExtractorError.reason)
        return rows.filter(pc.invert(pc.or_(pc.equal(rows["status"], "failed"), extractor_failed)))

    def results(self, rows: pa.Table, post_ids: Sequence[str]) -> dict[str, ExtractionResult]:
        """Convert the rows of these posts back to results, by post id."""
        rows = rows.filter(pc.is_in(rows["post_id"], pa.array(post_ids, pa.string())))
        return {row["post_id"]: self._result(row) for row in rows.to_pylist()}

    def _result(self, row: dict[str, Any]) -> ExtractionResult:
        return ExtractionResult(
            row["post_id"],
            row["status"],
            row["reason"],
            row["detail"],
            facts=Facts(**{name: row[name] for name in FACTS.names}),
            vectors={name: None if row[name] is None else np.array(row[name], np.float32) for name in self.extractors},
            notes={name: note for name in self.noted if (note := row[note_column(name)]) is not None},
        )


def write_feature_card(store: Store, feature_set: FeatureSet) -> None:
    """Store the extractors of a feature table, so that other feature sets can find shared ones."""
    card = {"set": feature_set.to_dict(), "fingerprints": feature_set.fingerprints}
    # Not rewritten without need: several runs may fill one table at once.
    if read_json(store, f"{feature_set.table}/{CARD}") != card:
        store.write(f"{feature_set.table}/{CARD}", json.dumps(card, indent=1).encode())


def tables_sharing_extractors(store: Store, feature_set: FeatureSet) -> list[SourceTable]:
    """List the other tables that share extractors with `feature_set`, the table that shares most first."""
    tables = []
    for info in store.objects("features"):
        prefix, _, file = info.key.rpartition("/")
        card = read_json(store, info.key) if file == CARD and prefix != feature_set.table else None
        if card and (shared := _shared(feature_set.fingerprints, card["fingerprints"])):
            noted = tuple(name for name in feature_set.noted_extractors if name in shared)
            schema = feature_schema(shared, noted)
            table = BucketedTable(store, prefix, schema, key="post_id", newest_by="attempt", history=True)
            tables.append(SourceTable(table, shared, noted))
    return sorted(tables, key=lambda source: (-len(source.extractors), source.table.prefix))


def _shared(fingerprints: Mapping[str, str], others: Mapping[str, str]) -> tuple[str, ...]:
    # By fingerprint, not by name: the same extractor with other parameters or weights gives other vectors.
    return tuple(name for name, fingerprint in fingerprints.items() if others.get(name) == fingerprint)


class DecodeStage:
    """First stage of a backfill: looks up reusable features, and decodes videos for the remaining extractors.

    It assumes that the video of a post has not changed since another table was filled. The facts get the
    perceptual hash of the video if it `hashes_videos`. Needs no torch. Call `close`.
    """

    def __init__(self, feature_set: FeatureSet, store: Store, settings: Settings) -> None:
        self.feature_set, self.store, self.settings = feature_set, store, settings
        self.sources = tables_sharing_extractors(store, feature_set)
        self._readers: dict[tuple[str, ...], MediaReader] = {}
        self._cached_bucket = (-1, -1)
        self._cached_rows: list[pa.Table] = []

    def decode(self, requests: Sequence[ExtractionRequest], log2_buckets: int, bucket: int) -> Iterator[DecodedPost]:
        """Yield the decoded posts of a bucket; posts with reused features come first."""
        rest = list(requests)
        for source, rows in zip(self.sources, self._rows(log2_buckets, bucket), strict=True):
            reused = source.results(rows, [request.post_id for request in rest])
            # Posts whose rows lack the same extractors share a reader, with a plan for just these.
            missing = tuple(name for name in self.feature_set.dims if name not in source.extractors)
            yield from self._decode(missing, [request for request in rest if request.post_id in reused], reused)
            rest = [request for request in rest if request.post_id not in reused]
        yield from self._decode(tuple(self.feature_set.dims), rest, {})

    def _rows(self, log2_buckets: int, bucket: int) -> list[pa.Table]:
        """Read the rows of each source table in a bucket; cached, since a worker gets several chunks of a bucket."""
        if self._cached_bucket != (log2_buckets, bucket):
            self._cached_rows = [source.rows(log2_buckets, bucket) for source in self.sources]
            self._cached_bucket = (log2_buckets, bucket)
        return self._cached_rows

    def _decode(
        self, extractors: tuple[str, ...], requests: Sequence[ExtractionRequest], reused: Mapping[str, ExtractionResult]
    ) -> Iterator[DecodedPost]:
        """Decode for these extractors. Files that no extractor needs are not read if their facts are reused."""
        reader = self._reader(extractors)
        if reused and not reader.plan.requests:
            posts = (DecodedPost(request, Media(reused[request.post_id].facts)) for request in requests)
        else:
            posts = reader.read(requests)
        for post in posts:
            media = post.media and _hashed(post.media)
            yield replace(post, media=media, extractors=extractors, reused=reused.get(post.request.post_id))

    def close(self) -> None:
        """End the child processes."""
        for reader in self._readers.values():
            reader.close()

    def _reader(self, extractors: tuple[str, ...]) -> MediaReader:
        if extractors not in self._readers:
            requests = (request for spec in self.feature_set.specs if spec.name in extractors for request in spec.needs)
            self._readers[extractors] = MediaReader(with_hashed_frames(requests), self.store, self.settings)
        return self._readers[extractors]


def _hashed(media: Media) -> Media:
    video_hash = perceptual_hash(media)
    return media if video_hash is None else replace(media, facts=replace(media.facts, video_hash=video_hash))


class EncodeStage:
    """Second stage of a backfill: runs the remaining extractors, loaded on first use, and adds reused features."""

    def __init__(self, feature_set: FeatureSet, *, device: str = "cpu") -> None:
        self.feature_set, self.device = feature_set, device
        self._encoders: dict[tuple[str, ...], FeatureEncoder] = {}

    def encode(self, posts: Iterable[DecodedPost]) -> Iterator[ExtractionResult]:
        """Yield the result of each post, in order."""
        # `decode` yields the posts of one source table after another: consecutive posts need the same extractors.
        for extractors, group in groupby(posts, lambda post: post.extractors):
            batch = list(group)
            results = self._encoder(extractors or ()).encode(batch)
            for result, post in zip(results, batch, strict=True):
                yield _with_reused(result, post.reused)

    def _encoder(self, names: tuple[str, ...]) -> FeatureEncoder:
        if names not in self._encoders:
            entries = tuple(entry for entry in self.feature_set.entries if entry.spec.name in names)
            subset = replace(self.feature_set, entries=entries) if names else None  # a feature set cannot be empty
            self._encoders[names] = FeatureEncoder(subset.build(device=self.device) if subset else ())
        return self._encoders[names]


def _with_reused(result: ExtractionResult, reused: ExtractionResult | None) -> ExtractionResult:
    """Add reused features to a result, unless the post failed."""
    if reused is None or result.status == "failed":
        return result
    reason = result.reason or reused.reason
    video_hash = result.facts.video_hash or reused.facts.video_hash  # the rest may need no pictures
    return replace(
        result,
        facts=replace(result.facts, video_hash=video_hash),
        status="partial" if reason else "ok",
        reason=reason,
        detail=result.detail or reused.detail,
        vectors={**reused.vectors, **result.vectors},
        notes={**reused.notes, **result.notes},
    )
