"""The schema of every table."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")

POSTS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("author_id", pa.string()),
        pa.field("posted_at", TIMESTAMP),
        pa.field("posted_at_from", pa.string()),
        pa.field("scraped_at", TIMESTAMP),
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
        pa.field("has_sound", pa.bool_()),
        pa.field("kind", pa.string()),
        pa.field("slides", pa.list_(pa.string())),
        # From here to the end: `PLATFORM_FACTS`.
        pa.field("subtitles", pa.string()),
        pa.field("subtitles_language", pa.string()),
        pa.field("sticker_texts", pa.list_(pa.string())),
        pa.field("effects", pa.list_(pa.string())),
        pa.field("is_ad", pa.bool_()),
        pa.field("paid_partnership", pa.bool_()),
        pa.field("made_with_ai", pa.bool_()),
        pa.field("duet_of", pa.string()),
        pa.field("stitch_of", pa.string()),
        pa.field("location", pa.string()),
    ]
)
"""One scraped post. Counts, `sound_uses` (posts with that sound) and `author_followers` are as of `scraped_at`, or of
the last scrape that knew them; `video_uri` is a key below the root, an absolute path, or an `s3://` URI; `has_sound` is
what the scrape says of the video's format; `subtitles` is the platform's transcript. `kind` is `VIDEO`, `PHOTOS` or
`STORY` (a video), null if the scrape does not say; `slides` are the URIs of the pictures of a photo set, in order.
`posted_at_from` says where an inexact `posted_at` is from: `FROM_ID`, `FROM_DAY` or `FROM_AGE`.

`PLATFORM_FACTS` are what the platform says of the post, in its own words; null where the scrape does not say.
`subtitles_language` is the language of its subtitles, or that of the speech where there are several (`eng-US`).
`sticker_texts` are the texts laid over the picture; `effects` are names, or else identifiers. `is_ad` is whether the
platform was paid for the post, `paid_partnership` whether the author was, `made_with_ai` whether the author or the
platform labelled it so. `duet_of` and `stitch_of` are identifiers of the post that it shows beside itself, or begins
with. `location` is the place that it names, or else the country."""

PLATFORM_FACTS = tuple(POSTS.names[POSTS.names.index("subtitles") :])
"""The columns of a post that hold what the platform says of it."""

FROM_ID, FROM_DAY, FROM_AGE = "id", "day", "age"
"""The time was taken from the identifier of the post; is a day without a time; was computed from an age in words."""

VIDEO, PHOTOS, STORY = "video", "photos", "story"
"""Kinds of posts."""

POST_VIDEOS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("video_uri", pa.string(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("fetched_at", TIMESTAMP, nullable=False),
    ]
)
"""The file that was fetched for a post; `video_uri` is its key below the root."""

POST_SLIDES = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("slides", pa.list_(pa.string()), nullable=False),
        pa.field("sound_uri", pa.string()),
        pa.field("fetched_at", TIMESTAMP, nullable=False),
    ]
)
"""The files of a photo set, all of whose slides are stored; fetched ones are keys below the root. `sound_uri` is null
unless it was fetched."""

SYNTHETIC = "synthetic"
"""The `source` of generated posts. The card of a model trained on them says so."""

COUNTS = ("views", "likes", "comments", "shares", "saves")
"""Counts that exist only after posting: labels use them, models must not."""

SOUND_HISTORY = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("sound_posts_before", pa.int64(), nullable=False),
        pa.field("sound_uses_before", pa.int64()),
    ]
)
"""State of a post's sound at the time of posting: how many posts of the table had used it, and its `sound_uses` as last
scraped before; null if it was never scraped before."""

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
"""One scraped row that is not a valid post. `reject_id` is a hash of the other columns, so repeats are stored once."""

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
        pa.field("fetched_at", TIMESTAMP, nullable=False),
    ]
)
"""Newest attempt to fetch one URL. `status` is `done`, `failed`, or `skipped` (not allowed by the options); a feed is
`done` with reason `feed` and no file, and a video that is not as its page declares it is `done` with the reason why.
`post_id` is the post that the URL was fetched for, if any; `host` is the allowed host that it belongs to."""

FACTS = pa.schema(
    [
        pa.field("container", pa.string()),
        pa.field("video_codec", pa.string()),
        pa.field("audio_codec", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        # Degrees counterclockwise: 0, 90, 180 or 270.
        pa.field("rotation", pa.int32()),
        pa.field("transfer", pa.string()),
        pa.field("hdr", pa.bool_()),
        pa.field("fps", pa.float64()),
        # The length by the header of the file, and the end of its last packet: a truncated file has less than it
        # declares.
        pa.field("declared_seconds", pa.float64()),
        pa.field("seen_seconds", pa.float64()),
        pa.field("decoder", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("video_hash", pa.binary()),
        pa.field("slides", pa.int32()),
    ]
)
"""Properties of a media file; `width` and `height` are as displayed, after rotation. `slides` is the number of pictures
of a photo set, null for a video; its `bytes` and `sha256` are those of all its files. `transfer` is the transfer
function by its name in ffmpeg, null if the file names none; `hdr` is whether the video is HDR, or may be. `video_hash`
is the perceptual hash, null where no picture was decoded, and in rows of versions without it."""

_ATTEMPT = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        # Counted from 0.
        pa.field("attempt", pa.int32(), nullable=False),
        # `ok`, or `partial` or `failed`, both of which have a reason.
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("finished_at", TIMESTAMP, nullable=False),
        # Wall time by stage: reading, decoding, and each extractor by name.
        pa.field("stage_seconds", pa.map_(pa.string(), pa.float64())),
        pa.field("feature_set", pa.string(), nullable=False),
        pa.field("code_version", pa.string(), nullable=False),
    ]
)


VECTOR = pa.list_(pa.float32())
"""Type of a vector, of variable size because pyarrow cannot read nulls of fixed-size lists back from Parquet."""


def feature_schema(extractors: Iterable[str], with_notes: Iterable[str] = ()) -> pa.Schema:
    """Schema of a feature table: one attempt at one post, with a nullable vector per extractor.

    Args:
        extractors: names of the extractors, in order.
        with_notes: names of the extractors that also write a note (JSON, nullable).
    """
    vectors = [pa.field(name, VECTOR) for name in extractors]
    notes = [pa.field(note_column(name), pa.string()) for name in with_notes]
    return pa.schema([*_ATTEMPT, *FACTS, *vectors, *notes])


def note_column(extractor: str) -> str:
    """Name of the column with the notes of an extractor."""
    return f"{extractor}_note"


LABELS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("author_id", pa.string()),
        pa.field("posted_at", TIMESTAMP),
        pa.field("split", pa.string(), nullable=False),
        # In the units of the label: the more viral, the higher.
        pa.field("target", pa.float64(), nullable=False),
        pa.field("is_viral", pa.bool_(), nullable=False),
        pa.field("likes_rate", pa.float32()),
        pa.field("comments_rate", pa.float32()),
        pa.field("shares_rate", pa.float32()),
    ]
)
"""One labelled post. `split` is `train`, `validation`, `test` or `unused`.

