"""Keys, hosts and ports."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from serve.endpoint import free_port
from serve.keys import KEY_VARIABLE, Keyring, TokenBucket, add_key, digest, key_digest, read_keys, revoke_key
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


def accepted(keys: Keyring, key: str) -> str | None:
    found = keys.find(f"Bearer {key}")
    return found.name if found else None


def test_named_keys_come_and_go_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.keys.CHECK_SECONDS", 0.0)
    file = tmp_path / "keys.json"
    first = add_key(file, "first", 5.0)
    assert file.stat().st_mode & 0o777 == 0o600
    assert first not in file.read_text()
    keys = Keyring(file, digest(KEY))
    assert (accepted(keys, first), accepted(keys, KEY), accepted(keys, "x")) == ("first", "default", None)
    second = add_key(file, "zweiter Schlüssel 🎬")
    assert accepted(keys, second) == "zweiter Schlüssel 🎬"
    revoke_key(file, "first")
    assert (accepted(keys, first), accepted(keys, second)) == (None, "zweiter Schlüssel 🎬")
    file.write_text("{")
    assert (accepted(keys, second), accepted(keys, KEY)) == (None, "default")
    file.unlink()
    assert accepted(keys, second) is None


def test_a_file_of_keys_that_is_none_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with pytest.raises(ConfigError, match="cannot read the file of API keys"):
        read_keys(file)
    add_key(file, "a")
    with pytest.raises(ConfigError, match="has a key named a"):
        add_key(file, "a")
    with pytest.raises(ConfigError, match="no key named b: it has a"):
        revoke_key(file, "b")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_keys(file)
    file.chmod(0o600)
    file.write_text('{"keys": [{"name": "a", "key": "plain"}]}')
    with pytest.raises(ConfigError, match="is no file of API keys"):
        read_keys(file)


def test_a_key_has_its_rate() -> None:
    bucket, now = TokenBucket(2.0), time.monotonic()
    assert [bucket.wait(now), bucket.wait(now)] == [0.0, 0.0]
    assert bucket.wait(now) == pytest.approx(0.5)
    assert bucket.wait(now + 0.5) == 0.0
