"""Keys, hosts and ports."""

from __future__ import annotations

import socket

import pytest

from serve.endpoint import free_port
from serve.settings import KEY_VARIABLE, digest, key_digest
from viral.errors import ConfigError

KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert key_digest(host) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", "", None])
def test_beyond_loopback_there_must_be_one(host: str | None) -> None:
    with pytest.raises(ConfigError, match="set VIRAL_API_KEY in the environment"):
        key_digest(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", None])
def test_a_key_counts_everywhere(host: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert key_digest(host) == digest(KEY)
    assert KEY not in digest(KEY)


@pytest.mark.parametrize("key", ["", KEY[1:]])
def test_a_short_key_is_refused_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(ConfigError, match="shorter than 16 characters") as refused:
        key_digest("127.0.0.1")
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_replaced(host: str) -> None:
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        assert free_port(host, port) != port
    assert free_port(host, port) == port


@pytest.mark.parametrize("host", ["192.0.2.1", "no.host.invalid"])
def test_a_host_that_is_not_here_cannot_be_bound(host: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot serve on {host}: "):
        free_port(host, 0)
