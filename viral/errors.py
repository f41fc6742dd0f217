"""Every error that this product raises on purpose, and the reason code that a failed row stores.

ViralError
├── UsageError                  the request is wrong: one line, the fix, exit status 2
│   ├── ConfigError             a setting, a column map or a feature set that does not exist
│   ├── RootError               the root is missing or cannot be used
│   ├── TableError              a table is missing, empty, or not the one asked for
│   ├── PromotionError          a model that is not better than the champion may not take its place
│   ├── SourceError             scraped data that cannot be read as what it was said to be
│   ├── LeakError               a model knows what it is to be judged by: names the rows and columns
│   └── WeightsError            weights that are not there, with the command that brings them
├── StorageError                reading or writing the root failed for its own reasons (no space, no access)
├── FetchError                  one address cannot be fetched: becomes a row of `fetches` with `reason`
│   ├── BadAddressError         bad_address
│   ├── HostNotAllowedError     host_not_allowed
│   ├── RateLimitedError        rate_limited
│   └── PageError               page_error
└── PostError                   one post cannot be processed: becomes a row with `reason`
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
    """An error with a message for its user: one line that says what is wrong and how to fix it."""


class UsageError(ViralError):
    """What was asked for cannot be done as asked."""


class ConfigError(UsageError):
    """A setting, a column map or a feature set that does not exist or does not fit."""


class RootError(UsageError):
    """The root does not exist or cannot be used."""


class TableError(UsageError):
    """A table is missing, empty, or another one than was asked for."""


class PromotionError(UsageError):
    """A model may not become the champion: it is not better than the one there is, or that cannot be told."""


class SourceError(UsageError):
    """Scraped data that cannot be read as what it was said to be."""


class LeakError(UsageError):
    """A model was given, or fitted on, what it is to be judged by; the message names check, columns, rows and fix."""


class WeightsError(UsageError):
    """Weights that cannot be had; the message names the command that brings them."""


class StorageError(ViralError):
    """The root could not be read or written: no space, no access, no answer."""


class FetchError(ViralError):
    """One address cannot be fetched, for a reason that no file in the store can have. It becomes a row."""

    reason: ClassVar[str] = "error"


class BadAddressError(FetchError):
    """No http:// or https:// address, or one that leads in circles."""

    reason = "bad_address"


class HostNotAllowedError(FetchError):
    """The address leads to a host that `--allow-host` does not name."""

    reason = "host_not_allowed"


class RateLimitedError(FetchError):
    """The host answers 429 again and again, or asks for a longer pause than there is time for."""

    reason = "rate_limited"


class PageError(FetchError):
    """yt-dlp cannot make out the page."""

    reason = "page_error"


class PostError(ViralError):
    """One post cannot be processed. It becomes a row; it never ends a job."""

    reason: ClassVar[str] = "error"
    meaning: ClassVar[str] = ""


class UnreadableError(PostError):
    """No decoder understands the file."""

    reason = "unreadable"
    meaning = "no decoder understands the file, or it is empty"


class NoVideoStreamError(PostError):
    """The file holds no picture track."""

    reason = "no_video_stream"
    meaning = "the file holds sound or data, but no moving picture"


class UnsupportedCodecError(PostError):
    """The picture track is of a codec that no decoder here knows, or is encrypted."""

    reason = "unsupported_codec"
    meaning = "the picture is coded in a way that no decoder here knows, or it is encrypted"


class TooLongError(PostError):
    """The video lasts longer than the limit."""

    reason = "too_long"
    meaning = "the video lasts longer than media.max_seconds"


class TooLargeError(PostError):
    """The file or its picture is larger than the limit."""

    reason = "too_large"
    meaning = "the file is larger than media.max_bytes, or its picture than media.max_pixels"


class TimedOutError(PostError):
    """Decoding took longer than the limit."""

    reason = "timed_out"
    meaning = "decoding took longer than sandbox.seconds"


class CrashedError(PostError):
    """The decoding process died."""

    reason = "crashed"
    meaning = "the decoding process died (segmentation fault or alike)"


class OutOfMemoryError(PostError):
    """Decoding wanted more memory than the limit."""

    reason = "out_of_memory"
    meaning = "decoding wanted more memory than sandbox.memory_bytes"


class MissingObjectError(PostError):
    """The video is not where the post says."""

    reason = "missing_object"
    meaning = "there is no file at the post's video URI, or the post has none"


class AccessDeniedError(PostError):
    """The storage refuses to hand out the video."""

    reason = "access_denied"
    meaning = "the storage refuses to hand out the file"


class ReadError(PostError):
    """The storage failed while the video was read."""

    reason = "storage_error"
    meaning = "the storage failed while the file was read, after retries"


class EmptyWindowError(PostError):
    """The part of the video that was asked for lies outside it."""

    reason = "empty_window"
    meaning = "the part of the video that was asked for (by an explanation, say) lies outside it"


class ExtractorError(PostError):
    """An extractor failed on this post."""

    reason = "extractor_error"
    meaning = "an extractor failed on what was decoded; the detail names it"


def reasons() -> dict[str, str]:
    """The closed list of reason codes, each with its meaning in one line."""
    codes = {cls.reason: cls.meaning for cls in PostError.__subclasses__()}
    codes["truncated"] = "the file ends before its declared duration; what was there is used"
    codes["audio_failed"] = "the sound could not be decoded; the rest is used"
    return codes
