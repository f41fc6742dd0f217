"""An endpoint of this process, and one way to call both clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.client.endpoint import FakeEndpoint, running
from viral.client import AsyncClient, Client
from viral.client.connection import KEY_VARIABLE


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy from the environment, and short pauses."""
    monkeypatch.setattr("viral.client.attempts.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("viral.client.connection.FIRST_POLL", 0.02)
    for name in (KEY_VARIABLE, "VIRAL_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with running() as server:
        yield server


Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, endpoint: FakeEndpoint) -> Ask:
    """Call a method of a new client of either kind; the errors of a `score_many` come in its list."""

    def call(method: str, *arguments: Any, settings: dict[str, Any] | None = None, **fields: Any) -> Any:
        options = {"url": endpoint.url, **(settings or {})}
        if request.param == "sync":
            with Client(**options) as client:
                answer = getattr(client, method)(*arguments, **fields)
                return list(answer) if method == "score_many" else answer
        return asyncio.run(ask_async(method, options, *arguments, **fields))

    return call


async def ask_async(method: str, options: dict[str, Any], *arguments: Any, **fields: Any) -> Any:
    async with AsyncClient(**options) as client:
        answer = getattr(client, method)(*arguments, **fields)
        return [outcome async for outcome in answer] if method == "score_many" else await answer
