"""The schema of every table: the one place that says what a row is."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

SECONDS = pa.timestamp("us", tz="UTC")

POSTS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("author_id", pa.string()),
        pa.field("posted_at", SECONDS),
        pa.field("scraped_at", SECONDS),
        pa.field("caption", pa.string()),
        pa.field("hashtags", pa.list_(pa.string())),
        pa.field("sound_id", pa.string()),
        pa.field("sound_title", pa.string()),
        pa.field("sound_original", pa.bool_()),
        pa.field("sound_uri", pa.string()),
        pa.field("sound_uses", pa.int64()),
        pa.field("duration_seconds", pa.float64()),
        pa.field("views", pa.int64()),
        pa.field("likes", pa.int64()),
        pa.field("comments", pa.int64()),
        pa.field("shares", pa.int64()),
        pa.field("saves", pa.int64()),
        pa.field("author_followers", pa.int64()),
        pa.field("page_url", pa.string()),
        pa.field("video_uri", pa.string()),
    ]
)
"""One scraped post. Counts, `sound_uses` (posts with that sound) and `author_followers` are as of `scraped_at`;
`video_uri` is a key below the root, an absolute path, or an `s3://` address."""

SYNTHETIC = "synthetic"
"""The `source` of posts that were generated; a model trained on any of them says so."""

COUNTS = ("views", "likes", "comments", "shares", "saves")
"""Counts that exist only after posting: never inputs of a model, only of its label."""

SOUND_HISTORY = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("sound_posts_before", pa.int64(), nullable=False),
        pa.field("sound_uses_before", pa.int64()),
    ]
)
"""What was known of a post's sound when the post went up: how many posts of the table had used it, and its `sound_uses`
as last scraped before that moment, null if it never was."""

REJECTS = pa.schema(
    [
        pa.field("reject_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.string()),
    ]
)
"""One scraped row that is no post, with the reason. `reject_id` is a hash of the rest: the same row twice is one."""

FETCHES = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        pa.field("host", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("video_uri", pa.string()),
        pa.field("post_id", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("fetched_at", SECONDS, nullable=False),
    ]
)
"""What became of one address. `status` is `done`, `failed`, or `skipped` (refused by our own rules); a feed is `done`
with reason `feed` and no file. `post_id` is that of the post it was fetched for, if any; `host` is as allowed."""

FACTS = pa.schema(
    [
        pa.field("container", pa.string()),
        pa.field("video_codec", pa.string()),
        pa.field("audio_codec", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("rotation", pa.int32()),
        pa.field("fps", pa.float64()),
        pa.field("declared_seconds", pa.float64()),
        pa.field("seen_seconds", pa.float64()),
        pa.field("decoder", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("sha256", pa.string()),
    ]
)
"""What is known of a file after it was read; `width` and `height` are as shown, after rotation."""

_ATTEMPT = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("finished_at", SECONDS, nullable=False),
        pa.field("stage_seconds", pa.map_(pa.string(), pa.float64())),
        pa.field("feature_set", pa.string(), nullable=False),
        pa.field("code_version", pa.string(), nullable=False),
    ]
)


VECTOR = pa.list_(pa.float32())
"""A vector. Not of fixed size: pyarrow writes a null of fixed size to Parquet such that it cannot be read again."""


def features(extractors: Iterable[str], tells: Iterable[str] = ()) -> pa.Schema:
    """The schema of a feature table: one attempt at one post, with a nullable vector for each extractor.

    Args:
        extractors: their names, in order.
        tells: those of them whose vectors come with a note: JSON, in a nullable column each.
    """
    vectors = [pa.field(name, VECTOR) for name in extractors]
    notes = [pa.field(note_column(name), pa.string()) for name in tells]
    return pa.schema([*_ATTEMPT, *FACTS, *vectors, *notes])


def note_column(extractor: str) -> str:
    """The column of a feature table that holds what an extractor says in words."""
    return f"{extractor}_note"


LABELS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("author_id", pa.string()),
        pa.field("posted_at", SECONDS),
        pa.field("split", pa.string(), nullable=False),
        pa.field("target", pa.float64(), nullable=False),
        pa.field("is_viral", pa.bool_(), nullable=False),
        pa.field("likes_rate", pa.float32()),
        pa.field("comments_rate", pa.float32()),
        pa.field("shares_rate", pa.float32()),
    ]
)
"""One labelled post. `split` is `train`, `validation`, `test` or `unused`.

A rate is log(count + 1) - log(views + 1), null where one of the two is not known."""

PREDICTIONS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("percentile", pa.float64()),
        pa.field("known", pa.bool_()),
        pa.field("present", pa.list_(pa.string()), nullable=False),
        pa.field("missing", pa.list_(pa.string()), nullable=False),
        pa.field("shares", pa.map_(pa.string(), pa.float64()), nullable=False),
        pa.field("model", pa.string(), nullable=False),
    ]
)
"""What one model says of one post: P(viral), the score in its 90 % interval, each modality's share.

`percentile` is among the model's reference posts; null, as `known`, where the model is not calibrated, and null where
`known` is false."""

TESTED = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("author", pa.int64(), nullable=False),
        pa.field("target", pa.float64(), nullable=False),
        pa.field("is_viral", pa.bool_(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
    ]
)
"""What a model said of one test post, and what became of it. `author` is a code, one for each author."""
