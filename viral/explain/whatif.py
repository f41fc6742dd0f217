"""What a model says of a draft that is otherwise in one thing: its caption, hour, sound, author's reach, or length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from viral.errors import ConfigError
from viral.explain.variants import Draft, Score, Variant
from viral.extractors.extractor import Context
from viral.media.window import Window
from viral.scoring.pair_residuals import Gaps
from viral.scoring.scorer import Scored

USUAL_HOURS = (0, 6, 12, 18)
TRIM_SECONDS = 1.0
TRIMMED_FROM = 3.0
"""Seconds: shorter videos are not trimmed unless it is asked for."""


@dataclass(frozen=True)
class Change:
    """One thing that is otherwise: the `context`, or so many seconds less of the video. `said` is how it is written."""

    said: str
    context: Context
    trim_start: float = 0.0
    trim_end: float = 0.0

    def known(self, **fields: Any) -> Change:
        """The same with other fields of the context."""
        return replace(self, context=replace(self.context, **fields))

    def variant(self, draft: Draft, seconds: float) -> Variant:
        """The draft with the change.

        Args:
            draft: as it is.
            seconds: how long its video lasts.

        Raises:
            ConfigError: nothing would be left of it.
        """
        changed = replace(draft, context=self.context)
        if not self.trim_start and not self.trim_end:
            return Variant(changed)
        if self.trim_start + self.trim_end >= seconds:
            raise ConfigError(f"{self.said} leaves nothing of a video of {seconds:.3g} s")
        return Variant(changed, Window(self.trim_start, seconds - self.trim_end if self.trim_end else None))


@dataclass(frozen=True)
class WhatIf:
    """The score of a draft with one change: `change` is that less the score without it.

    Of two posts of one author (where the model's validation split has enough of them, else of any two) whose scores
    differ by `change`, the targets differ by `low` to `high` in 90 of 100 cases; None where the model came without
    such pairs.
    """

    said: str
    scored: Scored
    change: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class WhatIfs:
    """All that was tried, in the order in which it was asked for."""

    tried: tuple[WhatIf, ...]


def what_if(
    score: Score, draft: Draft, seconds: float, whole: Scored, changes: Sequence[Change], gaps: Gaps | None
) -> WhatIfs:
    """Try each change.

    Args:
        score: scores variants.
        draft: as it is.
        seconds: how long its video lasts.
        whole: its score.
        changes: one at a time.
        gaps: of the model; without them no change has an interval.

    Raises:
        ConfigError: a change leaves nothing of the video.
    """
    scores = score([change.variant(draft, seconds) for change in changes])
    return WhatIfs(tuple(_tried(*each, whole, gaps) for each in zip(changes, scores, strict=True)))


def _tried(change: Change, scored: Scored, whole: Scored, gaps: Gaps | None) -> WhatIf:
    difference = scored.score - whole.score
    low, high = gaps.interval(difference) if gaps else (None, None)
    return WhatIf(change.said, scored, difference, low, high)


def change(said: str, context: Context) -> Change:
    """A change as it is written, `NAME=VALUE`.

    Args:
        said: what is written.
        context: of the draft as it is.

    Raises:
        ConfigError: there is no such change, or its value does not fit; the message says what would.
    """
    name, equals, value = said.partition("=")
    if name not in CHANGES or not equals:
        raise ConfigError(f"there is no change {said!r}: write one of {', '.join(f'{each}=…' for each in CHANGES)}")
    takes, changed = CHANGES[name]
    try:
        return changed(Change(said, context), value)
    except ValueError as error:
        raise ConfigError(f"{said!r} does not fit: {name} takes {takes}") from error


def usual(context: Context, seconds: float) -> list[Change]:
    """What is tried when nothing is asked for: a second less, and other hours and the other sound where they are known.

    Args:
        context: of the draft.
        seconds: how long its video lasts.
    """
    asked = [f"{name}={TRIM_SECONDS:g}" for name in ("trim_start", "trim_end")] if seconds >= TRIMMED_FROM else []
    if context.posted_at is not None:
        asked += [f"hour={hour}" for hour in USUAL_HOURS if hour != context.posted_at.hour]
    if context.sound_original is not None:
        asked.append("sound=reused" if context.sound_original else "sound=original")
    return [change(each, context) for each in asked]


def _at_hour(base: Change, value: str) -> Change:
    if base.context.posted_at is None:
        raise ConfigError(f"{base.said!r} needs to know the day: say when it is to be posted")
    return base.known(posted_at=base.context.posted_at.replace(hour=int(value), minute=0, second=0))


def _count(value: str) -> int:
    if int(value) < 0:
        raise ValueError(value)
    return int(value)


def _seconds(value: str) -> float:
    if not 0 <= float(value) < math.inf:
        raise ValueError(value)
    return float(value)


CHANGES: Mapping[str, tuple[str, Callable[[Change, str], Change]]] = {
    "caption": ("words", lambda base, value: base.known(caption=value)),
    "hour": ("an hour from 0 to 23, in UTC", _at_hour),
    "sound": (
        "original or reused",
        lambda base, value: base.known(sound_original=("reused", "original").index(value) == 1),
    ),
    "sound_posts": ("a number of posts", lambda base, value: base.known(sound_posts_before=_count(value))),
    "sound_uses": ("a number of posts", lambda base, value: base.known(sound_uses_before=_count(value))),
    "followers": ("a number of people", lambda base, value: base.known(author_followers=_count(value))),
    "trim_start": ("seconds", lambda base, value: replace(base, trim_start=_seconds(value))),
    "trim_end": ("seconds", lambda base, value: replace(base, trim_end=_seconds(value))),
}
"""What may be otherwise: what its value is, and the change that it makes."""
