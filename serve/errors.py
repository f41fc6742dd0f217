"""Error responses: every error has a status and the body `{reason, detail}`."""

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
"""HTTP status by `reason` of `viral.errors`; any other reason is an unusable draft, 422."""


class ApiError(Exception):
    """An error response, raised anywhere in a request."""

    def __init__(self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.headers = status, reason, detail, headers


def post_error(reason: str, detail: str) -> ApiError:
    """Return the error for a draft that cannot be scored."""
    return ApiError(STATUSES.get(reason, HTTPStatus.UNPROCESSABLE_ENTITY), reason, detail)


def fields_error(error: ValidationError | RequestValidationError) -> ApiError:
    """Return the error for invalid fields; it names the first one, without its value."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    message = "no such field" if first["type"] == "extra_forbidden" else first["msg"]
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", f"{where}: {message}")


def install_handlers(app: FastAPI) -> None:
    """Answer all errors, including those of FastAPI itself, with the body `{reason, detail}`."""
    app.add_exception_handler(ApiError, _to_response)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)


def _to_response(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return JSONResponse({"reason": error.reason, "detail": error.detail}, error.status, error.headers)


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
    detail = "the endpoint failed; its log says why"
    return _to_response(request, ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail))
