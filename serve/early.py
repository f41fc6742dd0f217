"""What stands before Serve's own code, in its proxy or, behind HAProxy, in the ingress replica.

A request that the ingress refuses costs a tenth as much here. Under overload that leaves the cores to the requests that
are answered.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from http import HTTPStatus

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import BUSY, ApiError, error_response
from serve.window import AHEAD_BYTES, FIRST_BYTES, TAKEN, Window, with_reports

Lane = tuple[str, bool]

EARLY = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.early:middlewares"}
"""Environment of a Ray whose Serve answers early; of every node of a cluster."""
BEHIND_HAPROXY = os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
# Otherwise the replica reads a body into memory as fast as it comes, to see when the client leaves; that
# `uploads.while_connected` sees too. Serve's own proxy reads so in any case: see `serve.window`.
READ_ON_DEMAND = (b"x-request-disconnect-disabled", b"?1")
CLIENT_LEFT = 499  # of Serve, when nobody reads the answer
PATHS = ("/v1/score", "/v1/score/features", "/v1/score/posts")  # those that answer many requests per second
WITH_BODY = {*PATHS, "/v1/explain", "/v1/compare", "/v1/score/batch"}
PROBE_SECONDS = 0.05  # after which one request is tried although none was answered, so that no lane stays closed
REOPEN_SECONDS = 1.0  # without a refusal of the ingress, after which all requests pass again


def middlewares() -> list[Middleware]:
    """Return what Serve puts around its HTTP servers."""
    return [Middleware(EarlyAnswers)]


@dataclass
class _Closed:
    """A lane whose last request was refused: from then on one request may pass for each that is answered."""

    refusal: tuple[Message, Message]
    refused: float
    probed: float
    passes: int = 0

    def may_pass(self) -> bool:
        """Take a pass; there is a free one every `PROBE_SECONDS`."""
        now = time.monotonic()
        if self.passes:
            self.passes -= 1
        elif now - self.probed < PROBE_SECONDS:
            return False
        self.probed = now
        return True


class EarlyAnswers:
    """ASGI middleware: repeats refusals of the ingress while it is busy, and converts Serve's own errors.

    Args:
        app: Serve's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._closed: dict[Lane, _Closed] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(("/v1/", "/healthz", "/readyz", "/livez")):
            return await self._app(scope, receive, send)
        form, window = _is_form(scope), None
        if BEHIND_HAPROXY and form:
            scope = {**scope, "headers": [*scope["headers"], READ_ON_DEMAND]}
        elif not BEHIND_HAPROXY and path in WITH_BODY:
            first = FIRST_BYTES if form else AHEAD_BYTES  # of the other bodies, most need no report
            window = Window(receive, first)
            scope, receive = with_reports(scope, first), window.receive
        lane = _lane(scope)
        closed = self._closed.get(lane) if lane else None
        if closed and not closed.may_pass():
            for message in closed.refusal:
                await send(message)
            return None
        answer = _Answer(send, lane, self._closed, window)
        await self._app(scope, receive, answer)
        await answer.finish()
        return None


class _Answer:
    """Passes an answer on, and remembers what it says about its lane."""

    def __init__(self, send: Send, lane: Lane | None, closed: dict[Lane, _Closed], window: Window | None) -> None:
        self._send, self._lane, self._closed, self._window = send, lane, closed, window
        self._start: Message = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == TAKEN:
            if self._window:
                self._window.taken(message)
        elif message["type"] == "http.response.start":
            self._start = message
            if self._lane and message["status"] < HTTPStatus.MULTIPLE_CHOICES:
                self._count_answer(self._lane)
            if not self._is_of_serve():
                await self._send(message)
        elif message["type"] == "http.response.body" and self._is_of_serve():
            if not message.get("more_body"):
                await self._send_error(_error(self._start["status"]))
        else:
            if self._lane and self._start.get("status") == HTTPStatus.TOO_MANY_REQUESTS:
                self._close(self._lane, message)
            await self._send(message)

    async def finish(self) -> None:
        """Answer if Serve has not, as when the replica died."""
        if not self._start:
            await self._send_error(_error(HTTPStatus.SERVICE_UNAVAILABLE))

    def _count_answer(self, lane: Lane) -> None:
        if closed := self._closed.get(lane):
            closed.passes += 1
            if time.monotonic() - closed.refused > REOPEN_SECONDS:
                del self._closed[lane]

    def _close(self, lane: Lane, body: Message) -> None:
        if json.loads(body["body"])["reason"] != BUSY:  # a limit of one key, or of bytes
            return
        headers = [(name, value) for name, value in self._start["headers"] if name.lower() != b"x-request-id"]
        now, closed = time.monotonic(), self._closed.get(lane)
        refusal = ({**self._start, "headers": headers}, body)
        self._closed[lane] = _Closed(refusal, now, now, closed.passes if closed else 0)

    def _is_of_serve(self) -> bool:
        """Whether this is an error of Serve: the ingress answers none as plain text."""
        kind = dict(self._start["headers"]).get(b"content-type", b"")
        status = self._start["status"]
        return bool(status >= HTTPStatus.BAD_REQUEST and status != CLIENT_LEFT and kind.startswith(b"text/plain"))

    async def _send_error(self, error: ApiError) -> None:
        response = error_response(error)
        await self._send({"type": "http.response.start", "status": error.status, "headers": response.raw_headers})
        await self._send({"type": "http.response.body", "body": response.body})


def _error(status: int) -> ApiError:
    """Return the problem behind an error of Serve."""
    if status == HTTPStatus.NOT_FOUND:  # Serve has no application here: it starts or ends
        return ApiError(503, "not_ready", "the endpoint is starting or stopping", {"Retry-After": "1"})
    retry = {"Retry-After": "1"} if status in {429, 503} else None
    return ApiError(status, "unavailable", "the endpoint could not answer: try again", retry)


def _lane(scope: Scope) -> Lane | None:
    """Return the path of a scoring request, and whether it brings a form; None for other requests."""
    if scope["path"] not in PATHS:
        return None
    return scope["path"], _is_form(scope)


def _is_form(scope: Scope) -> bool:
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return bool(kind.lower().startswith(b"multipart/"))
