"""Request and response bodies of the HTTP API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from viral.extractors.extractor import Context
from viral.features.posts import ExtractionResult
from viral.scoring.scorer import Score

MAX_NUMBER = 1e9  # in a vector: counts enter it as logarithms, and networks overflow far above
LISTS = {
    "hashtags": r"^[\s,]*([^\s,]{1,200}([\s,]+|$)){0,200}$",
    "author_views": r"^([ ,]*[0-9]{1,12}([ ,]+[0-9]{1,12}){0,999}[ ,]*)?$",
}
"""Fields with several values; in a form, one text separated by spaces or commas, as the pattern says."""
LINES = ("sticker_texts", "changes")  # in a form, one text with a line for each value
MAX_ROWS = 1024  # vectors of one request: scored in some 20 ms
MAX_STREAMS = 64  # extractors of one row; the largest set has fewer than 20
_Count = Annotated[int, Field(ge=0, le=10**12)]  # far above any real count
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MAX_NUMBER, le=MAX_NUMBER)]


def _without_null_bytes(uri: str) -> str:
    if "\0" in uri:
        raise ValueError("contains a null byte")
    return uri


def _expressible_in_utc(time: datetime | None) -> datetime | None:
    if time is not None and time.tzinfo:
        try:
            time.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("in UTC, the year is not 1 to 9999") from error
    return time


class ScoreFields(BaseModel):
    """The fields of a draft, besides its video."""

    model_config = ConfigDict(extra="forbid")

    caption: Annotated[str | None, Field(max_length=10_000)] = None
    hashtags: Annotated[
        list[Annotated[str, Field(max_length=200)]] | None,
        Field(max_length=200, description="in a form: one field, separated by spaces or commas"),
    ] = None
    posted_at: Annotated[
        datetime | None,
        Field(description="planned time of posting, ISO 8601; UTC by default"),
        AfterValidator(_expressible_in_utc),
    ] = None
    author_followers: _Count | None = None
    sound_original: bool | None = None
    sound_posts_before: Annotated[_Count | None, Field(description="earlier posts of the root with the sound")] = None
    sound_uses_before: Annotated[_Count | None, Field(description="earlier uses of the sound anywhere")] = None
    sticker_texts: Annotated[
        list[Annotated[str, Field(max_length=2000)]] | None,
        Field(max_length=50, description="texts laid over the picture; in a form: one field, a line each"),
    ] = None
    author_views: Annotated[
        list[_Count] | None,
        Field(
            min_length=1,
            max_length=1000,
            description="views of the author's earlier posts, to compare the score with; no model sees them. "
            "In a form: one field, separated by spaces or commas",
        ),
    ] = None
    model: Annotated[
        str | None,
        Field(min_length=1, max_length=200, description="NAME, NAME/VERSION, NAME@champion; absent: the default model"),
    ] = None

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
            sticker_texts=None if self.sticker_texts is None else tuple(self.sticker_texts),
        )


_Uri = Annotated[str, AfterValidator(_without_null_bytes)]


class ScoreRequest(ScoreFields):
    """A draft without video, or with a video below the endpoint's root."""

    uri: Annotated[
        _Uri | None,
        Field(min_length=1, max_length=2000, description="the video: its key below the root, or its full URI"),
    ] = None


class ExplainFields(ScoreFields):
    """The fields of a draft to explain."""

    changes: Annotated[
        list[Annotated[str, Field(max_length=10_100)]] | None,  # a caption of the greatest length, with its name
        Field(
            max_length=16,  # each may take another decode of the video
            description="what-if changes as `NAME=VALUE` (trim_start, trim_end, caption, hour, sound …): the "
            "explanation then has these alone. In a form: one field, a line each",
        ),
    ] = None


class ExplainRequest(ExplainFields, ScoreRequest):
    """A draft to explain, without video, or with a video below the endpoint's root."""


class CompareRequest(ScoreFields):
    """Several videos below the endpoint's root, with one context for all."""

    uris: Annotated[list[Annotated[_Uri, Field(min_length=1, max_length=2000)]], Field(min_length=2, max_length=10)]


