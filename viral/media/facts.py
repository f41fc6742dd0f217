"""Facts of a probed file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from viral.media.media import Facts
from viral.media.probe import Probe

# A file that ends this much early is not truncated: containers round times, and tracks differ by a frame or two.
TRUNCATED_SECONDS = 0.5
TRUNCATED_FRACTION = 0.05


def collect_facts(path: str, probe: Probe, decoder: str | None) -> Facts:
    """Collect the facts of a probed file. Reads the file again to hash it."""
    size, sha256 = size_and_sha256(path)
    return Facts(
        container=probe.container,
        video_codec=probe.video_codec,
        audio_codec=probe.audio_codec,
        width=probe.geometry.width,
        height=probe.geometry.height,
        rotation=probe.geometry.rotation,
        fps=probe.fps,
        declared_seconds=probe.declared_seconds,
        seen_seconds=probe.seen_seconds,
        decoder=decoder,
        bytes=size,
        sha256=sha256,
    )


def size_and_sha256(path: str) -> tuple[int, str]:
    """Return the size of a file in bytes and its SHA-256."""
    with Path(path).open("rb") as file:
        return Path(path).stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def is_truncated(declared: float | None, seen: float) -> bool:
    """Whether a file ends early by more than half a second and more than 5 % of its declared duration."""
    return declared is not None and declared - seen > max(TRUNCATED_SECONDS, TRUNCATED_FRACTION * declared)
