"""Bodies are read no further ahead of the ingress than a window; refused uploads hardly at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from serve.early import EarlyAnswers
from serve.window import AHEAD_BYTES, FIRST_BYTES, TAKEN, TakenReports

CHUNK, CHUNKS = 64 << 10, 200
FORM = {"type": "http", "path": "/v1/score", "headers": [(b"content-type", b"multipart/form-data; boundary=x")]}
VECTORS = {"type": "http", "path": "/v1/score/features", "headers": [(b"content-type", b"application/json")]}


class Connection:
    """A client that sends as fast as it is read."""

    def __init__(self) -> None:
        self.read, self.sent = 0, list[Any]()

    async def receive(self) -> Any:
        if self.read == CHUNKS:
            await asyncio.Event().wait()  # it stays
        await asyncio.sleep(0)
        self.read += 1
        return {"type": "http.request", "body": bytes(CHUNK), "more_body": self.read < CHUNKS}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


class Replica:
    """An ingress behind Serve's queues, which take whatever they are given."""

    def __init__(self, connection: Connection, *, refuses: bool) -> None:
        self._connection, self._refuses = connection, refuses
        self.ahead = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def proxy() -> None:
            while True:
                await queue.put(await receive())

        task = asyncio.create_task(proxy())
        try:
            await TakenReports(self._answer)(scope, queue.get, send)
        finally:
            task.cancel()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        taken, more = 0, True
        while more and not self._refuses:
            for _ in range(50):  # in which the proxy reads as far as it may
                await asyncio.sleep(0)
            taken, more = taken + 1, (await receive())["more_body"]
            self.ahead = max(self.ahead, self._connection.read - taken)
        for _ in range(50):
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(taken).encode()})


@pytest.mark.parametrize(("scope", "first"), [(FORM, FIRST_BYTES), (VECTORS, AHEAD_BYTES)])
@pytest.mark.parametrize("refuses", [False, True])
def test_the_proxy_reads_no_further_than_the_window(scope: dict[str, Any], first: int, refuses: bool) -> None:
    connection = Connection()
    replica = Replica(connection, refuses=refuses)
    asyncio.run(EarlyAnswers(replica)(scope, connection.receive, connection.send))
    assert [message["type"] for message in connection.sent] == ["http.response.start", "http.response.body"]
    if refuses:
        assert connection.read <= first // CHUNK + 1
    else:
        assert connection.sent[1]["body"] == str(CHUNKS).encode()
        assert FIRST_BYTES // CHUNK < replica.ahead <= AHEAD_BYTES // CHUNK + 1


def test_nobody_is_reported_to_who_did_not_ask() -> None:
    connection = Connection()
    replica = Replica(connection, refuses=False)
    asyncio.run(replica(FORM, connection.receive, connection.send))
    assert TAKEN not in {message["type"] for message in connection.sent}
