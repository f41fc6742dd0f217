"""Made files of exporters, in their layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def trending_posts(count: int) -> list[dict[str, Any]]:
    """Posts as tiktok-scraper writes them, with counts that follow the views."""
    rng = np.random.default_rng(0)
    views = rng.lognormal(12, 1.5, count)
    likes = views * rng.uniform(0.05, 0.2, count)
    return [
        {
            "id": str(6_907_228_749_016_714_497 + 7_919 * number),
            "text": f"caption {number} #fyp",
            "createTime": 1_608_214_517 + 60 * number,
            "authorMeta": {"id": str(68_255 + number % 300), "name": f"user{number % 300}"},
            "musicMeta": {"musicId": str(679 + number % 50), "musicName": "Element", "musicOriginal": False},
            "videoMeta": {"duration": 15},
            "diggCount": int(likes[number]),
            "shareCount": int(likes[number] * rng.uniform(0, 0.05)),
            "playCount": int(views[number]),
            "commentCount": int(likes[number] * rng.uniform(0, 0.05)),
            "hashtags": [{"name": "fyp"}],
        }
        for number in range(count)
    ]


def write_trending(folder: Path, count: int = 1000) -> Path:
    """Write a dump of tiktok-scraper, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trending.json").write_text(json.dumps({"collector": trending_posts(count)}))
    return folder / "trending.json"
