"""The trends of 1,000 real posts, against figures computed from the scraped file in plain Python."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs import ingest
from jobs.ingesting.source import IngestSource
from viral.storage.store import Store
from viral.trends.trends import compute_trends

DAYS = 28  # of a window: this small file has too few sounds per week


def items(post: dict[str, Any]) -> Iterator[tuple[str, set[str] | None]]:
    """The items of a post in the form of the file; None where it does not know them."""
    tags = {tag["name"].lower() for tag in post["hashtags"]}
    tags |= set() if tags or not post["text"] else {tag.lower() for tag in re.findall(r"#([^\s#]+)", post["text"])}
    yield "sound", {post["musicMeta"]["musicId"]}
    yield "hashtag", tags if tags or post["text"] else None


def test_the_top_tens_are_those_of_the_formula(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "trending_dec2020" / "trending.json"
    posts = json.loads(file.read_text(encoding="utf-8"))["collector"]
    store = Store.open(tmp_path)
    ingest.run(store, IngestSource("trending_json", (str(file),)))
    found = compute_trends(store, days=DAYS)
    end = max(post["createTime"] for post in posts)
    assert found.summary.as_of == datetime.fromtimestamp(end, UTC).isoformat()
    authors, totals = defaultdict(set), defaultdict(set)
    for post in posts:
        window = timedelta(seconds=end - post["createTime"]) // timedelta(days=DAYS)
        for kind, carried in items(post):
            if carried is not None:
                totals[kind, window].add(post["authorMeta"]["id"])
            for item in carried or ():
                authors[kind, window, item].add(post["authorMeta"]["id"])
    for kind in ("sound", "hashtag"):
        expected = {}
        for (name, window, item), who in list(authors.items()):
            if (name, window) == (kind, 0) and len(who) >= 3:
                a, b = len(who), len(authors[kind, 1, item])
                all_a, all_b = len(totals[kind, 0]), len(totals[kind, 1])
                p = (a + b) / (all_a + all_b)
                rise = (a / all_a - b / all_b) / math.sqrt(p * (1 - p) * (1 / all_a + 1 / all_b))
                expected[item] = (round(rise, 9), a / DAYS, round((a - b * all_a / all_b) / DAYS**2, 9))
        rows = [row for row in found.trends.to_pylist() if row["kind"] == kind]
        figures = {
            row["key"]: (round(row["rise"], 9), row["velocity"], round(row["acceleration"], 9))
            for row in sorted(rows, key=lambda row: row["rise_rank"])
        }
        assert figures == expected and len(figures) >= 3
        best = sorted(expected.values(), reverse=True)[:10]
        assert [value[0] for value in list(figures.values())[:10]] == [value[0] for value in best]
