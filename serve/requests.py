"""Parsing of HTTP requests: bounded in size, validated, and without access to files outside the root."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from serve.errors import ApiError, fields_error
from serve.schemas import LISTS, ScoreFields, ScoreInput, ScoreRequest

FORM_OVERHEAD = 64 << 10  # room for the other fields of a form with the largest video
JSON_BYTES = 1 << 20  # the longest caption and 200 hashtags, escaped, fit several times over
FORM_FIELDS = 20  # twice the number of fields of a draft


async def parse_request(request: Request, root: str, max_upload_bytes: int) -> ScoreInput:
    """Parse a request: a form with the video in `file`, or JSON with or without the video's `uri`.

    Raises:
        ApiError: the body is too large, of another media type, or has invalid fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        _check_length(request, max_upload_bytes + FORM_OVERHEAD, max_upload_bytes)
        async with request.form(max_files=1, max_fields=FORM_FIELDS) as form:
            return await _parse_form(form, max_upload_bytes)
    if kind == "application/json":
        _check_length(request, JSON_BYTES, JSON_BYTES)
        return _parse_json(await request.body(), root)
    raise ApiError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "send multipart/form-data with the video in `file`, or application/json",
    )


def _check_length(request: Request, limit: int, reported_limit: int) -> None:
    """Check the Content-Length before the body is read; the server truncates a longer body."""
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit():
        raise ApiError(HTTPStatus.LENGTH_REQUIRED, "length_required", "send the length of the body (Content-Length)")
    if int(length) > limit:
        raise _too_large(reported_limit)


def _too_large(limit: int) -> ApiError:
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"the body is larger than {limit} bytes")


async def _parse_form(form: FormData, limit: int) -> ScoreInput:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise _bad_field("the form has no file field `file`")
    if (file.size or 0) > limit:
        raise _too_large(limit)
    try:
        fields = ScoreFields.model_validate(_text_fields(form))
    except ValidationError as error:
        raise fields_error(error) from error
    return ScoreInput(
        fields.context(), content=await file.read(), author_views=fields.author_views, explain=fields.explain
    )


def _text_fields(form: FormData) -> dict[str, Any]:
    """Return the non-empty fields besides the file, with lists split at spaces and commas."""
    pairs = [(name, value) for name, value in form.multi_items() if name != "file" and value != ""]
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise _bad_field(f"{repeated[0]}: given twice")
    fields: dict[str, Any] = dict(pairs)
    for name in LISTS:
        if isinstance(fields.get(name), str):
            fields[name] = fields[name].replace(",", " ").split()
    return fields


def _parse_json(body: bytes, root: str) -> ScoreInput:
    try:
        fields = ScoreRequest.model_validate_json(body)
    except ValidationError as error:
        raise fields_error(error) from error
    uri = None if fields.uri is None else below_root(fields.uri, root)
    return ScoreInput(fields.context(), uri=uri, author_views=fields.author_views, explain=fields.explain)


def below_root(uri: str, root: str) -> str:
    """Return the storage key of a URI below the root.

    Raises:
        ApiError: the URI lies outside the root, possibly by a symbolic link.
    """
    key = uri.removeprefix(f"{root}/")
    outside = key.startswith("/") or "://" in key or ".." in PurePosixPath(key).parts
    if outside or not (root.startswith("s3://") or _resolves_below(Path(root), key)):
        detail = "the URI is outside the endpoint's root: upload the video instead"
        raise ApiError(HTTPStatus.FORBIDDEN, "outside_root", detail)
    return key


def _resolves_below(root: Path, key: str) -> bool:
    try:
        return (root / key).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # name too long, or a loop of links: reading it fails anyway
        return True


def _bad_field(detail: str) -> ApiError:
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", detail)
