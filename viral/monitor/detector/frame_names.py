"""Names of labelled frames: they carry the video, so that a video is never trained on and measured on at once."""

from __future__ import annotations

import re
from pathlib import Path

_FRAME = re.compile(r"\d{4,}-(?P<video>.+)@(?P<seconds>\d+\.\d\d)s")
_OTHERS = re.compile(r"[^A-Za-z0-9._-]+")  # characters that some file systems refuse
_MAX_LETTERS = 80  # of a post id; with the rest, a name is far below the 255 bytes that file systems allow
_DIGITS = 8  # of the SHA-256 of the file: two posts with one id, or one name in two folders, stay apart


def video_name(post_id: str, sha256: str) -> str:
    """Return the part of its frames' file names that stands for a video: its post and its file."""
    return f"{_OTHERS.sub('_', post_id)[:_MAX_LETTERS]}-{sha256[:_DIGITS]}"


def frame_name(rank: int, video: str, seconds: float) -> str:
    """Name of the file of a frame; `rank` is its place in the order of labelling, from 1."""
    return f"{rank:04d}-{video}@{seconds:.2f}s.jpg"


def source_video(path: Path) -> str:
    """The video that a file of examples or negatives is from: that in the name of a frame, or else the file itself."""
    match = _FRAME.fullmatch(path.stem)
    return match["video"] if match else path.name
