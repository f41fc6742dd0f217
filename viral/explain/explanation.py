"""The whole explanation of one draft: its sections by name. Command line and endpoint both ask for it here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from viral.datasets.streams import from_vectors
from viral.errors import ConfigError, UsageError
from viral.explain.hook import hook_curve
from viral.explain.neighbours import neighbours
from viral.explain.segments import hide_each
from viral.explain.shapley import shapley
from viral.explain.text import lines
from viral.explain.trees import tree_values
from viral.explain.variants import Draft, Rescorer, Variant
from viral.explain.whatif import Change, usual, what_if
from viral.extractors.extractor import Vector
from viral.features.pipeline import Outcome
from viral.scoring.scorer import Scored, Scorer


@dataclass(frozen=True)
class Explanation:
    """A draft's outcome and score, and the sections that explain it: dataclasses that `viral.explain.text` can read."""

    outcome: Outcome
    scored: Scored
    sections: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The sections as JSON holds them."""
        return as_json(self.sections)

    def lines(self) -> list[str]:
        """The sections as people read them."""
        return [line for section in self.sections.values() for line in lines(section)]


def explain(rescorer: Rescorer, draft: Draft, changes: Sequence[Change] | None = None) -> Explanation:
    """Explain the score of a draft with a video.

    Args:
        rescorer: scores its variants.
        draft: what to explain.
        changes: what could be otherwise; None tries what is usual.

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
    gaps = rescorer.scorer.gaps
    return Explanation(
        outcome,
        scored,
        {
            **of_vectors(rescorer.scorer, outcome.vectors, author_id=draft.author_id, before=draft.context.posted_at),
            "hook": hook_curve(rescorer, draft, seconds, scored),
            "segments": hide_each(rescorer, draft, seconds, scored),
            "what_if": what_if(rescorer, draft, seconds, scored, chosen, gaps),
        },
    )


def of_vectors(
    scorer: Scorer,
    vectors: Mapping[str, Vector | None],
    *,
    author_id: str | None = None,
    before: datetime | None = None,
) -> dict[str, Any]:
    """What can be said without the video: modalities, the columns that trees go by, the nearest training posts.

    Args:
        scorer: the model; one that is not calibrated says nothing of modalities and of nearest posts.
        vectors: of the post.
        author_id: whose it is.
        before: when it was, or is to be, posted.
    """
    batch = from_vectors(scorer.streams, [vectors])
    found: dict[str, Any] = {}
    if scorer.calibration and scorer.reference:
        found["modalities"] = shapley(scorer, batch)[0]
    if trees := tree_values(scorer, batch):
        found["trees"] = trees[0]
    if scorer.reference:
        found["nearest"] = neighbours(scorer, batch, author_id=author_id, before=before)
    return found


def as_json(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Sections as JSON holds them, times in ISO 8601."""
    plain = {name: asdict(section) for name, section in sections.items()}
    stored: dict[str, Any] = json.loads(json.dumps(plain, default=datetime.isoformat))
    return stored
