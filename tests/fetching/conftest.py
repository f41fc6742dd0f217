"""A fetcher for the local website, with short time limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from viral.config import Settings
from viral.fetching.fetch import Fetcher, FetchResult, FetchTask
from viral.fetching.hosts import AllowedHosts
from viral.fetching.rate_limit import TokenBuckets
from viral.storage.store import Store

QUICK = {"attempts": 3, "backoff_seconds": 0.02, "stall_seconds": 1.5, "seconds": 8}
MAX_BYTES = 100_000


@pytest.fixture
def fetcher(tmp_path) -> Iterator[Callable[..., Fetcher]]:
    """Factory of fetchers with the given settings and arguments; by default only 127.0.0.1 is allowed."""
    with ExitStack() as stack:

        def make(
            *, allowed: tuple[str, ...] = ("127.0.0.1",), rate: float = 1000.0, fetch: Any = None, **more: Any
        ) -> Fetcher:
            settings = Settings(media={"max_bytes": MAX_BYTES}, fetch={**QUICK, **(fetch or {})})
            (tmp_path / "root").mkdir(exist_ok=True)
            store = more.pop("store", None) or Store.open(tmp_path / "root")
            return stack.enter_context(Fetcher(store, settings, AllowedHosts(allowed), TokenBuckets(rate), **more))

        yield make


@pytest.fixture
def fetch(fetcher) -> Callable[[str], FetchResult]:
    """Fetch one URL with the default fetcher."""
    default = fetcher()
    return lambda url: default.fetch(FetchTask(url, "127.0.0.1"))
