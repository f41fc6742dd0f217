"""What each method of the clients sends and how its answer is read. Nothing here opens a connection."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from viral.client.answers import (
    ComparedDraft,
    EndpointJob,
    EndpointModel,
    EndpointScore,
    read_job,
    read_json,
    read_model,
    read_optional_score,
    read_ranking,
    read_score,
)
from viral.client.uploads import VideoFile, VideoUpload, video_upload
from viral.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
ARROW = "application/vnd.apache.arrow.stream"
LINES = frozenset({"sticker_texts", "changes"})  # fields of a form with a text per line


class DraftContext(TypedDict, total=False):
    """What is known of a draft besides its video. `author_views`: views of the author's earlier posts."""

    caption: str | None
    hashtags: Sequence[str] | None
    posted_at: datetime | str | None
    author_followers: int | None
    sound_original: bool | None
    sound_posts_before: int | None
    sound_uses_before: int | None
    sticker_texts: Sequence[str] | None
    author_views: Sequence[int] | None


class DraftFields(DraftContext, total=False):
    """A draft as arguments of `score`: a file, a URI below the endpoint's root, or neither; and its context."""

    file: VideoFile | None
    uri: str | None
    model: str | None


@dataclass(frozen=True)
class EndpointCall(Generic[T]):
    """A request, and the function that reads the body of its answer.

    Attributes:
        read: raises KeyError, TypeError or ValueError if the body is not of the expected form.
        form: text fields of a form; `uploads` are its files.
    """

    path: str
    read: Callable[[bytes], T]
    method: str = "POST"
    content: bytes | None = None
    content_type: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    uploads: Sequence[VideoUpload] = ()


def score_call(
    path: str,
    file: VideoFile | None,
    uri: str | None,
    model: str | None,
    context: Mapping[str, Any],
    changes: Sequence[str] | None = None,
) -> EndpointCall[EndpointScore]:
    """Score or explain one draft, or only what-if changes of it.

    Raises:
        ConfigError: a file and a URI at once, or an unknown field.
    """

    def read(body: bytes) -> EndpointScore:
        """Read the score from the body of an answer."""
        return read_score(read_json(body))

    fields = context_fields(context) | without_none(model=model)
    if changes is not None:
        fields["changes"] = list(changes)
    if file is None:
        return EndpointCall(path, read, **json_body(fields | without_none(uri=uri)))
    if uri is not None:
        raise ConfigError("a draft has a file or a uri, not both")
    return EndpointCall(path, read, form=form_of(fields), uploads=(video_upload(file),))


def draft_call(draft: DraftFields) -> EndpointCall[EndpointScore]:
    """Score one draft of `score_many`. Raises as `score_call` does."""
    context: dict[str, Any] = dict(draft)
    file, uri, model = (context.pop(name, None) for name in ("file", "uri", "model"))
    return score_call("/v1/score", file, uri, model, context)


