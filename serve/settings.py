"""What an endpoint serves, and with which settings."""

from __future__ import annotations

from dataclasses import dataclass

from viral.config import Settings


@dataclass(frozen=True)
class EndpointSpec:
    """Settings of an endpoint: storage root, models (`name`, `name/version` or `name@champion`), and limits.

    Attributes:
        models: the first is the default of requests that name none.
        key_digest: SHA-256 of the key in `$VIRAL_API_KEY`, if one is set.
    """

    root: str
    models: tuple[str, ...]
    settings: Settings
    key_digest: str | None = None
