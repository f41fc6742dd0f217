"""Limits per file."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class MediaLimits:
    """Limits of one file; a file beyond them becomes a failed row. Field names and defaults are those of the settings.

    `max_bytes`, `max_seconds` and `max_pixels` (of one frame) are checked before any frame is decoded. The sandbox
    enforces `seconds` of wall time, `memory_bytes` of address space on top of what an idle child maps, and
    `recycle_after` files per child, since decord leaks memory.
    """

    max_bytes: int = 512 * MIB
    max_seconds: float = 600.0  # ten minutes, well above short videos
    max_pixels: int = 8192 * 4320  # 8K
    seconds: float = 60.0
    memory_bytes: int = 2048 * MIB
    recycle_after: int = 100
