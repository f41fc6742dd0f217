"""Parsing of score requests: a form with videos, or JSON with URIs below the root."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from serve.errors import ApiError, field_error, fields_error
from serve.schemas import LINES, LISTS, CompareRequest, ExplainFields, ExplainRequest, ScoreFields, ScoreRequest
from serve.uploads import BodyReader, local_path, sha256
from viral.extractors.extractor import Context

T = TypeVar("T", bound=BaseModel)

JSON_TYPE, FORM_TYPE = "application/json", "multipart/form-data"
DRAFT_VALUES = 2000  # a draft with all hashtags, sticker texts and views of the author has 1,270


@dataclass(frozen=True)
class DraftVideo:
    """The video of a draft, as a file of a machine.

    Attributes:
        uri: a path of the ingress's machine, or a key below the root.
        name: of the uploaded file, or the URI as the client wrote it.
        sha256: of an uploaded file; None for one below the root.
    """

    uri: str
    name: str
    sha256: str | None = None


@dataclass(frozen=True)
class ScoreInput:
    """A parsed request: the context of a draft, and its videos: none for a text-only draft, several to compare.

    Attributes:
        changes: what-if changes to explain, and nothing else; None: the whole explanation.
    """

    context: Context
    videos: tuple[DraftVideo, ...] = ()
    author_views: Sequence[int] | None = None
    model: str | None = None
    changes: tuple[str, ...] | None = None

    def without_paths(self, detail: str, root: str) -> str:
        """Remove the root and the paths of the server from a message; the client knows its files by its own names."""
        for video in self.videos:
            detail = detail.replace(video.uri, video.name)
        return detail.replace(f"{root}/", "").replace(root, "the root")


def media_type(request: Request) -> str:
    """Return the media type of the body, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def expect(request: Request, *kinds: str) -> None:
    """Check the media type of the body, and its encoding.

    Raises:
        ApiError: it is none of `kinds`, or it is compressed.
    """
    detail = None
    if media_type(request) not in kinds:
        detail = f"send {' or '.join(kinds)}" + (" with the video in `file`" if FORM_TYPE in kinds else "")
    elif request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        detail = "send the body without Content-Encoding: it is not decompressed here"
    if detail:
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)


def parse_json(kind: type[T], body: bytes, values: int) -> T:
    """Validate a JSON body.

    Args:
        kind: model of the body.
        body: JSON text.
        values: most values in it. Each takes up to 300 bytes while it is parsed: a body of commas and brackets would
            take a hundred times its size.

    Raises:
        ApiError: the body does not fit the model.
    """
    separators = body.count(b",") + body.count(b"[") + body.count(b"{")
    if separators > values and _separators(body) > values:
        raise field_error(f"the body has more than {values} values")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise fields_error(error) from error


def _separators(body: bytes) -> int:
    """Count the commas and opening brackets of a JSON text that are not in its strings."""
    text = np.frombuffer(body.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)  # without escapes
    in_string = np.bitwise_xor.accumulate(text == ord('"'))
    return int(np.count_nonzero(((text == ord(",")) | (text == ord("[")) | (text == ord("{"))) & ~in_string))


@dataclass(frozen=True)
class DraftParser:
    """Parses the body of a request about drafts.

    Args:
        root: the root that URIs must lie below.
        max_upload_bytes: largest video.
        several: whether the request compares several videos.
        changes: whether the request may name what-if changes.
    """

    root: str
    max_upload_bytes: int
    several: bool = False
    changes: bool = False

    @asynccontextmanager
    async def parse(self, request: Request, body: BodyReader) -> AsyncIterator[ScoreInput]:
        """Parse the body; uploaded files exist until the end of the block.

        Raises:
            ApiError: the body is too large, or has invalid fields.
        """
        if media_type(request) == JSON_TYPE:
            yield self._parse_json(await body.read())
            return
        form = await body.form()
        try:
            yield await self._parse_form(form)
        finally:
            await form.close()

    async def _parse_form(self, form: FormData) -> ScoreInput:
        files = form.getlist("file")
        uploads = [file for file in files if isinstance(file, UploadFile)]
        others = [name for name, value in form.multi_items() if isinstance(value, UploadFile) and name != "file"]
        if not uploads or len(uploads) < len(files):
            raise field_error("the form has no file field `file`")
        if others:
            raise field_error(f"{others[0][:100]}: no such file field")
        if (len(uploads) > 1) != self.several:
            raise field_error("file: send two to ten files" if self.several else "file: given twice")
        if any((upload.size or 0) > self.max_upload_bytes for upload in uploads):
            detail = f"the file is larger than {self.max_upload_bytes} bytes"
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", detail)
        try:
            fields = (ExplainFields if self.changes else ScoreFields).model_validate(_text_fields(form))
        except ValidationError as error:
            raise fields_error(error) from error
        videos = [await run_in_threadpool(_uploaded, upload) for upload in uploads]
        return self._input(fields, videos)

    def _parse_json(self, body: bytes) -> ScoreInput:
        if self.several:
            compared = parse_json(CompareRequest, body, DRAFT_VALUES)
            return self._input(compared, [self._named(uri) for uri in compared.uris])
        fields = parse_json(ExplainRequest if self.changes else ScoreRequest, body, DRAFT_VALUES)
        return self._input(fields, [] if fields.uri is None else [self._named(fields.uri)])

    def _input(self, fields: ScoreFields, videos: list[DraftVideo]) -> ScoreInput:
        names = [video.name for video in videos]
        if len(set(names)) < len(names):
            raise field_error("two files have the same name")
        changes = tuple(fields.changes) if isinstance(fields, ExplainFields) and fields.changes is not None else None
        return ScoreInput(fields.context(), tuple(videos), fields.author_views, fields.model, changes)

    def _named(self, uri: str) -> DraftVideo:
        return DraftVideo(below_root(uri, self.root), uri)


def _uploaded(upload: UploadFile) -> DraftVideo:
    return DraftVideo(local_path(upload), upload.filename or "file", sha256(upload))


def _text_fields(form: FormData) -> dict[str, Any]:
    """Return the fields besides the files, with lists split at spaces and commas.

    An empty field is absent, as forms in a browser send all of theirs; an empty caption is an empty caption.
    """
    pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise field_error(f"{repeated[0][:100]}: given twice")
    fields: dict[str, Any] = {name: value for name, value in pairs if value or name == "caption"}
    for name in LISTS:
        if isinstance(fields.get(name), str):
            fields[name] = fields[name].replace(",", " ").split()
    for name in LINES:
        if isinstance(fields.get(name), str):
            fields[name] = fields[name].splitlines()
    return fields


def below_root(uri: str, root: str) -> str:
    """Return the storage key of a URI below the root.

    Raises:
        ApiError: the URI lies outside the root, possibly by a symbolic link.
    """
    key = uri.removeprefix(f"{root}/")
    outside = not key or key.startswith("/") or "://" in key or ".." in PurePosixPath(key).parts
    if outside or not (root.startswith("s3://") or _resolves_below(Path(root), key)):
        detail = "the URI is outside the endpoint's root: upload the video instead"
        raise ApiError(HTTPStatus.FORBIDDEN, "outside_root", detail)
    return key


def _resolves_below(root: Path, key: str) -> bool:
    try:
        return (root / key).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # name too long, or a loop of links: reading it fails anyway
        return True
