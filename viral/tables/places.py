"""Location of each table below a root, and the valid names of tables and models."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from viral.errors import ConfigError
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.posts import PostsTable
from viral.tables.replaced import open_current
from viral.tables.schemas import DRAFTS, FETCHES, LABELS, REJECTS
from viral.tables.trend_schemas import TREND_FEATURES, TREND_POSTS, TRENDS

TREND_TABLES = {
    "trends": (TRENDS, "trend_id"),
    "trend_posts": (TREND_POSTS, "trend_post_id"),
    "trend_features": (TREND_FEATURES, "feature"),
}
"""Schema and key of each table that `viral trends` replaces, by its prefix, which is its name in SQL, too."""

# Names become parts of keys and URIs: no character in them needs escaping.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def posts_table(store: Store) -> PostsTable:
    """The posts of a root: one row per `post_id`, with the newest known value of each column."""
    return PostsTable(store)


def load_posts(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all posts of a root into memory, ordered by `post_id`."""
    return posts_table(store).read(columns=columns)


def rejects_table(store: Store) -> BucketedTable:
    """The scraped rows that are not valid posts, with the reason."""
    return BucketedTable(store, "rejects", REJECTS, key="reject_id")


def labels_prefix(name: str) -> str:
    """Prefix of a label table."""
    return f"labels/{check_name(name)}"


def load_labels(store: Store, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a label table into memory, ordered by `post_id`.

    Raises:
        TableError: there is no such table.
    """
    table, _ = open_current(store, labels_prefix(name), LABELS)
    return table.read(columns=columns)


def predictions_prefix(model: str) -> str:
    """Prefix of the predictions of a model (`name/version`)."""
    return f"predictions/{model.replace('/', '-')}"


def fetches_table(store: Store) -> BucketedTable:
    """The fetch ledger of a root: one row per URL, from the newest attempt."""
    return BucketedTable(store, "fetches", FETCHES, key="url", newest_by="fetched_at")


def drafts_table(store: Store) -> BucketedTable:
    """The drafts that somebody kept, with what was predicted of them."""
    return BucketedTable(store, "drafts", DRAFTS, key="draft_id", newest_by="changed_at")


def check_name(name: str) -> str:
    """Return `name` if a table or a model may have it.

    Raises:
        ConfigError: it has other characters, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not a valid name: use at most 64 letters, digits, '.', '_' and '-'")
    return name
