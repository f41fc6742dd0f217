"""From an HTTP request to a draft: bounded, checked, and nothing of the machine that serves within reach."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from serve.errors import RefusedError, refused_fields
from serve.schemas import LISTS, Draft, ScoreFields, ScoreRequest

FORM_OVERHEAD = 64 << 10  # what the form's other fields may add to the largest video
JSON_BYTES = 1 << 20  # the longest caption and 200 hashtags, escaped, fit several times
FORM_FIELDS = 20

F = TypeVar("F", bound=ScoreFields)


async def draft_of(request: Request, root: str, max_upload_bytes: int) -> Draft:
    """The draft that a request brings: a form with the video in `file`, or JSON that names one, or none.

    Raises:
        RefusedError: too large, not of the two kinds, or with fields that do not fit.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        _check_length(request, max_upload_bytes + FORM_OVERHEAD, max_upload_bytes)
        async with request.form(max_files=1, max_fields=FORM_FIELDS) as form:
            return await _uploaded(form, max_upload_bytes)
    if kind == "application/json":
        _check_length(request, JSON_BYTES, JSON_BYTES)
        return _named(await request.body(), root)
    raise RefusedError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "send multipart/form-data with the video in `file`, or application/json",
    )


def _check_length(request: Request, most: int, said: int) -> None:
    """Refuse by the length that is announced, before any of the body is read; the server holds the client to it."""
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit():
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "length_required", "say the length of the body (Content-Length)")
    if int(length) > most:
        raise _too_large(said)


def _too_large(most: int) -> RefusedError:
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"the body is larger than {most} bytes")


async def _uploaded(form: FormData, most: int) -> Draft:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise _unfit("the form has no file field `file`")
    if (file.size or 0) > most:
        raise _too_large(most)
    fields = _valid(ScoreFields, _texts(form))
    return Draft(fields.context(), content=await file.read(), author_views=fields.views(), explain=fields.explain)


def _texts(form: FormData) -> dict[str, Any]:
    """The form's fields but the file; an empty one is not given, lists are separated by blanks or commas."""
    pairs = [(name, value) for name, value in form.multi_items() if name != "file" and value != ""]
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise _unfit(f"{twice[0]}: given twice")
    texts: dict[str, Any] = dict(pairs)
    for name in LISTS:
        if isinstance(texts.get(name), str):
            texts[name] = texts[name].replace(",", " ").split()
    return texts


def _named(body: bytes, root: str) -> Draft:
    try:
        fields = ScoreRequest.model_validate_json(body)
    except ValidationError as error:
        raise refused_fields(error) from error
    uri = None if fields.uri is None else below_root(fields.uri, root)
    return Draft(fields.context(), uri=uri, author_views=fields.views(), explain=fields.explain)


def _valid(model: type[F], values: dict[str, Any]) -> F:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise refused_fields(error) from error


def below_root(uri: str, root: str) -> str:
    """The key of what a client may name: what lies below the root, and nothing else of the machine that serves.

    Links that lead out of a root's folder are refused too.

    Raises:
        RefusedError: it lies elsewhere.
    """
    key = uri.removeprefix(f"{root}/")
    outside = key.startswith("/") or "://" in key or ".." in PurePosixPath(key).parts
    if outside or not (root.startswith("s3://") or _resolves_below(Path(root), key)):
        detail = "only videos below the endpoint's root may be named: upload it instead"
        raise RefusedError(HTTPStatus.FORBIDDEN, "outside_root", detail)
    return key


def _resolves_below(root: Path, key: str) -> bool:
    try:
        return (root / key).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a name too long, links in a circle: nothing that could be read
        return True


def _unfit(detail: str) -> RefusedError:
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", detail)
