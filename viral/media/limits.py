"""Limits on the decoding of one file."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class MediaLimits:
    """Limits per file; exceeding one makes the post a failed row. Names and defaults are those in `viral.config`.

    `max_bytes`, `max_seconds` and `max_pixels` (per frame) are checked before the requested frames are decoded. The
    sandbox enforces `seconds` of wall time and `memory_bytes` of address space, on top of what an idle child maps.
    """

    max_bytes: int = 512 * MIB  # this size and ten minutes are far above any short video
    max_seconds: float = 600.0
    max_pixels: int = 8192 * 4320  # 8K
    seconds: float = 60.0  # a short video takes less than one
    memory_bytes: int = 2048 * MIB  # some 20 RGB frames of 8K
    recycle_after: int = 100  # files per child process, since decord leaks memory
