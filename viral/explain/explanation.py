"""Explain one draft, section by section. The command line and the endpoint both call it."""

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
from viral.explain.segments import occlude
from viral.explain.shapley import shapley
from viral.explain.text import lines
from viral.explain.trees import tree_values
from viral.explain.variants import Draft, Rescorer, Variant
from viral.explain.whatif import Change, default_changes, what_if
from viral.extractors.extractor import Vector
from viral.features.posts import ExtractionResult
from viral.scoring.scorer import Score, Scorer

# The names of earlier versions: clients read them.
_JSON_NAMES = {
    "in_distribution": "known",
    "prediction": "scored",
    "spec": "said",
    "results": "tried",
    "base_score": "score_of_nothing",
    "base_odds": "odds_of_nothing",
    "base_value": "of_all",
}
"""Names of the sections' fields in JSON, where they differ."""


@dataclass(frozen=True)
class Explanation:
    """A draft's features and score, and the sections that explain it, each a dataclass that `lines` can print."""

    features: ExtractionResult
    score: Score
    sections: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Convert the sections to JSON."""
        return to_json(self.sections)

    def lines(self) -> list[str]:
        """Render the sections as text."""
        return [line for section in self.sections.values() for line in lines(section)]


def explain(rescorer: Rescorer, draft: Draft, changes: Sequence[Change] | None = None) -> Explanation:
    """Explain the score of a draft with a video or slides.

    Args:
        rescorer: scores variants of the draft.
        draft: the draft.
        changes: what-if changes; None: `default_changes`.

    Raises:
        UsageError: the video cannot be used, or a change does not fit it.
    """
    if not draft.files().has_files:
        raise ConfigError("an explanation needs a video or a photo set")
    ((features, score),) = rescorer.extract_and_score([Variant(draft)])
    # Decoded, not declared: cuts beyond the last packet would be empty.
    seconds = features.facts.seen_seconds
    if not seconds:
        raise UsageError(f"{draft.video or 'the photo set'}: its length is unknown")
    if changes is None:
        changes = default_changes(draft.context, seconds)
    scorer, posted_at = rescorer.scorer, draft.context.posted_at
    sections = explain_vectors(scorer, features.vectors, author_id=draft.author_id, before=posted_at)
    sections["hook"] = hook_curve(rescorer, draft, seconds, score)
    sections["segments"] = occlude(rescorer, draft, seconds, score)
    sections["what_if"] = what_if(rescorer, draft, seconds, score, changes, scorer.pair_residuals)
    return Explanation(features, score, sections)


def explain_vectors(
    scorer: Scorer,
    vectors: Mapping[str, Vector | None],
    *,
    author_id: str | None = None,
    before: datetime | None = None,
) -> dict[str, Any]:
    """Return the sections that need no video: modalities, tree columns, nearest training posts.

    Args:
        scorer: the model; without calibration there are no modalities and no nearest posts.
        vectors: of the post.
        author_id: its author.
        before: when it was, or will be, posted.
    """
    batch = from_vectors(scorer.streams, [vectors])
    sections: dict[str, Any] = {}
    if scorer.calibration and scorer.reference:
        sections["modalities"] = shapley(scorer, batch)[0]
    if trees := tree_values(scorer, batch):
        sections["trees"] = trees[0]
    if scorer.reference:
        sections["nearest"] = neighbours(scorer, batch, author_id=author_id, before=before)
    return sections


def to_json(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Convert sections to JSON, with times in ISO 8601."""

    def rename(fields: list[tuple[str, Any]]) -> dict[str, Any]:
        """Give the fields of one section their names in JSON."""
        return {_JSON_NAMES.get(name, name): value for name, value in fields}

    plain = {name: asdict(section, dict_factory=rename) for name, section in sections.items()}
    stored: dict[str, Any] = json.loads(json.dumps(plain, default=datetime.isoformat))
    return stored
