"""Explanations as lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from viral.explain.drafts import Ranking
from viral.explain.hook import HookCurve
from viral.explain.neighbours import Nearest
from viral.explain.segments import Segments
from viral.explain.shapley import Shapley
from viral.explain.trees import TreeValues
from viral.explain.whatif import WhatIfs

WIDTH = 30
_COLUMNS = 10  # of the trees, that people are told
_BLOCK, _NONE = "█", "·"


@singledispatch
def lines(section: object) -> list[str]:
    """A section of an explanation, with its title. Sections say here how they read.

    Raises:
        NotImplementedError: nobody said it of this one.
    """
    raise NotImplementedError(f"a section of the type {type(section).__name__} has no text")


@lines.register
def _(curve: HookCurve) -> list[str]:
    scores = [point.scored.score for point in curve.points]
    rows = [
        f"  {point.seconds:5.3g} s  {point.scored.score:8.3f}  {bar}"
        for point, bar in zip(curve.points, bars(scores), strict=True)
    ]
    if curve.rise is None:
        said = "it never rises after the first second"
    else:
        said = f"it rises most from {curve.start:.3g} s to {curve.stop:.3g} s: {curve.rise:+.3f}"
    return ["hook curve: the score of the first seconds alone", *rows, f"  {said}"]


@lines.register
def _(segments: Segments) -> list[str]:
    losses = bars([abs(part.change) for part in segments.parts], least=0.0)
    rows = [
        f"  {part.start:5.3g} to {part.stop:5.3g} s  {part.change:+8.3f}  {bar}"
        for part, bar in zip(segments.parts, losses, strict=True)
    ]
    return ["segments: how the score changes when a part is hidden", *rows]


@lines.register
def _(tried: WhatIfs) -> list[str]:
    width = max((len(each.said) for each in tried.tried), default=0)
    rows = [
        f"  {each.said:<{width}}  {each.scored.score:8.3f}  {each.change:+8.3f}{_between(each.low, each.high)}"
        for each in tried.tried
    ]
    title = "what if: the score with one change, the change of the score"
    known = any(each.low is not None for each in tried.tried)
    return [f"{title}, and where two posts so different end up in 90 of 100 cases" if known else title, *rows]


@lines.register
def _(ranking: Ranking) -> list[str]:
    rows = []
    for place, draft in enumerate(ranking.drafts, start=1):
        rows.append(f"  {place}. {draft.name}  {draft.scored.score:.3f}")
        rows += [f"       beats {other} with {chance:.0%}" for other, chance in (draft.beats or {}).items()]
    unknown = all(draft.beats is None for draft in ranking.drafts)
    note = ["  how sure this is cannot be said: the model came without pairs of posts"] if unknown else []
    return ["drafts, the highest score first", *rows, *note]


@lines.register
def _(values: Shapley) -> list[str]:
    width = max(map(len, values.score), default=0)
    rows = [
        f"  {name:<{width}}  {value:+8.3f}" for name, value in sorted(values.score.items(), key=lambda p: -abs(p[1]))
    ]
    title = f"modalities: what each adds to the mean of the training posts, {values.score_of_nothing:.3f} (Shapley)"
    return [title, *rows]


@lines.register
def _(values: TreeValues) -> list[str]:
    first = list(values.values.items())[:_COLUMNS]
    width = max((len(name) for name, _ in first), default=0)
    rows = [f"  {name:<{width}}  {value:+8.3f}" for name, value in first]
    return [f"columns that move the trees most, which make {values.weight:.0%} of the score (TreeSHAP)", *rows]


@lines.register
def _(nearest: Nearest) -> list[str]:
    if not nearest.posts:
        return ["nearest training posts: none by others and earlier"]
    rows = [
        f"  {post.post_id}  reached {post.target:.3f}{', viral' if post.is_viral else ''}"
        f"{f', posted {post.posted_at:%Y-%m-%d}' if post.posted_at else ''}"
        for post in nearest.posts
    ]
    return ["nearest training posts by others, and what became of them", *rows]


def bars(values: Sequence[float], *, least: float | None = None) -> list[str]:
    """A bar for each value: none for the least (or the given one), the full width for the largest."""
    low = min(values, default=0.0) if least is None else least
    span = max(values, default=0.0) - low
    lengths = [round(WIDTH * (value - low) / span) if span > 0 else 0 for value in values]
    return [_BLOCK * length or _NONE for length in lengths]


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"  ({low:+.2f} to {high:+.2f})"
