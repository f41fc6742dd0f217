"""A year of posts with known truth in a root: kept drafts, the posts that they became, and the label of the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from viral.diary.drafts import KeptDraft, keep
from viral.labels import LabelSpec, fit
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

START = datetime(2026, 1, 1, tzinfo=UTC)
NOISE = 1.2  # deviation of the truth around the score, in log views
QUANTILE = 1.645  # of the normal distribution: 90 % lie within this many deviations


def as_posts(columns: dict[str, list[object]]) -> pa.Table:
    """Posts with these columns, and null elsewhere."""
    count = len(columns["post_id"])
    values = {"source": ["test"] * count, **columns}
    return pa.table({f.name: pa.array(values.get(f.name, [None] * count), f.type) for f in POSTS}, POSTS)


def simulate(store: Store, posts: int, creator: str = "ann", seed: int = 3) -> None:
    """Keep a draft for each post of a year, by a model whose predictions are right."""
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    scores = rng.normal(8.0, 1.5, posts)
    targets = scores + NOISE * rng.normal(size=posts)
    times = [START + timedelta(days=360 * number / posts, hours=2) for number in range(posts)]
    rows = as_posts(
        {
            "post_id": [f"{creator}-{number}" for number in range(posts)],
            "author_id": [creator] * posts,
            "posted_at": list(times),
            "scraped_at": [time + timedelta(days=30) for time in times],
            "views": [max(0, round(float(np.expm1(target)))) for target in targets],
        }
    )
    posts_table(store).append(rows, 0)
    fitted = fit(LabelSpec("log_views"), rows, np.ones(posts, bool))
    if "m" not in Registry(store).names():
        Registry(store).save("m", {"kind": "network", "label": {"name": "log_views", "fitted": fitted.to_dict()}}, b"")
    for number, (score, time) in enumerate(zip(scores.tolist(), times, strict=True)):
        probability = float(norm.sf((fitted.threshold.overall - score) / NOISE))
        low, high = score - QUANTILE * NOISE, score + QUANTILE * NOISE
        draft = KeptDraft("m/1", "log_views", probability, score, low, high, known=True, creator=creator)
        linked = {"title": f"draft {number}", "link": f"https://www.tiktok.com/@{creator}/video/{creator}-{number}"}
        keep(store, KeptDraft(**{**draft.__dict__, **linked}), now=time - timedelta(hours=2))