A rate is log(count + 1) - log(views + 1), null if either count is unknown."""

PREDICTIONS = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("percentile", pa.float64()),
        pa.field("known", pa.bool_()),
        # Modalities that the post has and lacks; `shares` has the contribution of each present one, and they sum to 1.
        pa.field("present", pa.list_(pa.string()), nullable=False),
        pa.field("missing", pa.list_(pa.string()), nullable=False),
        pa.field("shares", pa.map_(pa.string(), pa.float64()), nullable=False),
        pa.field("model", pa.string(), nullable=False),
    ]
)
"""Prediction of one model for one post: P(viral), the score with its 90 % interval, the contribution of each modality.

`known` is whether the post is in distribution, null if the model is not calibrated. `percentile` is relative to
the model's reference posts, null unless `known` is true."""

DRAFTS = pa.schema(
    [
        pa.field("draft_id", pa.string(), nullable=False),
        pa.field("kept_at", TIMESTAMP, nullable=False),
        pa.field("changed_at", TIMESTAMP, nullable=False),
        pa.field("forgotten", pa.bool_(), nullable=False),
        pa.field("creator", pa.string()),
        pa.field("title", pa.string()),
        pa.field("link", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("video_hash", pa.binary()),
        pa.field("seconds", pa.float64()),
        pa.field("model", pa.string()),
        pa.field("label", pa.string()),
        pa.field("probability", pa.float64()),
        pa.field("percentile", pa.float64()),
        pa.field("score", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("known", pa.bool_()),
    ]
)
"""A draft that somebody scored and wanted to keep, and what was predicted. `creator` is an `author_id` of the posts;
`link` is the page of the post that the draft became; `sha256`, `video_hash` and `seconds` are those of its video. Of a
forgotten draft all else is null."""

TEST_PREDICTIONS = pa.schema(
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
"""Prediction of a model for one test post, and the label. `author` is an integer code per author."""
