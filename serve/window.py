"""Flow control of bodies between Serve's proxy and an ingress replica.

Serve's proxy reads a body as fast as it comes, and the replica fetches it as fast, each into a queue without a bound.
Here the proxy reads only so far ahead of the ingress, which reports in messages of its own what it has taken. Serve
passes them on like those of an answer.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

EXTENSION = "viral.window"
"""In the `extensions` of a scope whose sender expects reports, the first after so many bytes. No header: clients can
send those."""
TAKEN = "viral.taken"
"""Type of the reports; `bytes` says how many more were taken."""
# What a refused upload costs in proxy and replica, and up to 320 KiB more: Serve's HTTP server reads so much at once.
FIRST_BYTES = 64 << 10  # of a form
AHEAD_BYTES = (
    1 << 20
)  # once the ingress takes the body: several milliseconds of a fast client, as long as a report takes
REPORT_BYTES = AHEAD_BYTES // 4


class Window:
    """The body of one request as its sender reads it.

    Args:
        receive: of the connection.
        first: bytes to read before the first report.
    """

    def __init__(self, receive: Receive, first: int) -> None:
        self._receive, self._ahead, self._limit = receive, 0, first
        self._reported = asyncio.Event()

    async def receive(self) -> Message:
        """Return the next message, once it is in the window."""
        while self._ahead >= self._limit:
            self._reported.clear()
            await self._reported.wait()
        message = await self._receive()
        self._ahead += len(message.get("body", b""))
        return message

    def taken(self, report: Message) -> None:
        """Move the window on."""
        self._ahead -= report["bytes"]
        self._limit = AHEAD_BYTES
        self._reported.set()


def with_reports(scope: Scope, first: int) -> Scope:
    """Return a scope that asks the ingress for reports, once it has taken `first` bytes of a longer body."""
    return {**scope, "extensions": {**scope.get("extensions", {}), EXTENSION: {"first": first}}}


class TakenReports:
    """ASGI middleware of the ingress: reports what the application takes of a body, if the sender asks for it.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        asked = scope.get("extensions", {}).get(EXTENSION)
        if asked is None:
            return await self._app(scope, receive, send)
        taken, due = 0, asked["first"]

        async def reporting() -> Message:
            nonlocal taken, due
            message = await receive()
            taken += len(message.get("body", b""))
            if taken >= due and message.get("more_body"):
                await send({"type": TAKEN, "bytes": taken})
                taken, due = 0, REPORT_BYTES
            return message

        return await self._app(scope, reporting, send)
