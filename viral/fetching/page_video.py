"""Download of a page's video: the first of its formats that comes as it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viral.config import Settings
from viral.errors import FetchError, PostError, RateLimitedError, TimedOutError, UnreadableError
from viral.fetching.check import AUDIO_MISSING, FileCheck
from viral.fetching.choices import Choice
from viral.fetching.deadline import Deadline
from viral.fetching.download import Download, download
from viral.fetching.http import LimitedClient
from viral.fetching.pages import Page
from viral.fetching.segments import SegmentDownloader


@dataclass(frozen=True)
class PageVideo:
    """A downloaded video, yt-dlp's metadata, and the reason code and detail of what is wrong with the file, if any."""

    file: Download
    path: Path
    info: Mapping[str, Any]
    reason: str | None = None
    detail: str | None = None


class PageDownloader:
    """Downloader of the videos of pages. Thread-safe; call `close` at the end.

    Args:
        client: HTTP client that sends all requests.
        settings: limits, from the sections `media` and `sandbox`.
    """

    def __init__(self, client: LimitedClient, settings: Settings) -> None:
        self._client, self._max_bytes = client, settings.media.max_bytes
        self._segments, self._check = SegmentDownloader(client, settings), FileCheck(settings)

    def close(self) -> None:
        """End the child process."""
        self._check.close()

    def download(self, page: Page, folder: Path, deadline: Deadline) -> PageVideo:
        """Download the first format that comes as declared, or else the first one that lacks only its sound, or any.

        Raises:
            PostError, FetchError: none comes; this is what is wrong with the first one.
        """
        flawed: list[PageVideo] = []
        errors: list[PostError | FetchError] = []
        for number, choice in enumerate(page.choices):
            # A folder per format: a partial file of one must not be taken for the other's.
            (folder / str(number)).mkdir()
            try:
                file, path = self._download(choice, folder / str(number), deadline)
            except (PostError, FetchError) as error:
                errors.append(error)
                if isinstance(error, TimedOutError | RateLimitedError):  # the site gets no further request
                    break
                continue
            problem = self._check.problem(path, has_sound=choice.has_sound)
            if problem is None:
                return PageVideo(file, path, {**page.info, **choice.info})
            flawed.append(PageVideo(file, path, {**page.info, **choice.info}, *problem))
        if not flawed:
            # The error of the best format says most.
            raise errors[0]
        # A video without its sound is better than one that cannot be read.
        return min(flawed, key=lambda video: video.reason != AUDIO_MISSING)

    def _download(self, choice: Choice, folder: Path, deadline: Deadline) -> tuple[Download, Path]:
        if not choice.is_file:
            return self._segments.download(choice, folder, deadline)
        path = folder / "video"
        file = download(self._client, choice.url, path, self._max_bytes, deadline, choice.headers)
        if file is None:
            raise UnreadableError(f"{choice.url} is not a video, although the page names it as one")
        return file, path
