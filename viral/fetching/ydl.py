"""yt-dlp that prints nothing, stores nothing, and sends its requests with a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yt_dlp import YoutubeDL


def youtube_dl(send: Callable[[Any], Any], *, extractors: bool = True, **params: Any) -> YoutubeDL:
    """Build a yt-dlp that gives each request to `send`, and more parameters; `extractors`: to read pages."""
    from yt_dlp import YoutubeDL
    from yt_dlp.networking.common import Request

    class ClientYoutubeDL(YoutubeDL):  # type: ignore[misc]  # yt-dlp has no annotations
        """yt-dlp that sends all requests with `send`."""

        def urlopen(self, req: Any) -> Any:
            """Send a request, or a URL, with `send`; called by all of yt-dlp's extractors and downloaders."""
            request = Request(req) if isinstance(req, str) else req
            # As yt-dlp itself does: its default headers, unless the request has its own.
            merged = Request(
                request.url, request.data, {**self.params["http_headers"], **request.headers}, method=request.method
            )
            return send(merged)

    defaults = {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _SilentLogger(),  # stdout belongs to the command
        "cachedir": False,  # nothing is stored on the machine
        "allow_unplayable_formats": False,  # these are encrypted
        "ffmpeg_location": "/nonexistent",  # yt-dlp must start no other program, which would send its own requests
    }
    return ClientYoutubeDL({**defaults, **params}, auto_init=extractors and "no_verbose_header")


class _SilentLogger:
    """Logger that discards yt-dlp's messages; yt-dlp raises its errors too."""

    def debug(self, message: str) -> None:
        """Discard a message."""

    def info(self, message: str) -> None:
        """Discard a message."""

    def warning(self, message: str) -> None:
        """Discard a message."""

    def error(self, message: str) -> None:
        """Discard a message."""
