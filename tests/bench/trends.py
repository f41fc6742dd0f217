"""`viral trends` on synthetic posts with planted rising sounds, hashtags and words.

`python -m tests.bench.trends [--posts 1000000] [--root ROOT]`. Posts of 120 days by authors of whom one in a thousand
makes a quarter of all posts; sounds, hashtags and words by Zipf's law; the views grow with the age of a post. In the
newest week `PLANTED` sounds, hashtags and words rise from ten authors of 100,000 posts to sixty. The table says where
the planted ones rank, how long the command and each query of a page take, and the memory of the command's process.
With --root, the posts are written there, and a second run reads them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.storage.store import Store
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

PLANTED = 5
DAYS, END = 120, np.datetime64("2026-03-01T00:00:00", "us")
SOUNDS, TAGS, WORDS = 200_000, 100_000, 50_000
EARLIER, NEWEST = 10, 60  # planted uses of 100,000 posts: in the week before, in the newest one
QUERIES = {
    "top ten sounds": "SELECT name, velocity, rise FROM trends WHERE kind = 'sound' ORDER BY rise_rank LIMIT 10",
    "one trend's posts": "SELECT * FROM trend_posts WHERE trend_id = 'sound:planted-0' ORDER BY rank",
    "all kinds": "SELECT kind, name, counts, totals FROM trends WHERE rise_rank <= 10 ORDER BY kind, rise_rank",
    "fastest hashtags": "SELECT name, velocity FROM trends WHERE kind = 'hashtag' ORDER BY velocity_rank LIMIT 50",
    "viral and other posts": "SELECT * FROM trend_features ORDER BY abs(effect) DESC",
}


def posts(count: int, seed: int = 0) -> pa.Table:
    """Made-up posts, the planted ones included."""
    rng = np.random.default_rng(seed)
    age = rng.random(count) * DAYS
    week = np.floor(age / 7).astype(int)
    authors = np.where(
        rng.random(count) < 0.25, rng.integers(0, count // 1000 + 1, count), rng.integers(0, count, count)
    )
    sounds = zipf(rng, count, SOUNDS)
    tags, words = zipf(rng, count * 3, TAGS).reshape(count, 3), zipf(rng, count * 8, WORDS).reshape(count, 8)
    sound_ids, first_tags = (
        np.char.add(name, values.astype(str)).astype(object) for name, values in (("s", sounds), ("t", tags[:, 0]))
    )
    first_words = np.char.add("w", words[:, 0].astype(str)).astype(object)
    for number in range(PLANTED):
        for when, uses in ((1, EARLIER), (0, NEWEST)):
            for column in (sound_ids, first_tags, first_words):
                chosen = rng.choice(np.flatnonzero(week == when), max(3, uses * count // 100_000), replace=False)
                column[chosen] = f"planted-{number}" if column is not first_words else f"planted{'abcdefghij'[number]}"
    hours = rng.random(count) * 240
    posted = END - (age * 86_400e6).astype("timedelta64[us]")
    scraped = np.minimum(posted + ((age + hours / 24) * 0 + hours * 3600e6).astype("timedelta64[us]"), END)
    views = np.exp(rng.normal(7, 2, count)) * (1 + np.log1p((scraped - posted).astype(float) / 3600e6))
    columns = {
        "post_id": pa.array(np.char.add("p", np.arange(count).astype(str))),
        "source": pa.array(["synthetic"] * count),
        "author_id": pa.array(np.char.add("a", authors.astype(str))),
        "posted_at": pa.array(posted),
        "scraped_at": pa.array(scraped),
        "caption": pa.array(
            [
                f"{first} {' '.join(rest)}"
                for first, rest in zip(first_words, np.char.add("w", words[:, 1:].astype(str)), strict=True)
            ]
        ),
        "hashtags": pa.array(
            [
                [first, *rest]
                for first, rest in zip(first_tags, np.char.add("t", tags[:, 1:].astype(str)).tolist(), strict=True)
            ]
        ),
        "sound_id": pa.array(sound_ids, pa.string()),
        "sound_title": pa.array(sound_ids, pa.string()),
        "duration_seconds": pa.array(rng.gamma(2, 10, count)),
        "views": pa.array(views.astype(np.int64)),
        "author_followers": pa.array(np.exp(rng.normal(6, 2, count)).astype(np.int64)),
    }
    missing = {field.name: pa.nulls(count, field.type) for field in POSTS if field.name not in columns}
    return pa.table({**columns, **missing}).select(POSTS.names).cast(POSTS)


def zipf(rng: np.random.Generator, count: int, kinds: int) -> npt.NDArray[np.int64]:
    """Numbers below `kinds`, the n-th about proportional to 1/n."""
    return np.exp(rng.random(count) * np.log(kinds)).astype(np.int64)


def write(store: Store, count: int) -> None:
    rows = posts(count)
    posts_table(store).append(rows, log2_buckets_for(rows.num_rows))
