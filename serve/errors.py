"""Every error as one shape: a status and the body `{reason, detail}`."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from viral.errors import AccessDeniedError, MissingObjectError, ReadError, TooLargeError

STATUSES = {
    MissingObjectError.reason: HTTPStatus.NOT_FOUND,
    AccessDeniedError.reason: HTTPStatus.FORBIDDEN,
    TooLargeError.reason: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ReadError.reason: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status for a reason of `viral.errors`; for all others the draft is at fault, 422."""


class RefusedError(Exception):
    """A request that gets no score."""

    def __init__(self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.headers = status, reason, detail, headers


def refused_post(reason: str, detail: str) -> RefusedError:
    """A post that became no vectors."""
    return RefusedError(STATUSES.get(reason, HTTPStatus.UNPROCESSABLE_ENTITY), reason, detail)


def refused_fields(error: ValidationError | RequestValidationError) -> RefusedError:
    """Fields that do not fit: the first of them, by name. What was sent is not repeated."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    said = "no such field" if first["type"] == "extra_forbidden" else first["msg"]
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", f"{where}: {said}")


def answer_errors(app: FastAPI) -> None:
    """Have all errors of an application answered in this shape, its framework's own included."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return JSONResponse({"reason": error.reason, "detail": error.detail}, error.status, error.headers)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    reason = HTTPStatus(error.status_code).name.lower()
    headers = dict(error.headers) if error.headers else None
    return _refused(request, RefusedError(error.status_code, reason, str(error.detail), headers))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _refused(request, refused_fields(error))


def _internal(request: Request, _: Exception) -> JSONResponse:
    """A mistake of ours: the trace is in the log, and not for the client."""
    detail = "the endpoint failed; its log says why"
    return _refused(request, RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail))
