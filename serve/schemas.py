"""The bodies of requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from viral.extractors.extractor import Context
from viral.features.pipeline import Outcome
from viral.scoring.scorer import Scored

LISTS = ("hashtags", "author_views")
"""The fields that hold several values: in a form one text, separated by blanks or commas."""


def _not_null_byte(uri: str) -> str:
    if "\0" in uri:
        raise ValueError("holds a null byte")
    return uri


class ScoreFields(BaseModel):
    """What may be said of a draft beside its video."""

    model_config = ConfigDict(extra="forbid")

    caption: Annotated[str | None, Field(max_length=10_000)] = None
    hashtags: Annotated[
        list[Annotated[str, Field(max_length=200)]] | None,
        Field(max_length=200, description="in a form: one field, separated by blanks or commas"),
    ] = None
    posted_at: Annotated[
        datetime | None, Field(description="when it is to be posted, ISO 8601; UTC where no zone is said")
    ] = None
    author_followers: Annotated[int | None, Field(ge=0, le=10**12)] = None
    sound_original: bool | None = None
    sound_posts_before: Annotated[
        int | None, Field(ge=0, le=10**12, description="posts of the root that use the sound already")
    ] = None
    sound_uses_before: Annotated[
        int | None, Field(ge=0, le=10**12, description="posts anywhere that use the sound already")
    ] = None

    author_views: Annotated[
        list[Annotated[int, Field(ge=0, le=10**12)]] | None,
        Field(
            min_length=1,
            max_length=1000,
            description="views of the author's earlier posts, to compare with: no model sees them. "
            "In a form: one field, separated by blanks or commas",
        ),
    ] = None

    explain: Annotated[
        bool, Field(description="say also why: modalities, hook curve, segments, what-if, nearest posts; takes seconds")
    ] = False

    def context(self) -> Context:
        """As the extractors take it."""
        return Context(
            caption=self.caption,
            hashtags=None if self.hashtags is None else tuple(self.hashtags),
            posted_at=self.posted_at,
            author_followers=self.author_followers,
            sound_original=self.sound_original,
            sound_posts_before=self.sound_posts_before,
            sound_uses_before=self.sound_uses_before,
        )

    def views(self) -> tuple[int, ...] | None:
        """Of the author's earlier posts."""
        return None if self.author_views is None else tuple(self.author_views)


class ScoreRequest(ScoreFields):
    """A draft whose video lies below the endpoint's root, or that has no video yet."""

    uri: Annotated[
        str | None,
        AfterValidator(_not_null_byte),
        Field(min_length=1, max_length=2000, description="the video: its key below the root, or its whole address"),
    ] = None


class Answer(BaseModel):
    """A score. `missing` names the modalities that the draft has not; the score is from the others alone."""

    probability: Annotated[float, Field(description="P(viral), calibrated, as the label's top fraction defines it")]
    percentile: Annotated[
        float | None, Field(description="of 100 posts that the model was not trained on, those it holds for less viral")
    ]
    known: Annotated[
        bool | None,
        Field(description="false: unlike anything it was trained on, so that no more is said than of any post"),
    ]
    score: Annotated[float, Field(description="median of the label")]
    interval: Annotated[tuple[float, float], Field(description="holds the label in 90 of 100 cases (conformal)")]
    relative_to_author: Annotated[
        dict[str, float] | None, Field(description="beside the author's earlier posts, where `author_views` tells them")
    ]
    rates: Annotated[dict[str, float], Field(description="log rates of likes, comments and shares to views")]
    modalities: Annotated[dict[str, float], Field(description="share of each modality that was there")]
    missing: Annotated[list[str], Field(description="modalities that the draft has not")]
    label: str
    model: Annotated[str, Field(description="name/version")]
    notes: Annotated[list[str], Field(description="what the reader of the score must know")]
    status: Annotated[str, Field(description="`ok`, or `partial` with `reason` and perhaps `detail`")]
    reason: str | None
    detail: str | None
    seconds: Annotated[dict[str, float], Field(description="time by stage")]
    explanation: Annotated[
        dict[str, Any] | None,
        Field(description="where `explain` asked for it: associations in the model's data, not causes"),
    ]


class Health(BaseModel):
    """The endpoint answers."""

    status: str
    model: Annotated[str, Field(description="name/version")]
    version: Annotated[str, Field(description="of viral")]


class Refusal(BaseModel):
    """Why there is no answer: `reason` for machines, `detail` for people."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Draft:
    """What is to be scored: a video as bytes or by URI, and what is known of it. Without a video, the words alone."""

    context: Context
    content: bytes | None = None
    uri: str | None = None
    author_views: tuple[int, ...] | None = None
    explain: bool = False


@dataclass(frozen=True)
class Encoded:
    """What became of a draft, the version of the model (`name/version`) that its vectors are for, and why, if asked."""

    outcome: Outcome
    model: str
    explanation: Mapping[str, Any] | None = None


def answer(encoded: Encoded, scored: Scored) -> dict[str, Any]:
    """The body of an answer."""
    outcome = encoded.outcome
    return {
        **scored.to_dict(),
        "status": outcome.status,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "seconds": dict(outcome.stage_seconds),
        "explanation": encoded.explanation,
    }


def request_bodies() -> Mapping[str, Any]:
    """The two bodies of `POST /v1/score`, as OpenAPI has them."""
    form = ScoreFields.model_json_schema()
    form["properties"] = {"file": {"type": "string", "format": "binary"}, **form["properties"]}
    for name in LISTS:
        form["properties"][name] = {"type": "string", "description": "separated by blanks or commas"}
    form |= {"title": "Upload", "description": "A video and what is known of it.", "required": ["file"]}
    schemas = {"multipart/form-data": form, "application/json": ScoreRequest.model_json_schema()}
    content = {kind: {"schema": schema} for kind, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}
