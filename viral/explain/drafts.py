"""Several drafts by the same author, ranked, with the probability that one does better than another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from viral.scoring.pair_residuals import Gaps
from viral.scoring.scorer import Scored


@dataclass(frozen=True)
class Ranked:
    """A draft and its score. `beats` has for each other draft the probability of doing better; None without `Gaps`."""

    name: str
    scored: Scored
    beats: Mapping[str, float] | None


@dataclass(frozen=True)
class Ranking:
    """Drafts, the one with the highest score first."""

    drafts: tuple[Ranked, ...]


def ranked(drafts: Mapping[str, Scored], gaps: Gaps | None) -> Ranking:
    """Rank drafts by their scores.

    Args:
        drafts: the score of each, by its name.
        gaps: of the model that scored them.
    """
    order = sorted(drafts, key=lambda name: -drafts[name].score)
    return Ranking(tuple(Ranked(name, drafts[name], _beats(name, drafts, gaps)) for name in order))


def _beats(name: str, drafts: Mapping[str, Scored], gaps: Gaps | None) -> dict[str, float] | None:
    if gaps is None:
        return None
    own = drafts[name].score
    return {other: gaps.beats(own - scored.score) for other, scored in drafts.items() if other != name}
