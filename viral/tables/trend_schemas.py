"""The schemas of the tables of `viral trends`."""

from __future__ import annotations

import pyarrow as pa

from viral.tables.schemas import TIMESTAMP

TRENDS = pa.schema(
    [
        pa.field("trend_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("rise_rank", pa.int32(), nullable=False),
        pa.field("velocity_rank", pa.int32(), nullable=False),
        pa.field("velocity", pa.float64(), nullable=False),
        pa.field("acceleration", pa.float64()),
        pa.field("rise", pa.float64()),
        pa.field("beyond_chance", pa.bool_()),
        pa.field("first_seen", TIMESTAMP, nullable=False),
        pa.field("authors", pa.int64(), nullable=False),
        pa.field("clips", pa.int64(), nullable=False),
        pa.field("all_authors", pa.int64(), nullable=False),
        pa.field("median_views", pa.float64()),
        pa.field("median_reach", pa.float64()),
        pa.field("median_followers", pa.float64()),
        pa.field("counts", pa.list_(pa.int64()), nullable=False),
        pa.field("totals", pa.list_(pa.int64()), nullable=False),
        pa.field("predicted_probability", pa.float64()),
        pa.field("predicted_score", pa.float64()),
        pa.field("predicted_low", pa.float64()),
        pa.field("predicted_high", pa.float64()),
        pa.field("prediction_model", pa.string()),
        pa.field("window_days", pa.float64(), nullable=False),
        pa.field("as_of", TIMESTAMP, nullable=False),
    ]
)
"""One trend: a sound, hashtag, word, creator or topic, or a new sound, by `kind`; the formula of each figure is in
`viral/trends/README.md`. `counts` are what the velocity counts, per window from old to new, `totals` what they are a
share of. `authors`, `clips` and the medians are of the newest window, `all_authors` of all windows of the series;
`median_reach` is the median share of posts of the same age that have fewer views. `predicted_` values are those of the
sound model, in the units of its label, and null for all but new sounds."""

TREND_POSTS = pa.schema(
    [
        pa.field("trend_post_id", pa.string(), nullable=False),
        pa.field("trend_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("author_id", pa.string()),
        pa.field("posted_at", TIMESTAMP, nullable=False),
        pa.field("views", pa.int64()),
        pa.field("reach", pa.float64()),
        pa.field("caption", pa.string()),
        pa.field("page_url", pa.string()),
        pa.field("video_uri", pa.string()),
    ]
)
"""A post behind a trend: of those in the newest window, the ones with the greatest reach, each clip once."""

TREND_FEATURES = pa.schema(
    [
        pa.field("feature", pa.string(), nullable=False),
        pa.field("viral_posts", pa.int64(), nullable=False),
        pa.field("other_posts", pa.int64(), nullable=False),
        pa.field("viral_mean", pa.float64(), nullable=False),
        pa.field("other_mean", pa.float64(), nullable=False),
        pa.field("viral_quantiles", pa.list_(pa.float64()), nullable=False),
        pa.field("other_quantiles", pa.list_(pa.float64()), nullable=False),
        pa.field("effect", pa.float64(), nullable=False),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("adjusted_p", pa.float64()),
    ]
)
"""A feature in viral posts and in others: numbers of posts that have it, means, quantiles (0.1, 0.25, 0.5, 0.75, 0.9),
and the effect size (Cliff's delta) with its simultaneous interval; an association, which says nothing of causes."""
