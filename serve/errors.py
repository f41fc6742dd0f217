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
"""HTTP status by `reason` of `viral.errors`; any other reason is the draft's fault, 422."""


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.headers = status, reason, detail, headers


def post_error(reason: str, detail: str) -> ApiError:
    """The error for a post without vectors."""
    return ApiError(STATUSES.get(reason, HTTPStatus.UNPROCESSABLE_ENTITY), reason, detail)


def fields_error(error: ValidationError | RequestValidationError) -> ApiError:
    """The error for invalid fields: names the first of them, without its value."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    message = "no such field" if first["type"] == "extra_forbidden" else first["msg"]
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_field", f"{where}: {message}")


def install_handlers(app: FastAPI) -> None:
    """Install handlers that answer all errors in this shape, those of the framework included."""
    app.add_exception_handler(ApiError, _answer)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)


def _answer(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return JSONResponse({"reason": error.reason, "detail": error.detail}, error.status, error.headers)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    reason = HTTPStatus(error.status_code).name.lower()
    headers = dict(error.headers) if error.headers else None
    return _answer(request, ApiError(error.status_code, reason, str(error.detail), headers))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _answer(request, fields_error(error))


def _internal(request: Request, _: Exception) -> JSONResponse:
    """A bug: the traceback is in the log, the client gets none of it."""
    detail = "the endpoint failed; its log says why"
    return _answer(request, ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail))
