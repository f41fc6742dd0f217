"""What the pages work on, set once per process before the first page is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from viral.config import Settings

VIDEO_TYPES = ("mp4", "mov", "m4v", "webm", "mkv", "avi")  # endings that the file chooser of a browser offers
_MIB = 1 << 20


@dataclass(frozen=True)
class AppSpec:
    """What the pages work on.

    Attributes:
        root: folder or `s3://bucket/prefix` with the tables.
        settings: `serve.max_upload_bytes` bounds the videos that the pages take.
        uploads: folder for the videos of the visitors, on this machine.
        endpoint: URL of the scoring endpoint; None: there is none, because of `problem`.
        api_key: its key; None: `$VIRAL_API_KEY`, if set.
        problem: one sentence on why there is no endpoint, with what to do.
        retry: start of the command line that runs `viral` on this machine; empty: pages start no command.
    """

    root: str
    settings: Settings
    uploads: Path
    endpoint: str | None = None
    api_key: str | None = None
    problem: str | None = None
    retry: tuple[str, ...] = ()

    @property
    def max_upload_mib(self) -> int:
        """Largest upload in whole MiB, which is Streamlit's unit."""
        return max(1, self.settings.serve.max_upload_bytes // _MIB)


_current: list[AppSpec] = []  # one at most: Streamlit runs the pages in threads of this process


def configure(spec: AppSpec) -> None:
    """Set what the pages of this process work on."""
    _current[:] = [spec]


def current() -> AppSpec:
    """Return what the pages work on."""
    return _current[0]
