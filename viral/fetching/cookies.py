"""Session cookies, from a file that only its owner can read; never from the command line."""

from __future__ import annotations

import io
import os
import stat
from http.cookiejar import LoadError
from pathlib import Path
from typing import TYPE_CHECKING

from viral.errors import ConfigError
from viral.storage.store import one_line

_FIELDS = 7  # columns of the Netscape format

if TYPE_CHECKING:
    from yt_dlp.cookies import YoutubeDLCookieJar


def read_cookies(path: Path) -> str:
    """Content of a cookie file in Netscape format.

    Raises:
        ConfigError: the file is missing, readable by others, or in another format.
    """
    try:
        with path.open(encoding="utf-8") as file:
            info = os.fstat(file.fileno())  # of the open file, because the path may be replaced
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the cookies of {path}: {one_line(error)}") from error
    if not stat.S_ISREG(info.st_mode) or info.st_mode & 0o077 or info.st_uid != os.geteuid():
        raise ConfigError(f"{path} must be your own file that only you can read: run chmod 600 {path}")
    cookie_jar(text)
    return text


def cookie_jar(text: str | None) -> YoutubeDLCookieJar:
    """Parse the content of a cookie file into a jar for yt-dlp and httpx; None gives an empty jar.

    Raises:
        ConfigError: the text is not in Netscape format.
    """
    from yt_dlp.cookies import YoutubeDLCookieJar

    jar = YoutubeDLCookieJar(io.StringIO(text or ""))
    if text:
        try:
            _check_lines(text)  # yt-dlp would print the secret of a malformed line
            jar.load()
        except (LoadError, ValueError) as error:
            raise ConfigError("the cookie file is not in Netscape's format: export it as cookies.txt") from error
    return jar


def _check_lines(text: str) -> None:
    for line in text.splitlines():
        entry = line.removeprefix("#HttpOnly_")  # yt-dlp reads such cookies too
        if entry.strip() and not entry.startswith("#") and entry.count("\t") != _FIELDS - 1:
            raise LoadError(f"a line does not have {_FIELDS} fields")