def compare_call(
    files: Sequence[VideoFile], uris: Sequence[str], model: str | None, context: Mapping[str, Any]
) -> EndpointCall[tuple[ComparedDraft, ...]]:
    """Compare drafts. Files are sent under numbers, so that their paths stay here; answers name them as given."""
    if bool(files) == bool(uris):
        raise ConfigError("compare takes files or uris")
    fields = context_fields(context) | without_none(model=model)
    if uris:
        read = _ranking_reader({uri: uri for uri in uris})
        return EndpointCall("/v1/compare", read, **json_body(fields | {"uris": list(uris)}))
    names = [_name_of(file, number) for number, file in enumerate(files, 1)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ConfigError(f"{repeated[0]} is named twice")
    sent = [f"{number}{Path(name).suffix}" for number, name in enumerate(names, 1)]
    uploads = tuple(video_upload(file, name) for file, name in zip(files, sent, strict=True))
    read = _ranking_reader(dict(zip(sent, names, strict=True)))
    return EndpointCall("/v1/compare", read, form=form_of(fields), uploads=uploads)


def _ranking_reader(names: Mapping[str, str]) -> Callable[[bytes], tuple[ComparedDraft, ...]]:
    return lambda body: read_ranking(read_json(body), names)


def _name_of(file: VideoFile, number: int) -> str:
    return os.fspath(file) if isinstance(file, str | os.PathLike) else f"draft {number}"


def features_call(
    vectors: Sequence[Mapping[str, Iterable[float] | None]], model: str | None
) -> EndpointCall[list[EndpointScore | None]]:
    """Score vectors that are ready, each post as a vector per extractor; None: the post lacks it."""
    rows = [{name: None if vector is None else _floats(vector) for name, vector in row.items()} for row in vectors]

    def read(body: bytes) -> list[EndpointScore | None]:
        """Read the scores, in the order of the vectors."""
        return [read_optional_score(score) for score in read_json(body)["scores"]]

    return EndpointCall("/v1/score/features", read, **json_body({"vectors": rows} | without_none(model=model)))


def _floats(vector: Any) -> list[float]:
    # Arrays and tensors have `tolist`; lists have not.
    return vector.tolist() if hasattr(vector, "tolist") else [float(value) for value in vector]


def table_call(table: pa.Table, model: str | None) -> EndpointCall[pa.Table]:
    """Score a table of vectors, one column per extractor. Request and answer are Arrow IPC streams."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return EndpointCall(
        "/v1/score/features",
        lambda body: pa.ipc.open_stream(body).read_all(),
        content=sink.getvalue().to_pybytes(),
        content_type=ARROW,
        params=without_none(model=model),
    )


def posts_call(post_ids: Sequence[str], model: str | None) -> EndpointCall[dict[str, EndpointScore | None]]:
    """Score posts by their ids; the root of the endpoint has their features."""

    def read(body: bytes) -> dict[str, EndpointScore | None]:
        """Read the scores by post."""
        return {post: read_optional_score(score) for post, score in read_json(body)["scores"].items()}

    return EndpointCall("/v1/score/posts", read, **json_body({"post_ids": list(post_ids)} | without_none(model=model)))


def batch_call(drafts: Sequence[DraftFields], model: str | None) -> EndpointCall[EndpointJob]:
    """Start a job over many drafts. Raises ConfigError for a draft with a file: a job reads below the root."""
    rows = []
    for draft in drafts:
        context: dict[str, Any] = dict(draft)
        file, uri, its_model = (context.pop(name, None) for name in ("file", "uri", "model"))
        if file is not None or its_model is not None:
            raise ConfigError("a draft of score_batch has a uri and its context: upload files with score_many")
        rows.append(context_fields(context) | without_none(uri=uri))
    return EndpointCall("/v1/score/batch", _read_job, **json_body({"drafts": rows} | without_none(model=model)))


def job_call(job_id: str) -> EndpointCall[EndpointJob]:
    """Read the state of a job."""
    return EndpointCall(f"/v1/jobs/{quote(job_id, safe='')}", _read_job, method="GET")


def _read_job(body: bytes) -> EndpointJob:
    return read_job(read_json(body))


def models_call() -> EndpointCall[list[EndpointModel]]:
    """List the models."""
    return EndpointCall("/v1/models", lambda body: [read_model(m) for m in read_json(body)["models"]], method="GET")


def ready_call() -> EndpointCall[bool]:
    """Ask whether the endpoint is ready."""
    return EndpointCall("/healthz", lambda _: True, method="GET")


CONTEXT = frozenset(DraftContext.__annotations__)


def context_fields(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a draft that have a value, as JSON values.

    Raises:
        ConfigError: there is no such field, or a hashtag that a form could not carry.
    """
    unknown = sorted(set(context) - CONTEXT)
    if unknown:
        raise ConfigError(f"a draft has no field {unknown[0]}: it has {', '.join(sorted(CONTEXT))}")
    fields = without_none(**context)
    if isinstance(fields.get("posted_at"), datetime):
        fields["posted_at"] = fields["posted_at"].isoformat()
    for name in ("hashtags", "author_views", "sticker_texts"):
        if name in fields:
            fields[name] = list(fields[name])
    # The endpoint splits this field of a form there.
    if any(set(tag) & set(" ,\t\n") for tag in fields.get("hashtags", ())):
        raise ConfigError("a hashtag has no blanks and no commas")
    return fields


def without_none(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def form_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields as texts of a form: lists separated by blanks, `LINES` by line breaks."""
    form = {name: _text(value) for name, value in fields.items() if name not in LINES}
    for name in LINES & set(fields):
        # Line breaks within a text become blanks, as the form separates the texts by them.
        form[name] = "\n".join(" ".join(text.split()) for text in fields[name])
    try:
        "".join(form.values()).encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, as Python reads bytes that are not UTF-8
        raise ConfigError("a text of the draft is not valid Unicode") from error
    return form


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return json.dumps(value) if isinstance(value, bool) else str(value)


def json_body(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call with a JSON body. Raises ConfigError for values that JSON cannot express."""
    try:
        content = json.dumps(values, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"cannot be sent as JSON: {error}") from error
    return {"content": content, "content_type": "application/json"}
