"""Error responses: problem details (RFC 9457) with a reason code."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

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
"""HTTP status by `reason` of `viral.errors`; any other reason is an unusable draft, 422."""

PROBLEM = "application/problem+json"
BUSY = "busy"  # reason of a refusal because of other requests


class OverloadedError(Exception):
    """The endpoint cannot take the request now (a dead replica, unreadable storage). The client may retry."""


class ApiError(Exception):
    """An error response, raised anywhere in a request."""

    def __init__(self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.headers = status, reason, detail, headers

    def __reduce__(self) -> tuple[type[ApiError], tuple[Any, ...]]:
        """Pickle all arguments: errors travel between deployments."""
        return type(self), (self.status, self.reason, self.detail, self.headers)


def post_error(reason: str, detail: str) -> ApiError:
    """Return the error for a draft that cannot be scored."""
    status = STATUSES.get(reason, HTTPStatus.UNPROCESSABLE_ENTITY)
    retry = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return ApiError(status, reason, detail, retry)


def field_error(detail: str) -> ApiError:
    """Return the error for an invalid field."""
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", detail)


def too_many(reason: str, detail: str, seconds: float) -> ApiError:
    """Return the error for a request that should come again after some seconds."""
    return ApiError(HTTPStatus.TOO_MANY_REQUESTS, reason, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})


def busy(detail: str = "a part of the endpoint is restarting or cannot be reached: try again in a moment") -> ApiError:
    """Return the error for a failure that passes."""
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail, {"Retry-After": "1"})


def fields_error(error: ValidationError | RequestValidationError) -> ApiError:
    """Return the error for invalid fields; it names the first one, without its value."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    message = "no such field" if first["type"] == "extra_forbidden" else first["msg"]
    return field_error(f"{where[:200]}: {message}")


def install_handlers(app: FastAPI) -> None:
    """Answer all errors, including those of FastAPI itself, with problem details."""
    app.add_exception_handler(ApiError, _to_response)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)


def _to_response(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return error_response(error)


def error_response(error: ApiError) -> JSONResponse:
    """Return the answer with the problem details of an error."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": int(error.status),
        "reason": error.reason,
        "detail": " ".join(error.detail.split()),  # one line, whatever names the client gives
    }
    return JSONResponse(body, error.status, error.headers, media_type=PROBLEM)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    reason = HTTPStatus(error.status_code).name.lower()
    headers = dict(error.headers) if error.headers else None
    return _to_response(request, ApiError(error.status_code, reason, str(error.detail), headers))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _to_response(request, fields_error(error))


def _internal(request: Request, _: Exception) -> JSONResponse:
    """Answer a bug; the traceback is logged, and hidden from the client."""
    detail = "the endpoint failed; its log has the request's id and the reason (see serve.log_folder)"
    return _to_response(request, ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail))
