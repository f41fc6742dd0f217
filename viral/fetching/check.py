"""Check of a fetched file: whether it has the sound that its format declares, and a codec that can be decoded."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from viral.config import Settings
from viral.errors import PostError
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan
from viral.media.requests import Packets
from viral.media.sandbox import Sandbox

AUDIO_MISSING = "audio_missing"
"""Reason code of a file without the sound that its header or its format declares."""


class FileCheck:
    """Reads the headers and packets of files in a child process. Thread-safe; call `close` at the end."""

    def __init__(self, settings: Settings) -> None:
        self._sandbox = Sandbox(MediaLimits(**settings.media.model_dump(), **settings.sandbox.model_dump()))
        self._lock = Lock()

    def problem(self, path: Path, *, has_sound: bool | None) -> tuple[str, str] | None:
        """Return the reason code and the detail of what is wrong with a file; None if it can be used as declared.

        Args:
            path: the file.
            has_sound: whether its format declares sound; None if it does not say.
        """
        try:
            with self._lock:
                # Packets only: headers and lengths show what is missing, without decoding a picture.
                media = self._sandbox.decode(str(path), SamplingPlan.from_requests([Packets()]))
        except PostError as error:
            return error.reason, str(error)
        if AUDIO_MISSING in media.partial or (has_sound and media.facts.audio_codec is None):
            return AUDIO_MISSING, "the file has no sound, although its format declares some"
        return None

    def close(self) -> None:
        """End the child process."""
        self._sandbox.close()
