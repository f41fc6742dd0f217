"""A draft with its answer: the score at once, the evidence when it is there."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from serve.app.film import Film, film
from serve.app.units import Units, units
from serve.app.visitor import VisitorVideo, client
from viral.client import EndpointScore
from viral.client.calls import DraftContext


@dataclass(frozen=True)
class ScoredDraft:
    """A draft and its score; `explanation` and `film` are None until `explained`."""

    context: DraftContext
    video: VisitorVideo | None
    score: EndpointScore
    explanation: Mapping[str, Any] | None = None
    film: Film | None = None

    @property
    def name(self) -> str:
        """Name of the video, or the start of the caption."""
        return self.video.name if self.video else f"“{(self.context.get('caption') or '')[:40]}”"

    @property
    def units(self) -> Units:
        """Units of the score."""
        return units(self.score.label)

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a section of the explanation, empty if there is none."""
        return (self.explanation or {}).get(name) or {}


def score(video: VisitorVideo | None, context: DraftContext) -> ScoredDraft:
    """Score a draft. Raises EndpointError: it cannot be scored."""
    return ScoredDraft(context, video, client().score(video.path if video else None, **context))


def explained(draft: ScoredDraft) -> ScoredDraft:
    """Add the explanation and the pictures. Raises EndpointError: it cannot be explained."""
    with ThreadPoolExecutor(1) as beside:  # the endpoint decodes the video meanwhile
        pictures = beside.submit(film, draft.video.path) if draft.video else None
        answer = client().explain(draft.video.path if draft.video else None, **draft.context)
        return replace(draft, explanation=answer.explanation or {}, film=pictures.result() if pictures else Film())


def changed(draft: ScoredDraft, changes: list[str]) -> list[Mapping[str, Any]]:
    """Score a draft with each of some changes. Raises EndpointError: a change does not fit it."""
    path = draft.video.path if draft.video else None
    answer = client().explain(path, changes=changes, **draft.context)
    return list(((answer.explanation or {}).get("what_if") or {}).get("tried") or [])
