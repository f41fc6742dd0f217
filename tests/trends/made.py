"""Posts for tests of trends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

END = datetime(2026, 3, 1, tzinfo=UTC)


def write_posts(store: Store, posts: Sequence[dict[str, Any]]) -> None:
    """Store posts; each is scraped at `END`, made by an author of its own and seen 100 times, unless it says else."""
    rows = [
        {
            **dict.fromkeys(POSTS.names),
            "post_id": f"post {number}",
            "source": "test",
            "author_id": f"author {number}",
            "scraped_at": END,
            "views": 100,
            **post,
        }
        for number, post in enumerate(posts)
    ]
    posts_table(store).append(pa.Table.from_pylist(rows, schema=POSTS), 0)


def days_ago(days: float) -> datetime:
    return END - timedelta(days=days)


def random_posts(count: int, seed: int = 0, days: float = 70.0) -> list[dict[str, Any]]:
    """Posts whose sounds, hashtags and words come from few, some of them by authors with many posts."""
    rng = np.random.default_rng(seed)
    return [
        {
            "author_id": f"a{rng.integers(0, 12) if rng.random() < 0.4 else rng.integers(0, count)}",
            "posted_at": days_ago(float(rng.random() * days)),
            "sound_id": None if rng.random() < 0.1 else f"s{int(rng.exponential(4))}",
            "hashtags": None if rng.random() < 0.1 else [f"t{int(n)}" for n in rng.exponential(5, 3)],
            "caption": None if rng.random() < 0.1 else " ".join(f"w{int(n)}" for n in rng.exponential(8, 4)),
            "views": None if rng.random() < 0.1 else int(rng.lognormal(6, 2)),
            "author_followers": None if rng.random() < 0.2 else int(rng.lognormal(5, 2)),
        }
        for _ in range(count)
    ]
