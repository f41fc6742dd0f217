"""The whole explanation of one draft: its sections by name. Command line and endpoint both ask for it here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from viral.errors import ConfigError, UsageError
from viral.explain.gaps import Gaps
from viral.explain.hook import hook_curve
from viral.explain.segments import hide_each
from viral.explain.text import lines
from viral.explain.variants import Draft, Rescorer, Variant
from viral.explain.whatif import Change, usual, what_if
from viral.pipeline import Outcome
from viral.scorer import Scored


@dataclass(frozen=True)
class Explanation:
    """A draft's outcome and score, and the sections that explain it: dataclasses that `viral.explain.text` can read."""

    outcome: Outcome
    scored: Scored
    sections: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The sections as JSON holds them."""
        return {name: asdict(section) for name, section in self.sections.items()}

    def lines(self) -> list[str]:
        """The sections as people read them."""
        return [line for section in self.sections.values() for line in lines(section)]


def explain(
    rescorer: Rescorer, draft: Draft, changes: Sequence[Change] | None = None, gaps: Gaps | None = None
) -> Explanation:
    """Explain the score of a draft with a video.

    Args:
        rescorer: scores its variants.
        draft: what to explain.
        changes: what could be otherwise; None tries what is usual.
        gaps: of the model; without them no change has an interval.

    Raises:
        UsageError: its video cannot be used, or a change does not fit.
    """
    if draft.video is None:
        raise ConfigError("an explanation needs a video")
    ((outcome, scored),) = rescorer.scored([Variant(draft)])
    seconds = outcome.facts.seen_seconds
    if not seconds:
        raise UsageError(f"{draft.video}: nobody can say how long it lasts")
    chosen = usual(draft.context, seconds) if changes is None else changes
    return Explanation(outcome, scored, sections(rescorer, draft, seconds, scored, chosen, gaps))


def sections(
    rescorer: Rescorer, draft: Draft, seconds: float, whole: Scored, changes: Sequence[Change], gaps: Gaps | None
) -> dict[str, Any]:
    """All that is said of a draft, by name and in the order in which it is read. Sections are added here."""
    return {
        "hook": hook_curve(rescorer, draft, seconds, whole),
        "segments": hide_each(rescorer, draft, seconds, whole),
        "what_if": what_if(rescorer, draft, seconds, whole, changes, gaps),
    }
