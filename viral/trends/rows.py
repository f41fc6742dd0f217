"""Rows of the tables of trends, from the figures of a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from viral.tables.trend_schemas import TREND_POSTS, TRENDS
from viral.trends.corpus import Corpus
from viral.trends.figures import trends_of
from viral.trends.kinds import NEW_SOUND, SOUND, TrendKind

EVIDENCE = 10  # posts stored per trend; each clip once
LEVEL = 0.05  # probability that chance alone gives any trend of a kind that is `beyond_chance`
_PREDICTED = tuple(name for name in TRENDS.names if name.startswith("predict"))
_NONE: Mapping[str, Any] = MappingProxyType({})

_NAMES = """
SELECT sound_id AS item, arg_max(sound_title, (posted_at, post_id)) AS name FROM post
WHERE sound_id IN (SELECT item FROM shown) AND sound_title <> '' GROUP BY sound_id
"""

# Of each clip the table `use` has one post per item (see `figures`).
_POSTS = """
SELECT '{kind}:' || item || '#' || rank AS trend_post_id, '{kind}:' || item AS trend_id, CAST(rank AS INTEGER) AS rank,
    stored.post_id, stored.author_id, stored.posted_at, stored.views, reach, stored.caption, page_url, video_uri
FROM (
    SELECT item, i, reach, row_number() OVER (
        PARTITION BY item ORDER BY reach DESC NULLS LAST, views DESC NULLS LAST, posted_at DESC, i) AS rank
    FROM use JOIN fact USING (i) WHERE window_number = 0 AND item IN (SELECT item FROM shown)
) JOIN stored USING (i) WHERE rank <= {evidence} ORDER BY trend_id, rank
"""


def trend_rows(
    corpus: Corpus,
    kind: TrendKind,
    names: Mapping[str, str] = _NONE,
    predictions: Mapping[str, Mapping[str, Any]] = _NONE,
) -> tuple[pa.Table, pa.Table]:
    """Compute the trends of a kind, as rows of `TRENDS`, and the posts behind them, as rows of `TREND_POSTS`.

    Args:
        corpus: the posts.
        kind: the kind.
        names: of items; others are their own names, and sounds have their titles.
        predictions: more columns of `TRENDS` by item.
    """
    figures, totals = trends_of(corpus, kind)
    corpus.database.register("shown", figures.select(["item"]))
    if kind in (SOUND, NEW_SOUND):
        names = dict(zip(*corpus.table(_NAMES).to_pydict().values(), strict=True))
    posts = corpus.table(_POSTS.format(kind=kind.name, evidence=EVIDENCE)).cast(TREND_POSTS)
    corpus.database.unregister("shown")
    items, count = figures["item"].to_pylist(), figures.num_rows
    columns: dict[str, Any] = {
        **{name: figures[name] for name in figures.column_names if name in TRENDS.names},
        **{name: [predictions.get(item, {}).get(name) for item in items] for name in _PREDICTED},
        "trend_id": [f"{kind.name}:{item}" for item in items],
        "kind": [kind.name] * count,
        "key": items,
        "name": [names.get(item) or item for item in items],
        "totals": [list(totals)] * count,
        "beyond_chance": beyond_chance(corpus, figures, totals),
        "window_days": [corpus.windows.days] * count,
        "as_of": [corpus.windows.as_of] * count,
    }
    return pa.table({field.name: columns[field.name] for field in TRENDS}).cast(TRENDS), posts


def beyond_chance(corpus: Corpus, figures: pa.Table, totals: Sequence[int]) -> pa.Array:
    """Whether chance rarely gives a rise as large as that, among all items of the two newest windows.

    The p-value is that of Fisher's exact test, one-sided, times the number of items (Bonferroni's correction, which
    needs no figures of the other items). Null without posts in the window before the newest.
    """
    from scipy.stats import hypergeom

    previous, newest = totals[-2:]
    if not previous or not figures.num_rows:
        return pa.nulls(figures.num_rows, pa.bool_())
    [items] = corpus.row("SELECT count(DISTINCT item) FROM use WHERE window_number <= 1")
    counts = np.array(figures["counts"].to_pylist())[:, -2:]
    chance = hypergeom.sf(counts[:, 1] - 1, previous + newest, counts.sum(axis=1), newest)
    return pa.array(chance * items < LEVEL)
