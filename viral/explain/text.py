"""Render explanations as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import singledispatch
from textwrap import shorten

from viral.explain.drafts import Ranking
from viral.explain.hook import HookCurve
from viral.explain.neighbours import NearestPosts
from viral.explain.outcome import Outcome
from viral.explain.platform_facts import PlatformFacts
from viral.explain.segments import Segments
from viral.explain.shapley import Shapley
from viral.explain.trees import TreeValues
from viral.explain.whatif import WhatIfs

WIDTH = 30  # of the longest bar: a line with its numbers stays below 80 characters
_COLUMNS = 10  # tree columns shown: they are sorted, and the rest adds little
_FACT_CHARACTERS = 200  # of a fact: a transcript may have thousands
_COUNTED = ("views", "likes", "comments", "shares")
_SEEN = {
    "train": "the model was trained on this post: that its score is close says nothing",
    "validation": "the model was chosen and calibrated with this post: that its score is close says little",
}
_BLOCK, _NONE = "█", "·"


@singledispatch
def lines(section: object) -> list[str]:
    """Render a section of an explanation, with its title. Each type of section registers its own renderer.

    Raises:
        NotImplementedError: the type has no renderer.
    """
    raise NotImplementedError(f"a section of the type {type(section).__name__} has no text")


@lines.register
def _(outcome: Outcome) -> list[str]:
    counts = [f"{value:,} {name}" for name in _COUNTED if (value := getattr(outcome, name)) is not None]
    when = f"{outcome.scraped_at:%Y-%m-%d}: " if outcome.scraped_at else ""
    rows = [f"  {when}{', '.join(counts) or 'no counts'}"]
    if outcome.target is not None:
        rows.append(f"  its label is {outcome.target:.3f}")
    if note := _SEEN.get(outcome.split or ""):
        rows.append(f"  {note}")
    return ["outcome: what became of the post", *rows]


@lines.register
def _(curve: HookCurve) -> list[str]:
    scores = [point.prediction.score for point in curve.points]
    rows = [
        f"  {point.seconds:5.3g} s  {point.prediction.score:8.3f}  {bar}"
        for point, bar in zip(curve.points, bars(scores), strict=True)
    ]
    if curve.rise is None:
        summary = "it never rises after the first second"
    else:
        summary = f"it rises most from {curve.start:.3g} s to {curve.stop:.3g} s: {curve.rise:+.3f}"
    return [
        "hook curve: the score of the first seconds alone; bars from the lowest to the highest",
        *rows,
        f"  {summary}",
    ]


@lines.register
def _(segments: Segments) -> list[str]:
    changes = bars([abs(part.change) for part in segments.parts], start=0.0)
    rows = [
        f"  {part.start:5.3g} to {part.stop:5.3g} s  {part.change:+8.3f}  {bar}"
        for part, bar in zip(segments.parts, changes, strict=True)
    ]
    return ["segments: how the score changes when a part is hidden", *rows]


@lines.register
def _(what_ifs: WhatIfs) -> list[str]:
    width = max((len(result.spec) for result in what_ifs.results), default=0)
    rows = [
        f"  {result.spec:<{width}}  {result.prediction.score:8.3f}  {result.change:+8.3f}"
        + _interval(result.low, result.high)
        for result in what_ifs.results
    ]
    title = "what if: the score with one change, the change of the score"
    if any(result.low is not None for result in what_ifs.results):
        title += ", and the 90 % interval of the difference between two such posts"
    return [title, *rows]


@lines.register
def _(ranking: Ranking) -> list[str]:
    rows = []
    for position, draft in enumerate(ranking.drafts, start=1):
        rows.append(f"  {position}. {draft.name}  {draft.prediction.score:.3f}")
        rows += [f"       beats {rival} with {probability:.0%}" for rival, probability in (draft.beats or {}).items()]
    if all(draft.beats is None for draft in ranking.drafts):
        rows.append("  no probabilities: the model has no pair residuals")
    return ["drafts, the highest score first", *rows]


@lines.register
def _(values: Shapley) -> list[str]:
    width = max(map(len, values.score), default=0)
    rows = [
        f"  {name:<{width}}  {value:+8.3f}" for name, value in sorted(values.score.items(), key=lambda p: -abs(p[1]))
    ]
    return [f"modalities: what each adds to the mean of the training posts, {values.base_score:.3f} (Shapley)", *rows]


@lines.register
def _(values: TreeValues) -> list[str]:
    first = list(values.values.items())[:_COLUMNS]
    width = max((len(name) for name, _ in first), default=0)
    rows = [f"  {name:<{width}}  {value:+8.3f}" for name, value in first]
    return [f"columns that move the trees most, which make {values.weight:.0%} of the score (TreeSHAP)", *rows]


@lines.register
def _(nearest: NearestPosts) -> list[str]:
    if not nearest.posts:
        return ["nearest training posts: none by others and earlier"]
    rows = [
        f"  {post.post_id}  reached {post.target:.3f}{', viral' if post.is_viral else ''}"
        f"{f', posted {post.posted_at:%Y-%m-%d}' if post.posted_at else ''}"
        for post in nearest.posts
    ]
    return ["nearest training posts by others, and what became of them", *rows]


@lines.register
def _(facts: PlatformFacts) -> list[str]:
    known = {name.replace("_", " "): _fact(value) for name, value in asdict(facts).items() if value is not None}
    width = max(map(len, known), default=0)
    return ["the platform's own words", *(f"  {name:<{width}}  {value}" for name, value in known.items())]


def bars(values: Sequence[float], *, start: float | None = None) -> list[str]:
    """Return a bar per value, from `start` (None: the smallest value) to full width for the largest."""
    low = min(values, default=0.0) if start is None else start
    span = max(values, default=0.0) - low
    lengths = [round(WIDTH * (value - low) / span) if span > 0 else 0 for value in values]
    return [_BLOCK * length or _NONE for length in lengths]


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " · ".join(value) if isinstance(value, tuple) else str(value)
    return shorten(text, _FACT_CHARACTERS, placeholder=" …")


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"  ({low:+.2f} to {high:+.2f})"
