"""Choice among the formats in which a page offers its video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FILES, SEGMENTED = ("https", "http"), ("m3u8_native", "m3u8", "http_dash_segments")
MAX_CHOICES = 3  # downloads of one video; TikTok offers a format without its declared sound beside others that have it
_H264 = re.compile(r"h264|avc")
UNPLAYABLE = "bytevc2"  # no decoder knows TikTok's own codec

Format = Mapping[str, Any]
"""A format as yt-dlp describes it."""


@dataclass(frozen=True)
class Choice:
    """What to download: one format, or a format of pictures and one of sound, which are then merged."""

    formats: tuple[Format, ...]

    @property
    def is_file(self) -> bool:
        """Whether it is a single file."""
        return len(self.formats) == 1 and self.formats[0]["protocol"] in FILES

    @property
    def url(self) -> str:
        """URL of the file, or of the manifest."""
        return str(self.formats[0].get("url") or self.formats[0].get("manifest_url"))

    @property
    def headers(self) -> dict[str, str]:
        """Headers to request it with."""
        headers = self.formats[0].get("http_headers") or {}
        # Others cannot be sent; pages may put any text into their metadata.
        return {name: value for name, value in headers.items() if str(value).isascii()}

    @property
    def has_sound(self) -> bool | None:
        """Whether the format declares sound; None if it does not say."""
        codecs = [fmt.get("acodec") for fmt in self.formats]
        return None if None in codecs else any(codec != "none" for codec in codecs)

    @property
    def info(self) -> dict[str, Any]:
        """Description of the video in this format; the codecs are those of its pictures and of its sound."""
        return {**self.formats[0], "acodec": self.formats[-1].get("acodec")}


def choices(formats: Sequence[Format]) -> list[Choice]:
    """Return the formats to try, the best first: with sound, in H.264, as one file, and then as yt-dlp orders them.

    Args:
        formats: the formats of a page, in yt-dlp's order: the best last.
    """
    # yt-dlp lists the best format last; the sort below is stable, so its order decides between equals.
    candidates = list(_candidates([fmt for fmt in formats if _is_usable(fmt)]))[::-1]
    return sorted(candidates, key=_rank, reverse=True)[:MAX_CHOICES]  # stable


def _candidates(formats: Sequence[Format]) -> Iterator[Choice]:
    sounds = [fmt for fmt in formats if fmt.get("vcodec") == "none" and fmt.get("acodec") != "none"]
    for fmt in formats:
        if fmt.get("vcodec") == "none":
            continue
        # Also without sound: a silent video is better than none.
        yield Choice((fmt,))
        if fmt.get("acodec") == "none" and sounds:
            # From the same protocol if possible; the last one is the best, in yt-dlp's order.
            same = [sound for sound in sounds if sound["protocol"] == fmt["protocol"]]
            yield Choice((fmt, (same or sounds)[-1]))


def _is_usable(fmt: Format) -> bool:
    plain = fmt.get("protocol") in FILES + SEGMENTED and not fmt.get("has_drm")
    return plain and fmt.get("vcodec") != UNPLAYABLE and bool(fmt.get("url") or fmt.get("fragments"))


def _rank(choice: Choice) -> tuple[bool, float, bool]:
    codec = choice.formats[0].get("vcodec")
    # An unknown codec ranks between H.264 and another one.
    h264 = 0.5 if codec is None else float(bool(_H264.match(codec)))
    return choice.has_sound is not False, h264, choice.is_file
