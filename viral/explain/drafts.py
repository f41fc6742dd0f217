"""Rank several drafts by the same author, with the probability that one does better than another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from viral.scoring.pair_residuals import PairResiduals
from viral.scoring.scorer import Score


@dataclass(frozen=True)
class RankedDraft:
    """A draft with its score, and the probability of doing better than each other draft (None without residuals)."""

    name: str
    prediction: Score
    beats: Mapping[str, float] | None


@dataclass(frozen=True)
class Ranking:
    """Drafts by score, highest first."""

    drafts: tuple[RankedDraft, ...]


def rank(drafts: Mapping[str, Score], residuals: PairResiduals | None) -> Ranking:
    """Rank drafts by score.

    Args:
        drafts: scores by draft name.
        residuals: of the model that scored them.
    """
    order = sorted(drafts, key=lambda name: -drafts[name].score)
    return Ranking(
        tuple(RankedDraft(name, drafts[name], _win_probabilities(name, drafts, residuals)) for name in order)
    )


def _win_probabilities(
    name: str, drafts: Mapping[str, Score], residuals: PairResiduals | None
) -> dict[str, float] | None:
    if residuals is None:
        return None
    score = drafts[name].score
    return {rival: residuals.win_probability(score - drafts[rival].score) for rival in drafts if rival != name}
