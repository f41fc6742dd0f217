"""Views per day online: log2(views / days + 1), with the days from posting to scraping.

A post scraped at or before its posting time is dropped.
"""

from __future__ import annotations

import numpy as np

from viral.labels.columns import Array, Columns, positive
from viral.labels.definition import Definition, Parameters

SECONDS_A_DAY = 86_400.0


def _target(columns: Columns, _: Parameters) -> Array:
    days = (columns["scraped_at"] - columns["posted_at"]) / SECONDS_A_DAY
    # `positive` turns the days of a post that was scraped too early into NaN, which drops it.
    target: Array = np.log2(columns["views"] / positive(days) + 1.0)
    return target


DAILY_VIEWS = Definition(
    name="daily_views",
    required=("views", "posted_at", "scraped_at"),
    target=_target,
    undefined_reason="scraped_before_posted",
    log_scale=True,
)
