"""What the API calls: one function per stage, which tests replace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from serve.models import LoadedModel
from serve.requests import ScoreInput
from serve.schemas import BatchRequest, ModelInfo
from viral.features.posts import ExtractionResult
from viral.scoring.scorer import Score


@dataclass(frozen=True)
class Backend:
    """Functions that the API calls. All but `model`, `models` and `problem` may raise OverloadedError.

    Attributes:
        model: the model by name, None for the default one. Raises ApiError: it is not served.
        models: all models in service.
        extract: the vectors of a draft for a model.
        explain: the body of an `ExplainResponse`.
        compare: the body of a `CompareResponse`.
        score_posts: the scores of posts by id; None for those without features in the root.
        submit_job: stores a job, and has it run; its id.
        job: the body of a `JobResponse`; None if there is no such job.
        problem: None, or what is not running.
    """

    model: Callable[[str | None], LoadedModel]
    models: Callable[[], Sequence[ModelInfo]]
    extract: Callable[[ScoreInput, LoadedModel], Awaitable[ExtractionResult]]
    explain: Callable[[ScoreInput, str], Coroutine[Any, Any, dict[str, Any]]]
    compare: Callable[[ScoreInput, str], Coroutine[Any, Any, dict[str, Any]]]
    score_posts: Callable[[Sequence[str], LoadedModel], Awaitable[dict[str, Score | None]]]
    submit_job: Callable[[BatchRequest, str], Awaitable[str]]
    job: Callable[[str], Awaitable[dict[str, Any] | None]]
    problem: Callable[[], Awaitable[str | None]]
