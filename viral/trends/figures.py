"""Velocity, acceleration and rise of the items of one kind.

The queries are the formulas that `README.md` documents.
"""

from __future__ import annotations

import pyarrow as pa

from viral.trends.corpus import Corpus
from viral.trends.kinds import TrendKind
from viral.trends.window import SERIES

STORED = 200  # trends of a kind in each of the two orders: far more than a page shows

_USES = """
CREATE OR REPLACE TABLE use AS
SELECT item, i, author, clip, window_number, posted_at FROM ({uses}) JOIN post USING (i)
"""
# Of the posts with one video, the earliest that carries an item stands for all: a copy spreads the video, not the item.
_COPIES = """
CREATE OR REPLACE TABLE copied AS SELECT * FROM use WHERE clip IN (
    SELECT clip FROM post GROUP BY clip HAVING count(*) > 1);
DELETE FROM use WHERE clip IN (SELECT clip FROM copied);
INSERT INTO use SELECT copied.* FROM copied JOIN (SELECT i, post_id FROM post) USING (i)
QUALIFY row_number() OVER (PARTITION BY item, clip ORDER BY posted_at, post_id) = 1
"""

_CANDIDATES = """
CREATE OR REPLACE TABLE candidate AS
SELECT item FROM use WHERE window_number = 0 GROUP BY item HAVING count(DISTINCT {counted}) >= {least}
"""

_TOTALS = """
SELECT list(coalesce(total, 0) ORDER BY window_number DESC) FROM (SELECT unnest(range({series})) AS window_number)
LEFT JOIN (
    SELECT window_number, count(DISTINCT {counted}) AS total FROM post
    WHERE {total} AND window_number < {series} GROUP BY window_number
) USING (window_number)
"""

# a: what the newest window counts, b: the one before; all_a, all_b: the same of all posts.
_FIGURES = """
CREATE OR REPLACE TABLE figure AS
WITH chosen AS (SELECT * FROM use WHERE item IN (FROM candidate)), counted AS (
    SELECT item, window_number, count(DISTINCT {counted}) AS count FROM chosen
    WHERE window_number < {series} GROUP BY item, window_number
), series AS (
    SELECT item, list(coalesce(count, 0) ORDER BY window_number DESC) AS counts
    FROM (SELECT item, unnest(range({series})) AS window_number FROM candidate)
    LEFT JOIN counted USING (item, window_number) GROUP BY item
), life AS (
    SELECT item, min(posted_at) AS first_seen,
        count(DISTINCT author) FILTER (window_number < {series}) AS all_authors FROM chosen GROUP BY item
), newest AS (
    SELECT item, count(DISTINCT author) AS authors, count(DISTINCT clip) AS clips, median(views) AS median_views,
        median(reach) AS median_reach FROM chosen JOIN fact USING (i) WHERE window_number = 0 GROUP BY item
), audience AS (
    SELECT item, median(followers) AS median_followers FROM (
        SELECT item, author, max(author_followers) AS followers FROM chosen JOIN fact USING (i)
        WHERE window_number = 0 GROUP BY item, author
    ) GROUP BY item
), compared AS (
    SELECT *, counts[-1] AS a, counts[-2] AS b, {newest_total} AS all_a, {previous_total} AS all_b FROM series
)
SELECT item, counts, first_seen, all_authors, authors, clips, median_views, median_reach, median_followers,
    a / {days} AS velocity,
    CASE WHEN all_b > 0 THEN (a - b * all_a / all_b) / {days} ** 2 END AS acceleration,
    CASE WHEN all_b > 0 THEN coalesce(
        (a / all_a - b / all_b) /
        nullif(sqrt((a + b) / (all_a + all_b) * (1 - (a + b) / (all_a + all_b)) * (1 / all_a + 1 / all_b)), 0), 0
    ) END AS rise
FROM compared JOIN life USING (item) JOIN newest USING (item) JOIN audience USING (item)
"""

# Equal figures are ordered by the next one, and at last by the item, so that two runs give one order.
_RANKED = """
SELECT * FROM (
    SELECT *, row_number() OVER (ORDER BY rise DESC NULLS LAST, velocity DESC, median_reach DESC NULLS LAST, item)
            AS rise_rank,
        row_number() OVER (ORDER BY velocity DESC, rise DESC NULLS LAST, median_reach DESC NULLS LAST, item)
            AS velocity_rank
    FROM figure
) WHERE rise_rank <= {stored} OR velocity_rank <= {stored} ORDER BY rise_rank
"""


def trends_of(corpus: Corpus, kind: TrendKind) -> tuple[pa.Table, list[int]]:
    """Compute the figures of the items of a kind that at least `kind.least` authors carry in the newest window.

    Leaves the tables `use` and `figure` of this kind in the database.

    Returns:
        Rows ordered by `rise_rank`, with `item`; and what all posts count per window, from old to new.
    """
    database = corpus.database
    common = {"counted": kind.counted, "series": SERIES}
    database.execute(_USES.format(uses=kind.uses))
    if corpus.copies:
        database.execute(_COPIES)
    database.execute(_CANDIDATES.format(least=kind.least, **common))
    [totals] = corpus.row(_TOTALS.format(total=kind.total, **common))
    newest, previous = totals[-1], totals[-2]
    figures = _FIGURES.format(newest_total=newest, previous_total=previous, days=corpus.windows.days, **common)
    database.execute(figures)
    return corpus.table(_RANKED.format(stored=STORED)), totals
