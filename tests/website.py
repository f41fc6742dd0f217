"""A small website with faults, run as a process: `python website.py` prints the port it listens on.

With a folder as argument, `/files/…` are its files. It listens on 127.0.0.1 and 127.0.0.2, to serve two hosts. The
first part of a path selects a method `at_*` below;
`/log` returns all requests so far as `[seconds, host, path, headers]`, and the bytes sent per path.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

LOG: list[list[object]] = []
SEEN: Counter[str] = Counter()
SENT: Counter[str] = Counter()
LOCK = threading.Lock()


def video(name: str, size: int = 20_000) -> bytes:
    """Content with the first bytes of an MP4 file, a function of the name."""
    head = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
    block = hashlib.sha256(name.encode()).digest()
    return (head + block * (size // 32 + 1))[:size]


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.steps = parts.path.strip("/").split("/")
        if self.steps[0] != "log":
            with LOCK:
                LOG.append([time.monotonic(), self.headers["Host"], self.path, dict(self.headers)])
                SEEN[self.path] += 1
        self.visit = SEEN[self.path]
        getattr(self, f"at_{self.steps[0]}", self.at_nothing)()

    def answer(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        """Send a response; `length` replaces the true Content-Length, and -1 omits it and closes the connection."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length == -1:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.put(body)

    def put(self, body: bytes) -> None:
        for start in range(0, len(body), 8192):
            self.wfile.write(body[start : start + 8192])
            SENT[self.path] += len(body[start : start + 8192])

    def at_log(self) -> None:
        self.answer(json.dumps({"requests": LOG, "sent": SENT}).encode())

    def at_nothing(self) -> None:
        self.answer(b"no such thing", 404)

    def at_video(self) -> None:
        """/video/NAME: `same` names the content, `size` its bytes, `seconds` the delay before it."""
        time.sleep(float(self.query.get("seconds", 0)))
        name = self.query.get("same", self.steps[-1])
        body = video(name, int(self.query.get("size", 20_000)))
        self.answer(body, length=-1 if "close" in self.query else None, Content_Type="text/x-lie")

    def at_status(self) -> None:
        """/status/CODE, always or for the first `times` requests, then a video; `after` is its Retry-After."""
        if self.visit > int(self.query.get("times", 1 << 30)):
            self.answer(video(self.path))
            return
        headers = {"Retry_After": self.query["after"]} if "after" in self.query else {}
        self.answer(b"<html>an error</html>", int(self.steps[1]), **headers)

    def at_truncated(self) -> None:
        """Half of the announced content, always or for the first `times` requests."""
        body = video(self.path, 40_000)
        complete = self.visit > int(self.query.get("times", 1 << 30))
        self.answer(body if complete else body[:20_000], length=40_000)
        self.close_connection = True

    def at_drip(self) -> None:
        """Two hundred bytes, then one every 0.1 s."""
        self.answer(video("drip", 600), length=5_000)
        for _ in range(600):
            time.sleep(0.1)
            self.wfile.write(b"x")

    def at_silent(self) -> None:
        """The head of a video, then nothing."""
        self.answer(video("silent", 1000), length=5_000)
        time.sleep(20)

    def at_redirect(self) -> None:
        self.answer(b"", 302, Location=self.query["to"])

    def at_circle(self) -> None:
        self.answer(b"", 302, Location=self.path)

    def at_files(self) -> None:
        """/files/PATH: a file of the folder that this website got as argument, or the part of it that was asked for."""
        path = Path(sys.argv[1], *self.steps[1:])
        if not path.is_file():
            self.at_nothing()
            return
        body, asked = path.read_bytes(), self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not asked[1]:
            self.answer(body)
            return
        start, stop = int(asked[0]), int(asked[2] or len(body) - 1)
        self.answer(body[start : stop + 1], 206, Content_Range=f"bytes {start}-{stop}/{len(body)}")

    def at_html(self) -> None:
        """A page with the videos of `src`, separated by commas; by default without any."""
        tags = "".join(f'<video src="{src}"></video>' for src in self.query.get("src", "").split(",") if src)
        self.answer(f"<!DOCTYPE html><html><title>My page</title><body>{tags}</body></html>".encode())

    def at_feed(self) -> None:
        """An RSS feed of the addresses in `items`, separated by commas."""
        items = "".join(f"<item><title>t</title><link>{url}</link></item>" for url in self.query["items"].split(","))
        self.answer(f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode())

    def at_cookie(self) -> None:
        """A video for requests with the cookie `session=secret`."""
        allowed = "session=secret" in self.headers.get("Cookie", "")
        self.answer(video("cookie") if allowed else b"who are you?", 200 if allowed else 403)

    def at_empty(self) -> None:
        self.answer(b"")

    def at_garbled(self) -> None:
        self.answer(video("garbled"), Content_Encoding="gzip")

    def at_binary(self) -> None:
        self.answer(bytes(range(1, 200)) * 20)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *args: object) -> None: ...


if __name__ == "__main__":
    first = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    second = ThreadingHTTPServer(("127.0.0.2", first.server_port), Site)
    threading.Thread(target=second.serve_forever, daemon=True).start()
    print(first.server_port, flush=True)
    sys.stdout.close()
    first.serve_forever()