class ScoreValues(BaseModel):
    """The score of a post."""

    probability: Annotated[float, Field(description="P(viral), calibrated, as the label's top fraction defines it")]
    percentile: Annotated[float | None, Field(description="percent of posts outside training with a lower probability")]
    known: Annotated[bool | None, Field(description="false if unlike all training posts: the score is then average")]
    score: Annotated[float, Field(description="predicted median of the label")]
    interval: Annotated[
        list[float],  # of a tuple, tools for OpenAPI 3.0 cannot read the schema
        Field(min_length=2, max_length=2, description="90 % prediction interval of the label (conformal)"),
    ]
    relative_to_author: Annotated[dict[str, float] | None, Field(description="comparison with `author_views`")]
    rates: Annotated[dict[str, float], Field(description="log rates of likes, comments and shares to views")]
    modalities: Annotated[dict[str, float], Field(description="contribution per modality of the draft; sums to one")]
    missing: Annotated[list[str], Field(description="modalities that the draft lacks")]
    label: str
    model: Annotated[str, Field(description="name/version")]
    notes: Annotated[list[str], Field(description="caveats of the score")]


class ScoreResponse(ScoreValues):
    """The score of a draft, and how its video was read."""

    status: Annotated[str, Field(description="`ok`, or `partial` with `reason` and perhaps `detail`")]
    reason: str | None
    detail: str | None
    seconds: Annotated[dict[str, float], Field(description="time per stage")]


class ExplainResponse(ScoreResponse):
    """A score with its explanation."""

    explanation: Annotated[
        dict[str, Any],
        Field(description="modalities, nearest posts, hook curve, segments, what-if, text and speech found: no causes"),
    ]


class RankingEntry(BaseModel):
    """One of several drafts."""

    name: str
    score: ScoreValues
    beats: Annotated[dict[str, float] | None, Field(description="probability of doing better than each other draft")]


class CompareResponse(BaseModel):
    """Drafts by score, highest first."""

    ranking: list[RankingEntry]
    model: str


class FeaturesRequest(BaseModel):
    """Vectors of posts, by extractor."""

    model_config = ConfigDict(extra="forbid")

    vectors: Annotated[
        list[
            Annotated[dict[str, Annotated[list[_Number], Field(fail_fast=True)] | None], Field(max_length=MAX_STREAMS)]
        ],
        Field(min_length=1, max_length=MAX_ROWS, fail_fast=True),  # millions of errors would take gigabytes
    ]
    model: Annotated[str | None, Field(min_length=1, max_length=200)] = None


class FeaturesResponse(BaseModel):
    """Scores of vectors, in their order; null for a row without any input of the model."""

    scores: list[ScoreValues | None]
    model: str


class PostsRequest(BaseModel):
    """Ids of posts whose features the root has."""

    model_config = ConfigDict(extra="forbid")

    post_ids: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=500)]], Field(min_length=1, max_length=1000, fail_fast=True)
    ]
    model: Annotated[str | None, Field(min_length=1, max_length=200)] = None


class PostsResponse(BaseModel):
    """Scores by post; null where the root has no features of that post."""

    scores: dict[str, ScoreValues | None]
    model: str


class BatchDraft(ScoreRequest):
    """A draft of a job, which names the model of all of them."""

    author_views: None = None
    model: None = None


class BatchRequest(BaseModel):
    """Many drafts, scored in the background."""

    model_config = ConfigDict(extra="forbid")

    drafts: Annotated[list[BatchDraft], Field(min_length=1, max_length=10_000, fail_fast=True)]
    model: Annotated[str | None, Field(min_length=1, max_length=200)] = None


class DraftResult(BaseModel):
    """The result of one draft of a job."""

    index: int
    status: str
    reason: str | None
    detail: str | None
    score: ScoreValues | None


class JobResponse(BaseModel):
    """State of a job; its results once it is done."""

    job: str
    status: Annotated[str, Field(description="pending, running, done or failed")]
    done: int
    total: int
    detail: str | None
    results: list[DraftResult] | None


class ModelInfo(BaseModel):
    """A model that the endpoint serves."""

    name: Annotated[str, Field(description="name/version")]
    label: str
    feature_set: str
    inputs: Annotated[dict[str, int], Field(description="length of the vector of each extractor")]
    default: bool


class ModelsResponse(BaseModel):
    """All models that the endpoint serves."""

    models: list[ModelInfo]


class Health(BaseModel):
    """State of an endpoint that is ready."""

    status: str
    model: Annotated[str, Field(description="name/version of the default model")]
    version: Annotated[str, Field(description="of viral")]


class Problem(BaseModel):
    """Problem details (RFC 9457): `reason` for machines, `detail` for people."""

    type: str
    title: str
    status: int
    reason: str
    detail: str


def response_body(result: ExtractionResult, score: Score) -> dict[str, Any]:
    """Return the JSON body of a `ScoreResponse`."""
    return {
        **score.to_dict(),
        "status": result.status,
        "reason": result.reason,
        "detail": result.detail,
        "seconds": dict(result.stage_seconds),
    }
