"""Settings of an endpoint, and its API key."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from dataclasses import dataclass

from viral.config import Settings
from viral.errors import ConfigError

KEY_VARIABLE = "VIRAL_API_KEY"
MIN_KEY = 16  # characters; 64 random bits even if they are hexadecimal digits


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint: a model of a root (`name/version`, or `name@champion`), and the settings."""

    root: str
    model: str
    settings: Settings


def key_digest(host: str | None) -> str | None:
    """Return the digest of the key in `$VIRAL_API_KEY`; None if there is no key, which only loopback allows.

    Ray and Serve see only the digest, as they store and show the arguments of deployments.

    Args:
        host: the host that the endpoint binds; None if unknown.

    Raises:
        ConfigError: the endpoint would be open to others without a key, or the key is too short.
    """
    key = os.environ.get(KEY_VARIABLE)
    if key is None:
        if not _is_loopback(host):
            where = f"serving on {host} is open to others" if host else "the endpoint may be open to others"
            raise ConfigError(f"{where}: set {KEY_VARIABLE} in the environment, or bind 127.0.0.1 (viral serve)")
        return None
    if len(key) < MIN_KEY:
        raise ConfigError(f"{KEY_VARIABLE} is shorter than {MIN_KEY} characters: use a longer one")
    return digest(key)


def digest(key: str) -> str:
    """SHA-256 of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
