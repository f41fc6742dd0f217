"""How much one file may cost."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How much one file may cost before it becomes a failed row instead.

    `max_bytes`, `max_seconds` and `max_pixels` (of one frame) are checked before any frame is decoded. `seconds` of
    wall time, `memory_bytes` of address space on top of what an idle child maps, and `recycle_after` files for each
    child (decord leaks) are what the sandbox enforces.
    """

    max_bytes: int = 512 * MIB
    max_seconds: float = 600.0
    max_pixels: int = 8192 * 4320
    seconds: float = 60.0
    memory_bytes: int = 2048 * MIB
    recycle_after: int = 100
