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
    """Settings of an endpoint: storage root, model (`name`, `name/version` or `name@champion`), and limits."""

    root: str
    model: str
    settings: Settings


def key_digest(host: str | None) -> str | None:
    """Return the digest of the API key in `$VIRAL_API_KEY`; None without a key, which only loopback allows.

    Only the digest is passed on, because Ray and Serve store and show the arguments of deployments.

    Args:
        host: the host that the endpoint binds; None if unknown.

    Raises:
        ConfigError: no key for a host beyond loopback, or a key that is too short.
    """
    key = os.environ.get(KEY_VARIABLE)
    if key is None:
        if not _is_loopback(host):
            problem = f"serving on {host} is open to others" if host else "the endpoint may be open to others"
            raise ConfigError(f"{problem}: set {KEY_VARIABLE} in the environment, or bind 127.0.0.1 (viral serve)")
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
