"""The explainer deployment: explanations and comparisons, which take seconds, in a process and a queue of their own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from serve.errors import field_error, post_error
from serve.media import local_file
from serve.models import ModelCache
from serve.requests import ScoreInput
from serve.schemas import response_body
from serve.settings import EndpointSpec
from viral.errors import UsageError
from viral.explain.drafts import rank
from viral.explain.explanation import explain, explain_vectors, to_json
from viral.explain.variants import Draft, Rescorer
from viral.explain.whatif import parse_change, what_if
from viral.features.pipeline import Pipeline
from viral.features.posts import ExtractionResult
from viral.registry.registry import ModelVersion
from viral.scoring.scorer import Score, Scorer, feature_set_of
from viral.storage.store import Store

NICENESS = 10  # scores come first where cores are short


@dataclass(frozen=True)
class _Loaded:
    scorer: Scorer
    pipeline: Pipeline


class ExplainerDeployment:
    """Explains one draft at a time."""

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)
        os.nice(NICENESS)
        self._spec, self._store = spec, Store(spec.root)
        self._models = ModelCache(spec, self._load)
        self._turn = asyncio.Lock()

    def _load(self, saved: ModelVersion) -> _Loaded:
        pipeline = Pipeline(feature_set_of(saved), self._store, self._spec.settings)
        return _Loaded(Scorer(saved, numpy=True), pipeline)

    async def explain(self, draft: ScoreInput, model: str, contents: Sequence[Any]) -> dict[str, Any]:
        """Return the body of an `ExplainResponse`. Raises ApiError: the draft cannot be scored."""
        return await self._run(_explain, draft, model, contents)

    async def compare(self, draft: ScoreInput, model: str, contents: Sequence[Any]) -> dict[str, Any]:
        """Return the body of a `CompareResponse`. Raises ApiError: a video cannot be scored."""
        return await self._run(_compare, draft, model, contents)

    async def _run(
        self,
        work: Callable[[_Loaded, ScoreInput], dict[str, Any]],
        draft: ScoreInput,
        model: str,
        contents: Sequence[Any],
    ) -> dict[str, Any]:
        loaded = await self._models.version(model)
        async with self._turn, AsyncExitStack() as stack:
            uris = [
                await stack.enter_async_context(local_file(video.uri, content))
                for video, content in zip(draft.videos, contents, strict=True)
            ]
            videos = [replace(video, uri=uri) for video, uri in zip(draft.videos, uris, strict=True)]
            return await asyncio.to_thread(work, loaded, replace(draft, videos=tuple(videos)))


def _explain(loaded: _Loaded, draft: ScoreInput) -> dict[str, Any]:
    uri = draft.videos[0].uri if draft.videos else None
    result, score = _score(loaded, uri, draft)
    return {**response_body(result, score), "explanation": _explanation(loaded, uri, draft, result)}


def _explanation(loaded: _Loaded, uri: str | None, draft: ScoreInput, result: ExtractionResult) -> dict[str, Any]:
    """Decodes a video several times, which takes seconds."""
    if draft.changes is not None:
        return _changed(loaded, Draft(uri, draft.context), draft.changes, result)
    sections = _sections(loaded, uri, draft, result)
    return sections | {"found": {name: json.loads(note) for name, note in result.notes.items()}}


def _sections(loaded: _Loaded, uri: str | None, draft: ScoreInput, result: ExtractionResult) -> dict[str, Any]:
    # Without a picture there are no parts of a video to leave out: the vectors alone are explained.
    if uri is None or not result.facts.seen_seconds:
        return to_json(explain_vectors(loaded.scorer, result.vectors, before=draft.context.posted_at))
    try:
        return explain(Rescorer(loaded.pipeline, loaded.scorer), Draft(uri, draft.context)).to_dict()
    except UsageError:  # the score itself is fine; the error's message may contain local file names
        return {"refused": "parts of the video could not be decoded"}


def _changed(loaded: _Loaded, draft: Draft, specs: Sequence[str], result: ExtractionResult) -> dict[str, Any]:
    """Score a draft with each change. Raises ApiError: a change does not fit it."""
    seconds = result.facts.seen_seconds or 0.0
    try:
        changes = [parse_change(spec, draft.context) for spec in specs]
        (whole,) = loaded.scorer.score([result.vectors])
        score = Rescorer(loaded.pipeline, loaded.scorer)
        return to_json({"what_if": what_if(score, draft, seconds, whole, changes, loaded.scorer.pair_residuals)})
    except UsageError as error:
        raise field_error(f"changes: {error}".replace(draft.video or "\0", "the video")) from error


def _compare(loaded: _Loaded, draft: ScoreInput) -> dict[str, Any]:
    scores = {video.name: _score(loaded, video.uri, draft, video.name)[1] for video in draft.videos}
    ranking = rank(scores, loaded.scorer.pair_residuals)
    rows = [
        {"name": each.name, "score": each.prediction.to_dict(), "beats": each.beats and dict(each.beats)}
        for each in ranking.drafts
    ]
    return {"ranking": rows, "model": str(loaded.scorer.saved)}


def _score(
    loaded: _Loaded, uri: str | None, draft: ScoreInput, name: str | None = None
) -> tuple[ExtractionResult, Score]:
    result = loaded.pipeline.extract_draft(uri, draft.context)
    if result.status == "failed":
        root = loaded.scorer.saved.store.root if loaded.scorer.saved.store else ""
        detail = draft.without_paths(result.detail or "", root)
        raise post_error(result.reason or "failed", f"{name}: {detail}" if name else detail)
    try:
        (score,) = loaded.scorer.score([result.vectors])
    except UsageError as error:
        raise field_error(str(error)) from error
    return result, score
