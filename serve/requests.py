"""Parsing of HTTP requests: bounded in size, validated, and without access to files outside the root."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from serve.errors import ApiError, fields_error
from serve.schemas import LISTS, ScoreFields, ScoreInput, ScoreRequest

FORM_OVERHEAD = 64 << 10  # room for the other fields of a form with the largest video
JSON_BYTES = 1 << 20  # the longest caption and 200 hashtags, escaped, fit several times over
FORM_FIELDS = 20  # twice the fields that there are

F = TypeVar("F", bound=ScoreFields)


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


def _check_length(request: Request, limit: int, shown_limit: int) -> None:
    """Check the declared length before the body is read; the server cuts a body that is longer than declared."""
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit():
        raise ApiError(HTTPStatus.LENGTH_REQUIRED, "length_required", "send the length of the body (Content-Length)")
    if int(length) > limit:
        raise _too_large(shown_limit)


def _too_large(limit: int) -> ApiError:
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"the body is larger than {limit} bytes")


async def _parse_form(form: FormData, limit: int) -> ScoreInput:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise _bad_field("the form has no file field `file`")
    if (file.size or 0) > limit:
        raise _too_large(limit)
    fields = _validate(ScoreFields, _text_fields(form))
    return ScoreInput(fields.context(), content=await file.read(), author_views=fields.views(), explain=fields.explain)


def _text_fields(form: FormData) -> dict[str, Any]:
    """The form's fields without the file and without empty ones; lists are split at blanks and commas."""
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
    return ScoreInput(fields.context(), uri=uri, author_views=fields.views(), explain=fields.explain)


def _validate(model: type[F], values: dict[str, Any]) -> F:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise fields_error(error) from error


def below_root(uri: str, root: str) -> str:
    """Return the storage key of a URI below the root; clients may name nothing else.

    Symbolic links that lead out of a root's folder are rejected too.

    Raises:
        ApiError: the URI lies outside the root.
    """
    key = uri.removeprefix(f"{root}/")
    outside = key.startswith("/") or "://" in key or ".." in PurePosixPath(key).parts
    if outside or not (root.startswith("s3://") or _resolves_below(Path(root), key)):
        detail = "only videos below the endpoint's root may be named: upload it instead"
        raise ApiError(HTTPStatus.FORBIDDEN, "outside_root", detail)
    return key


def _resolves_below(root: Path, key: str) -> bool:
    try:
        return (root / key).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # the name is too long, or links form a circle: nothing that can be read
        return True


def _bad_field(detail: str) -> ApiError:
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", detail)
