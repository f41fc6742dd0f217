"""What the endpoint is started with."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass

from viral.config import Settings
from viral.errors import ConfigError

KEY_VARIABLE = "VIRAL_API_KEY"
MIN_KEY = 16


@dataclass(frozen=True)
class EndpointSpec:
    """One endpoint: the model `model` of the root `root`, and all settings."""

    root: str
    model: str
    settings: Settings


def api_key(host: str) -> str | None:
    """The key from `$VIRAL_API_KEY`; beyond loopback there must be one.

    Raises:
        ConfigError: the endpoint would be open to others without a key, or the key is short.
    """
    key = os.environ.get(KEY_VARIABLE)
    if key is not None and len(key) < MIN_KEY:
        raise ConfigError(f"{KEY_VARIABLE} is shorter than {MIN_KEY} characters: use a longer one")
    if key is None and not _is_loopback(host):
        fix = f"set {KEY_VARIABLE} in the environment, or bind 127.0.0.1"
        raise ConfigError(f"serving on {host} is open to others: {fix}")
    return key


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
