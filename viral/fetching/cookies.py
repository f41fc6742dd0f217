"""Cookies of a session on a site: from a file that nobody else can read, never from the command line."""

from __future__ import annotations

import io
import os
import stat
from http.cookiejar import LoadError
from pathlib import Path
from typing import TYPE_CHECKING

from viral.errors import ConfigError

_FIELDS = 7

if TYPE_CHECKING:
    from yt_dlp.cookies import YoutubeDLCookieJar


def read(path: Path) -> str:
    """The content of a cookie file in Netscape's format.

    Raises:
        ConfigError: it is not there, others can read it, or it is no such file.
    """
    try:
        with path.open(encoding="utf-8") as file:
            facts = os.fstat(file.fileno())
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the cookies of {path}: {error}") from error
    if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o077 or facts.st_uid != os.geteuid():
        raise ConfigError(f"others can read the cookies in {path}: make it yours alone (chmod 600 {path})")
    jar(text)
    return text


def jar(text: str | None) -> YoutubeDLCookieJar:
    """The cookies of a file's content, as yt-dlp and httpx take them.

    Raises:
        ConfigError: the text is not in Netscape's format.
    """
    from yt_dlp.cookies import YoutubeDLCookieJar

    filled = YoutubeDLCookieJar(io.StringIO(text or ""))
    if text:
        try:
            _check_lines(text)  # yt-dlp prints a line that it cannot read, with its secret
            filled.load()
        except (LoadError, ValueError) as error:
            raise ConfigError("the cookie file is not in Netscape's format: export it as cookies.txt") from error
    return filled


def _check_lines(text: str) -> None:
    for line in text.splitlines():
        entry = line.removeprefix("#HttpOnly_")
        if entry.strip() and not entry.startswith("#") and entry.count("\t") != _FIELDS - 1:
            raise LoadError("a line has other than seven fields")
