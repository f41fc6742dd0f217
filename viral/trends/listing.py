"""Lists of trends for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import combining, east_asian_width

import pyarrow as pa
import pyarrow.compute as pc

from viral.trends.kinds import KINDS, NEW_SOUND, TrendKind
from viral.trends.trends import Trends

FEATURES = "viral-posts"
ORDERS = {"rise": "rise_rank", "velocity": "velocity_rank"}
"""Column of the table `trends` that each order sorts by."""
_NAME_WIDTH = 32  # columns of a terminal; longer names are cut
_BARS = "▁▂▃▄▅▆▇█"


def top(trends: Trends, title: str, by: str, count: int) -> pa.Table:
    """The first trends of a kind, in one of `ORDERS`; of new sounds, those with the highest predictions."""
    kind = _kind(title)
    order = [("predicted_score", "descending"), (ORDERS[by], "ascending")]
    rows = trends.trends.filter(pc.equal(trends.trends["kind"], kind.name))
    return rows.sort_by(order if kind is NEW_SOUND else order[1:]).slice(0, count)


def trend_lines(trends: Trends, title: str, by: str, count: int) -> list[str]:
    """Lines of one list, with a title; `*` marks a rise that chance rarely gives."""
    kind, rows = _kind(title), top(trends, title, by, count).to_pylist()
    if not rows:
        needs = f"; they need {kind.needs}" if kind.needs else ""
        return [f"{title}: none with at least {kind.least} {kind.unit} in the newest window{needs}"]
    return [
        f"{title} (velocity in {kind.unit} per day)",
        f"  {'':<{_NAME_WIDTH}}  velocity  acceleration    rise   authors  median views  series    first seen",
        *map(_trend_line, rows),
    ]


def _trend_line(row: Mapping[str, Any]) -> str:
    return (
        f"  {_fitted(row['name'])}  {row['velocity']:8.2f}  {_number(row['acceleration'], 12, '+.3f')}"
        f"  {_number(row['rise'], 6, '+.1f')}{'*' if row['beyond_chance'] else ' '}  {row['authors']:7}"
        f"  {_number(row['median_views'], 12, ',.0f')}  {_series(row['counts'], row['totals'])}"
        f"  {row['first_seen']:%Y-%m-%d}{_prediction(row)}"
    )


def _prediction(row: Mapping[str, Any]) -> str:
    if row["predicted_score"] is None:
        return ""
    low, high = row["predicted_low"], row["predicted_high"]
    return (
        f"  predicted {row['predicted_score']:.2f} [{low:.2f}, {high:.2f}], P(viral) {row['predicted_probability']:.2f}"
    )


def feature_lines(trends: Trends, count: int) -> list[str]:
    """Lines of the features that differ most between viral and other posts; `*` marks an interval without zero."""
    rows = trends.features.slice(0, count).to_pylist()
    if not rows:
        return ["viral posts and others: too few posts with views to compare"]
    return [
        "viral posts and others (associations, no causes)",
        f"  {'':<{_NAME_WIDTH}}      viral       other  effect  [90 %, all features at once]",
        *map(_feature_line, rows),
    ]


def _feature_line(row: Mapping[str, Any]) -> str:
    interval = "too few authors" if row["low"] is None else f"[{row['low']:+.3f}, {row['high']:+.3f}]"
    sure = row["low"] is not None and not row["low"] <= 0 <= row["high"]
    viral, other = (f"{_typical(row, side):>10}" for side in ("viral", "other"))
    return f"  {_fitted(row['feature'])} {viral}  {other}  {row['effect']:+.3f}  {interval}{' *' if sure else ''}"


def _typical(row: Mapping[str, Any], side: str) -> str:
    """The median; of a feature that posts have or have not, the share that has it."""
    quantiles = row[f"{side}_quantiles"]
    if {*row["viral_quantiles"], *row["other_quantiles"]} <= {0, 1}:
        return f"{row[f'{side}_mean']:.1%}"
    return f"{quantiles[len(quantiles) // 2]:,.4g}" if quantiles else "-"


def _kind(title: str) -> TrendKind:
    return next(kind for kind in KINDS if kind.title == title)


def _number(value: float | None, width: int, form: str) -> str:
    return f"{'-' if value is None else format(value, form):>{width}}"


def _series(counts: Sequence[int], totals: Sequence[int]) -> str:
    """A bar per window: what carries the trend, as a share of all; blank where there are no posts."""
    shares = [count / total if total else None for count, total in zip(counts, totals, strict=True)]
    largest = max([share for share in shares if share is not None], default=0) or 1
    return "".join(" " if s is None else _BARS[round(s / largest * (len(_BARS) - 1))] for s in shares)


def _fitted(name: str) -> str:
    """A name in exactly `_NAME_WIDTH` columns: signs of East Asia take two, marks none."""
    text = "".join(sign if sign.isprintable() else " " for sign in " ".join(name.split()))
    widths = [0 if combining(sign) else 1 + (east_asian_width(sign) in "WF") for sign in text]
    kept, used = "", 0
    for sign, width in zip(text, widths, strict=True):
        if used + width > _NAME_WIDTH:
            break
        kept, used = kept + sign, used + width
    return kept + " " * (_NAME_WIDTH - used)
