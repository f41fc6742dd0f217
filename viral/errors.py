"""Errors raised on purpose, and the reason codes that failed rows store.

ViralError
├── UsageError                  the request is wrong: a message of one line with the fix, exit status 2
│   ├── ConfigError             a setting, a column map or a feature set is unknown or invalid
│   ├── RootError               the root is missing or not accessible
│   ├── TableError              a table is missing, empty, or does not fit the request
│   ├── PromotionError          a model cannot replace the champion
│   ├── SourceError             scraped data is not in the format of its source
│   ├── LeakError               a model has seen its test data
│   └── WeightsError            pretrained weights are missing
├── StorageError                reading or writing the root failed (no space, no access, no response)
├── JobError                    a job of a cluster failed, was stopped, or is unknown
├── EndpointError               a request to a scoring endpoint failed; has `status`, `reason` and `detail`
├── FetchError                  one URL cannot be fetched; stored as a row of `fetches` with `reason`
│   ├── BadAddressError         bad_address
│   ├── HostNotAllowedError     host_not_allowed
│   ├── RateLimitedError        rate_limited
│   └── PageError               page_error
└── PostError                   one post cannot be processed; stored as a row with `reason`
    ├── UnreadableError         unreadable
    ├── NoVideoStreamError      no_video_stream
    ├── UnsupportedCodecError   unsupported_codec
    ├── TooLongError            too_long
    ├── TooLargeError           too_large
    ├── TimedOutError           timed_out
    ├── CrashedError            crashed
    ├── OutOfMemoryError        out_of_memory
    ├── MissingObjectError      missing_object
    ├── AccessDeniedError       access_denied
    ├── ReadError               storage_error
    ├── EmptyWindowError        empty_window
    └── ExtractorError          extractor_error
"""

from __future__ import annotations

from typing import ClassVar


class ViralError(Exception):
    """An error whose message tells the user, on one line, what is wrong and how to fix it."""


class UsageError(ViralError):
    """The request cannot be fulfilled; the user can fix it."""


class ConfigError(UsageError):
    """A setting, a column map or a feature set is unknown or invalid."""


class RootError(UsageError):
    """The root does not exist or is not accessible."""


class TableError(UsageError):
    """A table is missing, empty, or does not fit the request."""


class PromotionError(UsageError):
    """A model cannot become the champion: it is not better than the current one, or they cannot be compared."""


class SourceError(UsageError):
    """Scraped data is not in the format of its source."""


class LeakError(UsageError):
    """A model was fitted on, or can read, its test data; the message names check, columns, rows and fix."""


class WeightsError(UsageError):
    """Pretrained weights are missing; the message names the command that downloads them."""


class StorageError(ViralError):
    """Reading or writing the root failed: no space, no access, or no response."""


class JobError(ViralError):
    """A job that was sent to a cluster failed, was stopped, or is unknown there."""


class EndpointError(ViralError):
    """A request to a scoring endpoint failed.

    Args:
        detail: one line for people.
        status: HTTP status of the answer; None without an answer.
        reason: code for machines: that of the answer or, without one, of the client.
        retry_after: seconds that the endpoint asks to wait before another try.
    """

    def __init__(
        self, detail: str, *, status: int | None = None, reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail, self.status, self.reason, self.retry_after = detail, status, reason, retry_after

    def __str__(self) -> str:
        return f"{self.detail} ({self.reason})" if self.reason else self.detail


class FetchError(ViralError):
    """One URL cannot be fetched, for a reason that only the web has; stored as a row of `fetches`."""

    reason: ClassVar[str] = "error"


class BadAddressError(FetchError):
    """Not an http:// or https:// URL, or a redirect loop."""

    reason = "bad_address"


class HostNotAllowedError(FetchError):
    """The URL is on, or redirects to, a host that `--allow-host` does not name."""

    reason = "host_not_allowed"


class RateLimitedError(FetchError):
    """The host keeps answering 429, or asks for a pause longer than the time that is left."""

    reason = "rate_limited"


class PageError(FetchError):
    """yt-dlp cannot extract the page."""

    reason = "page_error"


class PostError(ViralError):
    """One post cannot be processed; stored as a row, and never stops a job."""

    reason: ClassVar[str] = "error"
    meaning: ClassVar[str] = ""


class UnreadableError(PostError):
    """No decoder can read the file."""

    reason, meaning = "unreadable", "no decoder can read the file, or it is empty"


class NoVideoStreamError(PostError):
    """The file has no video stream."""

    reason, meaning = "no_video_stream", "the file has no video stream"


class UnsupportedCodecError(PostError):
    """The video codec is not supported, or the video is encrypted."""

    reason, meaning = "unsupported_codec", "no decoder knows the video codec (as bytevc2), or the video is encrypted"


class TooLongError(PostError):
    """The video is longer than the limit."""

    reason, meaning = "too_long", "the video is longer than media.max_seconds"


class TooLargeError(PostError):
    """The file or its frames are larger than the limit."""

    reason, meaning = "too_large", "the file is larger than media.max_bytes, or a frame larger than media.max_pixels"


class TimedOutError(PostError):
    """Decoding took longer than the limit."""

    reason, meaning = "timed_out", "decoding took longer than sandbox.seconds"


class CrashedError(PostError):
    """The decoding process died."""

    reason, meaning = "crashed", "the decoding process died, by a segmentation fault for example"


class OutOfMemoryError(PostError):
    """Decoding needed more memory than the limit."""

    reason, meaning = "out_of_memory", "decoding needed more memory than sandbox.memory_bytes"


class MissingObjectError(PostError):
    """There is no file at the post's video URI."""

    reason, meaning = (
        "missing_object",
        "there is no file at the URI of the post's video, or of all slides, or the post has none",
    )


class AccessDeniedError(PostError):
    """The storage denies access to the video."""

    reason, meaning = "access_denied", "the storage denied access to the file"


class ReadError(PostError):
    """Reading the video from storage failed."""

    reason, meaning = "storage_error", "reading the file from storage failed, after retries"


class EmptyWindowError(PostError):
    """The requested window is outside the video."""

    reason, meaning = "empty_window", "the requested part of the video (by an explanation) lies outside it"


class ExtractorError(PostError):
    """An extractor failed on this post."""

    reason, meaning = "extractor_error", "an extractor failed on decoded media; the detail names it"


def reasons() -> dict[str, str]:
    """Return all reason codes with their meanings, one line each."""
    codes = {cls.reason: cls.meaning for cls in PostError.__subclasses__()}
    codes["truncated"] = "the file ends before its declared duration; the rest was used"
    codes["damaged"] = "some pictures could not be decoded; others stand in for them"
    codes["audio_failed"] = "the sound could not be decoded; the rest was used"
    codes["audio_missing"] = (
        "there is no sound, though the header or the scrape (acodec, the sound of a photo set) names some"
    )
    codes["hdr"] = "the video may be HDR, but names no transfer function: its brightness and colours are uncertain"
    return codes
