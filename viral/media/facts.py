"""What is known of a file after it was read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from viral.media.media import Facts
from viral.media.probe import Survey

TRUNCATED_SECONDS = 0.5
TRUNCATED_SHARE = 0.05


def facts(path: str, survey: Survey, decoder: str | None) -> Facts:
    """The facts of a surveyed file; reads it once more for its hash."""
    size, sha256 = digest(path)
    return Facts(
        container=survey.container,
        video_codec=survey.video_codec,
        audio_codec=survey.audio_codec,
        width=survey.look.width,
        height=survey.look.height,
        rotation=survey.look.rotation,
        fps=survey.fps,
        declared_seconds=survey.declared_seconds,
        seen_seconds=survey.seen_seconds,
        decoder=decoder,
        bytes=size,
        sha256=sha256,
    )


def digest(path: str) -> tuple[int, str]:
    """The size of a file and the SHA-256 of its bytes."""
    with Path(path).open("rb") as file:
        return Path(path).stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def truncated(declared: float | None, seen: float) -> bool:
    """Whether a file ends before its time: by more than half a second and more than 5 % of what the header declares.

    Less is usual: containers round, and tracks of one file differ by a frame or two.
    """
    if declared is None:
        return False
    return declared - seen > max(TRUNCATED_SECONDS, TRUNCATED_SHARE * declared)
