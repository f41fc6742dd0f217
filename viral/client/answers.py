"""Answers of a scoring endpoint as typed values. Fields that a newer endpoint adds are ignored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EndpointScore:
    """Score of one draft, with the fields of a local `Score`, and how its video was read.

    Attributes:
        probability: that the post is viral, calibrated.
        score: median of the label, in the units of `label`.
        low: lower end of the 90 % interval of `score`; `high` is the upper end.
        percentile: percent of posts outside training that score lower.
        in_distribution: whether the post is like the training posts; if False, `probability` is the base rate.
        relative_to_author: comparison with `author_views`.
        rates: log rates of likes, comments and shares per view.
        modalities: contribution of each present modality, summing to 1; `missing` names the others.
        notes: caveats of the score.
        status: `ok`, or `partial` with `reason` and perhaps `detail`.
        seconds: time per stage.
        explanation: sections of an explanation; only of `explain`.
    """

    probability: float
    score: float
    low: float
    high: float
    label: str
    model: str
    percentile: float | None = None
    in_distribution: bool | None = None
    relative_to_author: Mapping[str, float] | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    modalities: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    status: str = "ok"
    reason: str | None = None
    detail: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    explanation: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ComparedDraft:
    """A draft of a comparison, its score, and the probability of doing better than each other draft, by name."""

    name: str
    score: EndpointScore
    beats: Mapping[str, float] | None


@dataclass(frozen=True)
class JobResult:
    """One draft of a job, by its position: its score, or the reason why it has none."""

    index: int
    status: str
    reason: str | None
    detail: str | None
    score: EndpointScore | None


@dataclass(frozen=True)
class EndpointJob:
    """A job of an endpoint. `status` is `pending`, `running`, `done` or `failed`; `results` come when it is done."""

    id: str
    status: str
    done: int = 0
    total: int | None = None
    detail: str | None = None
    results: tuple[JobResult, ...] | None = None


@dataclass(frozen=True)
class EndpointModel:
    """A model that an endpoint serves: `name/version`, what it predicts, and the feature set of its inputs."""

    name: str
    label: str
    feature_set: str
    default: bool = False


def read_json(body: bytes) -> Mapping[str, Any]:
    """Parse a JSON object.

    Raises:
        ValueError: the body is something else.
    """
    values = json.loads(body)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    return values


def read_score(values: Mapping[str, Any]) -> EndpointScore:
    """Convert the JSON form of a score. Raises KeyError, TypeError or ValueError if it is none."""
    low, high = values["interval"]
    names = ("percentile", "relative_to_author", "reason", "detail", "explanation")
    return EndpointScore(
        probability=float(values["probability"]),
        score=float(values["score"]),
        low=float(low),
        high=float(high),
        label=str(values["label"]),
        model=str(values["model"]),
        in_distribution=values.get("known"),
        rates=values.get("rates") or {},
        modalities=values.get("modalities") or {},
        missing=tuple(values.get("missing") or ()),
        notes=tuple(values.get("notes") or ()),
        status=str(values.get("status") or "ok"),
        seconds=values.get("seconds") or {},
        **{name: values.get(name) for name in names},
    )


def read_optional_score(values: Mapping[str, Any] | None) -> EndpointScore | None:
    """Convert a score that may be null. Raises as `read_score` does."""
    return None if values is None else read_score(values)


def read_ranking(values: Mapping[str, Any], names: Mapping[str, str]) -> tuple[ComparedDraft, ...]:
    """Convert a comparison, highest score first. Raises as `read_score` does.

    Args:
        values: the answer.
        names: per name that was sent, the name to return.
    """
    return tuple(
        ComparedDraft(
            names[draft["name"]],
            read_score(draft["score"]),
            draft.get("beats") and {names[rival]: float(value) for rival, value in draft["beats"].items()},
        )
        for draft in values["ranking"]
    )


def read_job(values: Mapping[str, Any]) -> EndpointJob:
    """Convert the state of a job. Raises as `read_score` does."""
    results = values.get("results")
    return EndpointJob(
        id=str(values["job"]),
        status=str(values["status"]),
        done=int(values.get("done") or 0),
        total=values.get("total"),
        detail=values.get("detail"),
        results=None if results is None else tuple(map(_read_result, results)),
    )


def _read_result(values: Mapping[str, Any]) -> JobResult:
    return JobResult(
        index=int(values["index"]),
        status=str(values["status"]),
        reason=values.get("reason"),
        detail=values.get("detail"),
        score=read_optional_score(values.get("score")),
    )


def read_model(values: Mapping[str, Any]) -> EndpointModel:
    """Convert an entry of the list of models. Raises as `read_score` does."""
    return EndpointModel(
        str(values["name"]), str(values["label"]), str(values["feature_set"]), bool(values.get("default"))
    )
