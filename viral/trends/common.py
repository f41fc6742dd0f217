"""What viral posts have in common: how each feature is distributed among them, and among the other posts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.storage.store import Store
from viral.tables.trend_schemas import TREND_FEATURES
from viral.trends.corpus import VIRAL_TOP, Corpus
from viral.trends.effects import effects
from viral.trends.vectors import vector_columns

# Posts that are compared, of authors drawn at random. A hundred features of them take about 20 s; more posts would make
# intervals narrower than what they leave out.
COMPARED_POSTS = 50_000
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# `metadata` says what the posts table says, and numbers of a hashed bag or of a spectrum mean nothing to a reader.
_WITHOUT_MEANING = ("metadata", "wording: hashtags_")

_FEATURES = {
    "duration in seconds": "duration_seconds",
    "letters of the caption": "length(caption)",
    "words of the caption": "len(string_split_regex(trim(caption), '\\s+'))",
    "hashtags": "len(hashtags)",
    "mentions": "len(regexp_extract_all(caption, '@\\w'))",
    "caption has a question mark": "CAST(regexp_matches(caption, '[?\\x{FF1F}\\x{061F}]') AS INTEGER)",
    "followers of the author": "author_followers",
    "original sound": "CAST(sound_original AS INTEGER)",
    "photo set": "CAST(kind = 'photos' AS INTEGER)",
    "advertisement": "CAST(is_ad AS INTEGER)",
    "made with AI": "CAST(made_with_ai AS INTEGER)",
    "posted at the weekend (UTC)": "CAST(isodow(posted_at) >= 6 AS INTEGER)",
    **{
        f"posted from {hour} to {hour + 6} h (UTC)": f"CAST(hour(posted_at) BETWEEN {hour} AND {hour + 5} AS INTEGER)"
        for hour in (0, 6, 12, 18)
    },
}
"""Features of the posts table, in SQL; null where unknown."""

# Of the posts with one video, the earliest.
_POSTS = """
SELECT i, stored.post_id, author, reach > {threshold} AS viral FROM reach JOIN post USING (i) JOIN stored USING (i)
QUALIFY row_number() OVER (PARTITION BY clip ORDER BY post.posted_at, stored.post_id) = 1 ORDER BY i
"""


def viral_features(store: Store, corpus: Corpus) -> pa.Table:
    """Compare viral posts with the others, as rows of `TREND_FEATURES`, the largest effect first.

    A post is viral if more than 1 - `VIRAL_TOP` of the posts of the same age have fewer views. Without views in both
    groups, there are no rows.
    """
    posts = _sample(corpus.table(_POSTS.format(threshold=1 - VIRAL_TOP)))
    viral = np.asarray(posts["viral"], bool)
    if not viral.any() or viral.all():
        return TREND_FEATURES.empty_table()
    columns = dict(_varied({**_of_posts(corpus, posts), **_of_vectors(store, posts)}))
    if not columns:
        return TREND_FEATURES.empty_table()
    found = effects(np.stack(list(columns.values()), axis=1), viral, posts["author"].to_numpy())
    rows = [
        {**_distribution(name, values, viral), **found.row(index)}
        for index, (name, values) in enumerate(columns.items())
        if np.isfinite(found.effect[index])
    ]
    rows.sort(key=lambda row: (-abs(row["effect"]), row["feature"]))
    return pa.Table.from_pylist(rows, schema=TREND_FEATURES)


def _sample(posts: pa.Table) -> pa.Table:
    """Posts of whole authors drawn at random, about `COMPARED_POSTS` of them."""
    if posts.num_rows <= COMPARED_POSTS:
        return posts
    _, index, sizes = np.unique(posts["author"].to_numpy(), return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(sizes))
    drawn = np.zeros(len(sizes), bool)
    drawn[order[: int(np.searchsorted(np.cumsum(sizes[order]), COMPARED_POSTS)) + 1]] = True
    return posts.filter(pa.array(drawn[index]))


def _of_posts(corpus: Corpus, posts: pa.Table) -> dict[str, npt.NDArray[np.float32]]:
    columns = ", ".join(f'CAST({sql} AS FLOAT) AS "{name}"' for name, sql in _FEATURES.items())
    corpus.database.register("sampled", posts.select(["i"]))
    rows = corpus.table(f"SELECT {columns} FROM stored JOIN sampled USING (i) ORDER BY i")  # noqa: S608 - names and numbers of ours
    corpus.database.unregister("sampled")
    return {name: rows[name].to_numpy().astype(np.float32) for name in _FEATURES}


def _of_vectors(store: Store, posts: pa.Table) -> dict[str, npt.NDArray[np.float32]]:
    """Columns of the extractors whose columns have names."""
    ids, found = posts["post_id"].combine_chunks(), dict[str, npt.NDArray[np.float32]]()
    for extractor, column in vector_columns(store).items():
        if column.spec.columns and extractor not in _WITHOUT_MEANING:
            vectors = column.read(ids)
            found |= {f"{extractor}: {name}": vectors[:, n] for n, name in enumerate(column.spec.columns)}
    return found


def _varied(columns: dict[str, npt.NDArray[np.float32]]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """The features that have at least two values."""
    for name, values in columns.items():
        known = values[np.isfinite(values)]
        if len(known) and known.min() < known.max() and not name.startswith(_WITHOUT_MEANING):
            yield name, values


def _distribution(name: str, values: npt.NDArray[np.float32], viral: npt.NDArray[np.bool_]) -> dict[str, Any]:
    row: dict[str, Any] = {"feature": name}
    for side, mask in (("viral", viral), ("other", ~viral)):
        known = values[mask & np.isfinite(values)].astype(np.float64)
        row[f"{side}_posts"] = len(known)
        row[f"{side}_mean"] = float(known.mean()) if len(known) else float("nan")
        row[f"{side}_quantiles"] = np.quantile(known, QUANTILES).tolist() if len(known) else []
    return row
