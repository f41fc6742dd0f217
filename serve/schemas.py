"""Request and response bodies of the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from viral.extractors.extractor import Context
from viral.features.posts import ExtractionResult
from viral.scoring.scorer import Score

LISTS = ("hashtags", "author_views")
"""Fields with several values; in a form, one text separated by spaces or commas."""
_Count = Annotated[int, Field(ge=0, le=10**12)]  # far above any real count


def _without_null_bytes(uri: str) -> str:
    if "\0" in uri:
        raise ValueError("contains a null byte")
    return uri


class ScoreFields(BaseModel):
    """The fields of a draft, besides its video."""

    model_config = ConfigDict(extra="forbid")

    caption: Annotated[str | None, Field(max_length=10_000)] = None
    hashtags: Annotated[
        list[Annotated[str, Field(max_length=200)]] | None,
        Field(max_length=200, description="in a form: one field, separated by spaces or commas"),
    ] = None
    posted_at: Annotated[datetime | None, Field(description="planned time of posting, ISO 8601; UTC by default")] = None
    author_followers: _Count | None = None
    sound_original: bool | None = None
    sound_posts_before: Annotated[_Count | None, Field(description="earlier posts of the root with the sound")] = None
    sound_uses_before: Annotated[_Count | None, Field(description="earlier uses of the sound anywhere")] = None
    author_views: Annotated[
        list[_Count] | None,
        Field(
            min_length=1,
            max_length=1000,
            description="views of the author's earlier posts, to compare the score with; no model sees them. "
            "In a form: one field, separated by spaces or commas",
        ),
    ] = None
    explain: Annotated[
        bool, Field(description="also explain the score: modalities, hook curve, segments, what-if, nearest posts")
    ] = False

    def context(self) -> Context:
        """Return the context for the extractors."""
        return Context(
            caption=self.caption,
            hashtags=None if self.hashtags is None else tuple(self.hashtags),
            posted_at=self.posted_at,
            author_followers=self.author_followers,
            sound_original=self.sound_original,
            sound_posts_before=self.sound_posts_before,
            sound_uses_before=self.sound_uses_before,
        )


class ScoreRequest(ScoreFields):
    """A draft without video, or with a video below the endpoint's root."""

    uri: Annotated[
        str | None,
        AfterValidator(_without_null_bytes),
        Field(min_length=1, max_length=2000, description="the video: its key below the root, or its full URI"),
    ] = None


class ScoreResponse(BaseModel):
    """The score of a draft."""

    probability: Annotated[float, Field(description="P(viral), calibrated, as the label's top fraction defines it")]
    percentile: Annotated[float | None, Field(description="percent of posts outside training that score lower")]
    known: Annotated[bool | None, Field(description="false if unlike all training posts: the score is then average")]
    score: Annotated[float, Field(description="predicted median of the label")]
    interval: Annotated[tuple[float, float], Field(description="90 % prediction interval of the label (conformal)")]
    relative_to_author: Annotated[dict[str, float] | None, Field(description="comparison with `author_views`")]
    rates: Annotated[dict[str, float], Field(description="log rates of likes, comments and shares to views")]
    modalities: Annotated[dict[str, float], Field(description="contribution per modality of the draft; sums to one")]
    missing: Annotated[list[str], Field(description="modalities that the draft lacks")]
    label: str
    model: Annotated[str, Field(description="name/version")]
    notes: Annotated[list[str], Field(description="caveats of the score")]
    status: Annotated[str, Field(description="`ok`, or `partial` with `reason` and perhaps `detail`")]
    reason: str | None
    detail: str | None
    seconds: Annotated[dict[str, float], Field(description="time per stage")]
    explanation: Annotated[
        dict[str, Any] | None,
        Field(description="present if `explain` was set; associations in the model's data, not causes"),
    ]


class Health(BaseModel):
    """State of an endpoint that is ready."""

    status: str
    model: Annotated[str, Field(description="name/version")]
    version: Annotated[str, Field(description="of viral")]


class ErrorResponse(BaseModel):
    """An error: `reason` for machines, `detail` for people."""

    reason: str
    detail: str


@dataclass(frozen=True)
class ScoreInput:
    """A parsed request: the context of a draft and its video, as bytes or URI; without either, a text-only draft."""

    context: Context
    content: bytes | None = None
    uri: str | None = None
    author_views: Sequence[int] | None = None
    explain: bool = False


@dataclass(frozen=True)
class EncodedDraft:
    """Vectors of a draft, the model version (`name/version`) they were extracted for, and the explanation, if any."""

    result: ExtractionResult
    model: str
    explanation: Mapping[str, Any] | None = None


def response_body(encoded: EncodedDraft, score: Score) -> dict[str, Any]:
    """Return the JSON body of a `ScoreResponse`."""
    result = encoded.result
    return {
        **score.to_dict(),
        "status": result.status,
        "reason": result.reason,
        "detail": result.detail,
        "seconds": dict(result.stage_seconds),
        "explanation": encoded.explanation,
    }


def request_bodies() -> Mapping[str, Any]:
    """Return the OpenAPI schemas of the two bodies of `POST /v1/score`."""
    form = ScoreFields.model_json_schema()
    form["properties"] = {"file": {"type": "string", "format": "binary"}, **form["properties"]}
    for name in LISTS:
        form["properties"][name] = {"type": "string", "description": "separated by spaces or commas"}
    form |= {"title": "Upload", "description": "A video and its context.", "required": ["file"]}
    schemas = {"multipart/form-data": form, "application/json": ScoreRequest.model_json_schema()}
    content = {kind: {"schema": schema} for kind, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}
