"""API keys: one in the environment, or several named ones in a file that holds only their hashes.

A key is 256 random bits, so a plain SHA-256 of it cannot be reversed by trying keys. The file is read again when it
changes: a key that is removed from it stops working within a second.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from viral.errors import ConfigError

KEY_VARIABLE = "VIRAL_API_KEY"
MIN_KEY = 16  # characters of a key that a person chose; 64 random bits even if they are hexadecimal digits
KEY_BYTES = 32
CHECK_SECONDS = 1.0  # between two looks at the file's time of change
_OTHERS_MAY_WRITE = 0o022


class ApiKey(BaseModel):
    """A named key, as the file stores it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    requests_per_second: PositiveFloat | None = None
    created: str | None = None


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[ApiKey] = []


class Keyring:
    """The keys that an endpoint accepts. Without any, everybody is let in.

    Args:
        file: file of keys.
        key_digest: SHA-256 of a further key, named `default`.

    Raises:
        ConfigError: the file cannot be read.
    """

    def __init__(self, file: Path | None = None, key_digest: str | None = None) -> None:
        self._file, self._changed, self._checked = file, 0, 0.0
        self._fixed = [ApiKey(name="default", sha256=key_digest)] if key_digest else []
        self._keys = list(self._fixed)
        self.open = file is None and not self._fixed
        if file:
            self._changed = file.stat().st_mtime_ns if file.exists() else 0
            self._keys += read_keys(file)

    def find(self, authorization: str) -> ApiKey | None:
        """Return the key in an `Authorization: Bearer …` header; None if there is no such key."""
        self._reload()
        scheme, _, key = authorization.partition(" ")
        # Headers are decoded as Latin-1, while a key may hold any character, sent as UTF-8.
        given, found = hashlib.sha256(key.strip().encode("latin-1", "replace")).hexdigest(), None
        for known in self._keys:  # all of them, so that the time tells nothing
            if hmac.compare_digest(given, known.sha256):
                found = known
        return found if scheme.lower() == "bearer" else None

    def _reload(self) -> None:
        """Read the file again if it has changed; if it is broken, no key of it is accepted until it is mended."""
        if self._file is None or time.monotonic() - self._checked < CHECK_SECONDS:
            return
        self._checked = time.monotonic()
        try:
            changed = self._file.stat().st_mtime_ns
            if changed != self._changed:
                self._keys = [*self._fixed, *read_keys(self._file)]
                self._changed = changed
        except (OSError, ConfigError):
            # 0 is the time of change of no file: each look reads the file again until it is mended.
            self._keys, self._changed = list(self._fixed), 0


@dataclass
class TokenBucket:
    """A rate limit: on average `rate` per second, at most a second's worth at once."""

    rate: float
    tokens: float = 1.0
    at: float = 0.0

    def wait(self, now: float) -> float:
        """Take a token. Returns 0, or the seconds until there is one if there is none."""
        # At least one token fits, otherwise a rate below one per second would never allow a request.
        self.tokens = min(max(self.rate, 1.0), self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


def read_keys(file: Path) -> list[ApiKey]:
    """Read a file of keys.

    Raises:
        ConfigError: it does not exist, others may write it, or it has another form.
    """
    try:
        if file.stat().st_mode & _OTHERS_MAY_WRITE:
            raise ConfigError(f"others may write the file of API keys {file}: run chmod 600 {file}")
        return _KeyFile.model_validate_json(file.read_bytes()).keys
    except OSError as error:
        raise ConfigError(f"cannot read the file of API keys {file}: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigError(
            f"{file} is no file of API keys: {error.errors()[0]['msg']}; make one with `viral serve keys`"
        ) from error


def add_key(file: Path, name: str, requests_per_second: float | None = None) -> str:
    """Add a new key to a file, which is created if need be; returns the key, which is stored nowhere.

    Raises:
        ConfigError: the name is taken, or the file cannot be read.
    """
    keys = read_keys(file) if file.exists() else []
    if name in {key.name for key in keys}:
        raise ConfigError(f"{file} has a key named {name}: revoke it first, or choose another name")
    key = secrets.token_urlsafe(KEY_BYTES)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    added = ApiKey(name=name, sha256=digest(key), requests_per_second=requests_per_second, created=created)
    _write(file, [*keys, added])
    return key


def revoke_key(file: Path, name: str) -> None:
    """Remove a key from a file.

    Raises:
        ConfigError: it has no such key.
    """
    keys = read_keys(file)
    if name not in {key.name for key in keys}:
        raise ConfigError(f"{file} has no key named {name}: it has {', '.join(key.name for key in keys) or 'none'}")
    _write(file, [key for key in keys if key.name != name])


def _write(file: Path, keys: list[ApiKey]) -> None:
    """Replace a file at once, so that an endpoint never reads half of it."""
    new = file.with_name(f".{file.name}.new")
    new.touch(mode=0o600)
    # `touch` leaves the mode of a file that an interrupted write has left behind.
    new.chmod(0o600)
    new.write_text(json.dumps({"keys": [key.model_dump() for key in keys]}, indent=1))
    new.replace(file)


def key_digest(host: str | None, keys_file: Path | None = None) -> str | None:
    """Return the digest of the API key in `$VIRAL_API_KEY`; None without one, which needs loopback or a file of keys.

    Only the digest is passed on, because Ray and Serve store and show the arguments of deployments.

    Args:
        host: the host that the endpoint binds; None if unknown.
        keys_file: file of keys on each node.

    Raises:
        ConfigError: no key for a host beyond loopback, or a key that is too short.
    """
    key = os.environ.get(KEY_VARIABLE)
    if key is None:
        if keys_file is None and not is_loopback(host):
            problem = f"serving on {host} is open to others" if host else "the endpoint may be open to others"
            raise ConfigError(
                f"{problem}: set {KEY_VARIABLE} in the environment, name a file of keys (serve.keys_file), or bind "
                "127.0.0.1 (viral serve)"
            )
        return None
    if len(key) < MIN_KEY:
        raise ConfigError(f"{KEY_VARIABLE} is shorter than {MIN_KEY} characters: use a longer one")
    return digest(key)


def digest(key: str) -> str:
    """SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
