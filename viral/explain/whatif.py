"""What-if: the score of a draft with one change of its caption, hour, sound, followers or length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from viral.errors import ConfigError
from viral.explain.variants import Draft, ScoreFunction, Variant
from viral.extractors.extractor import Context
from viral.media.window import ClipWindow
from viral.scoring.pair_residuals import PairResiduals
from viral.scoring.scorer import Score
from viral.sources.counts import parse_count

DEFAULT_HOURS = (0, 6, 12, 18)  # the four quarters of a day
TRIM_SECONDS = 1.0  # off either end, by default
MIN_TRIM_SECONDS = 3.0  # shorter videos are not trimmed by default: a second would be too much of them


@dataclass(frozen=True)
class Change:
    """One change: another `context`, or seconds trimmed off the video. `spec` is its text form, `NAME=VALUE`."""

    spec: str
    context: Context
    trim_start: float = 0.0
    trim_end: float = 0.0

    def with_context(self, **fields: Any) -> Change:
        """Return the change with other fields of the context."""
        return replace(self, context=replace(self.context, **fields))

    def variant(self, draft: Draft, seconds: float) -> Variant:
        """Apply the change to a draft whose video lasts `seconds`.

        Raises:
            ConfigError: nothing would be left of the video.
        """
        changed = replace(draft, context=self.context)
        if not self.trim_start and not self.trim_end:
            return Variant(changed)
        if self.trim_start + self.trim_end >= seconds:
            raise ConfigError(f"{self.spec} leaves nothing of a video of {seconds:.3g} s")
        return Variant(changed, ClipWindow(self.trim_start, seconds - self.trim_end if self.trim_end else None))


@dataclass(frozen=True)
class WhatIf:
    """The score of a draft with one change.

    Attributes:
        spec: the change, as text.
        prediction: the new score.
        change: the new score minus the score without the change.
        low: lower end of the 90 % interval of the difference between the targets of two posts (by one author, if the
            validation split has enough) whose scores differ by `change`; None without pair residuals. `high`: upper.
    """

    spec: str
    prediction: Score
    change: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class WhatIfs:
    """Results of all changes, in the order of the request."""

    results: tuple[WhatIf, ...]


def what_if(
    score: ScoreFunction,
    draft: Draft,
    seconds: float,
    whole: Score,
    changes: Sequence[Change],
    residuals: PairResiduals | None,
) -> WhatIfs:
    """Score a draft with each change in turn.

    Args:
        score: scores variants.
        draft: the unchanged draft.
        seconds: length of its video.
        whole: its score.
        changes: applied one at a time.
        residuals: of the model; without them there are no intervals.

    Raises:
        ConfigError: a change leaves nothing of the video.
    """
    predictions = score([change.variant(draft, seconds) for change in changes])
    results = []
    for change, prediction in zip(changes, predictions, strict=True):
        difference = prediction.score - whole.score
        low, high = residuals.interval(difference) if residuals else (None, None)
        results.append(WhatIf(change.spec, prediction, difference, low, high))
    return WhatIfs(tuple(results))


def parse_change(spec: str, context: Context) -> Change:
    """Parse a change of the form `NAME=VALUE`.

    Args:
        spec: the text.
        context: of the unchanged draft.

    Raises:
        ConfigError: an unknown name or a wrong value; the message says what is allowed.
    """
    name, equals, value = spec.partition("=")
    if name not in CHANGES or not equals:
        raise ConfigError(f"there is no change {spec!r}: write one of {', '.join(f'{name}=…' for name in CHANGES)}")
    expected, apply = CHANGES[name]
    try:
        return apply(Change(spec, context), value)
    except ValueError as error:
        raise ConfigError(f"{spec!r} does not fit: {name} takes {expected}") from error


def default_changes(context: Context, seconds: float) -> list[Change]:
    """Return the changes to try by default: a second less, and, if they are set, other hours and the other sound.

    Args:
        context: of the draft.
        seconds: length of its video.
    """
    specs = [f"{name}={TRIM_SECONDS:g}" for name in ("trim_start", "trim_end")] if seconds >= MIN_TRIM_SECONDS else []
    # A change of something unknown would compare the model's guess with a value.
    if context.posted_at is not None:
        specs += [f"hour={hour}" for hour in DEFAULT_HOURS if hour != context.posted_at.hour]
    if context.sound_original is not None:
        specs.append("sound=reused" if context.sound_original else "sound=original")
    return [parse_change(spec, context) for spec in specs]


def _set_hour(base: Change, value: str) -> Change:
    if base.context.posted_at is None:
        raise ConfigError(f"{base.spec!r} needs to know the day: say when it is to be posted")
    # The same day: the weekday stays what it is.
    return base.with_context(posted_at=base.context.posted_at.replace(hour=int(value), minute=0, second=0))


def _seconds(value: str) -> float:
    if not 0 <= float(value) < math.inf:
        raise ValueError(value)
    return float(value)


CHANGES: Mapping[str, tuple[str, Callable[[Change, str], Change]]] = {
    "caption": ("words", lambda base, value: base.with_context(caption=value)),
    "hour": ("an hour from 0 to 23, in UTC", _set_hour),
    "sound": (
        "original or reused",
        lambda base, value: base.with_context(sound_original=("reused", "original").index(value) == 1),
    ),
    "sound_posts": ("a number of posts", lambda base, value: base.with_context(sound_posts_before=parse_count(value))),
    "sound_uses": ("a number of posts", lambda base, value: base.with_context(sound_uses_before=parse_count(value))),
    "followers": ("a number of people", lambda base, value: base.with_context(author_followers=parse_count(value))),
    "trim_start": ("seconds", lambda base, value: replace(base, trim_start=_seconds(value))),
    "trim_end": ("seconds", lambda base, value: replace(base, trim_end=_seconds(value))),
}
"""Changes by name: a description of the value, and the function that applies it."""
