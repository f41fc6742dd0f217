"""Compute the tables of trends of a root, and write them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.bucketed import log2_buckets_for
from viral.tables.places import TREND_TABLES
from viral.tables.trend_schemas import TREND_POSTS, TRENDS
from viral.trends.common import viral_features
from viral.trends.corpus import Corpus, open_corpus
from viral.trends.kinds import KINDS, NEW_SOUND, TOPIC
from viral.trends.new_sounds import predict_new_sounds
from viral.trends.rows import trend_rows
from viral.trends.topics import fill_topics

DAYS = 7.0  # of a window: weekdays differ, and weeks have all of them


@dataclass
class TrendsSummary:
    """Counts of posts and of trends by kind, and the windows.

    `undated` posts have no posting time, or a wrong one; `later` ones are newer than the windows. Neither counts, and
    `without_views` only among posts, authors and clips. `copies` show the video of another post.
    """

    as_of: str
    window_days: float
    posts: int
    undated: int
    later: int
    without_views: int
    copies: int
    trends: dict[str, int] = field(default_factory=dict)
    features: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trends:
    """The three tables: trends of all kinds, the posts behind them, and features of viral posts and others."""

    trends: pa.Table
    posts: pa.Table
    features: pa.Table
    summary: TrendsSummary


def compute_trends(store: Store, *, days: float = DAYS, as_of: datetime | None = None) -> Trends:
    """Compute all trends of a root, in this process.

    Loads all posts into a database in a temporary folder, about 1 kB each, of which 1.5 GB at most are in memory.

    Args:
        store: the root.
        days: length of a window.
        as_of: end of the newest window; default: the last post.

    Raises:
        TableError: there are no posts, or none has a time.
        ConfigError: `as_of` is before the first post.
    """
    with open_corpus(store, days, as_of) as corpus:
        summary = _summary(corpus)
        trends, posts = [TRENDS.empty_table()], [TREND_POSTS.empty_table()]
        names, predictions = {TOPIC: fill_topics(store, corpus)}, {NEW_SOUND: predict_new_sounds(store, corpus)}
        for kind in KINDS:
            rows, behind = trend_rows(corpus, kind, names.get(kind, {}), predictions.get(kind, {}))
            trends.append(rows)
            posts.append(behind)
            summary.trends[kind.title] = rows.num_rows
        features = viral_features(store, corpus)
        summary.features = features.num_rows
        return Trends(pa.concat_tables(trends), pa.concat_tables(posts), features, summary)


def write_trends(store: Store, trends: Trends) -> None:
    """Replace the three tables of a root. A reader that reads two of them meanwhile may see trends of two runs."""
    about = {"as_of": trends.summary.as_of, "window_days": trends.summary.window_days}
    for name, rows in (("trends", trends.trends), ("trend_posts", trends.posts), ("trend_features", trends.features)):
        schema, key = TREND_TABLES[name]
        version = uuid.uuid4().hex[:12]
        table = replaced.begin(store, name, schema, version, key=key)
        table.append(rows, log2_buckets_for(rows.num_rows))
        replaced.commit(store, name, version, about)


def run(store: Store, *, days: float = DAYS, as_of: datetime | None = None) -> Trends:
    """Compute all trends of a root and write them (see `compute_trends`)."""
    trends = compute_trends(store, days=days, as_of=as_of)
    write_trends(store, trends)
    return trends


def _summary(corpus: Corpus) -> TrendsSummary:
    return TrendsSummary(
        as_of=corpus.windows.as_of.isoformat(timespec="seconds"),
        window_days=corpus.windows.days,
        posts=corpus.posts,
        undated=corpus.undated,
        later=corpus.later,
        without_views=corpus.without_views,
        copies=corpus.copies,
        notes=[corpus.note] if corpus.note else [],
    )
