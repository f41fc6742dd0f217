"""A small HTTP server that answers as a scoring endpoint does, and can be told to fail first."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Fault = Callable[["Handler"], None]

SCORE = {
    "probability": 0.25,
    "percentile": 40.0,
    "known": True,
    "score": 9.0,
    "interval": [7.0, 11.0],
    "relative_to_author": None,
    "rates": {"likes": -2.0},
    "modalities": {"text": 1.0},
    "missing": ["audio"],
    "label": "log_views",
    "model": "fusion/3",
    "notes": [],
}
LARGE = 8 << 20  # bytes; a body above it is counted, not parsed


@dataclass
class Seen:
    """A request: its head, what its body held, and when it came."""

    method: str
    path: str
    headers: dict[str, str]
    length: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    files: list[tuple[str, str]] = field(default_factory=list)  # name, SHA-256
    at: float = field(default_factory=time.monotonic)


class FakeEndpoint(ThreadingHTTPServer):
    """The server. `faults` are used up first, one a request; a caption of `slow` waits for `gate`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: deque[Fault] = deque()
        self.seen: list[Seen] = []
        self.gate, self.left = threading.Event(), threading.Event()
        self.lock, self.active, self.most_active, self.polls = threading.Lock(), 0, 0, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def bodies(self) -> list[dict[str, Any]]:
        """The fields of each request with a body, in the order of arrival."""
        return [seen.fields for seen in self.seen if seen.method == "POST"]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are no error."""


@contextmanager
def running() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeEndpoint

    def do_GET(self) -> None:
        self.request_seen = Seen(self.command, self.path, dict(self.headers))
        self.server.seen.append(self.request_seen)
        if self.server.faults and not self.path.startswith("/healthz"):
            self.server.faults.popleft()(self)
            return
        self.read_body()
        route = "_".join(urlsplit(self.path).path.strip("/").split("/")[:3]).replace("v1_", "")
        with self.server.lock:
            self.server.active += 1
            self.server.most_active = max(self.server.most_active, self.server.active)
        try:
            getattr(self, f"at_{'jobs' if route.startswith('jobs') else route}", self.at_nothing)()
        finally:
            with self.server.lock:
                self.server.active -= 1

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def read_body(self) -> None:
        seen, length = self.request_seen, int(self.headers.get("Content-Length", 0))
        kind = self.headers.get("Content-Type", "")
        self.raw = b""
        if length > LARGE:
            while seen.length < length:
                seen.length += len(self.rfile.read(min(1 << 20, length - seen.length)))
            return
        self.raw = self.rfile.read(length)
        seen.length = len(self.raw)
        if kind == "application/json":
            seen.fields = json.loads(self.raw)
        elif kind.startswith("multipart/form-data"):
            self.read_form(kind)

    def read_form(self, kind: str) -> None:
        message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + self.raw)
        for part in message.get_payload():
            content = part.get_payload(decode=True)
            if part.get_filename() is None:
                name = part.get_param("name", header="content-disposition")
                self.request_seen.fields[name] = content.decode()
            else:
                self.request_seen.files.append((part.get_filename(), hashlib.sha256(content).hexdigest()))

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        kind = "application/json" if status < 400 else "application/problem+json"
        self.send(json.dumps(body).encode(), status, kind, **headers)

    def send(self, body: bytes, status: int, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def problem(self, status: int, reason: str, detail: str, **headers: str) -> None:
        body = {"type": "about:blank", "title": "Problem", "status": status, "reason": reason, "detail": detail}
        self.answer(body, status, **headers)

    def at_nothing(self) -> None:
        self.problem(404, "not_found", f"there is no {self.path}")

    def at_healthz(self) -> None:
        self.answer({"status": "ok", "model": "fusion/3", "version": "1"})

    def at_score(self) -> None:
        fields = self.request_seen.fields
        if fields.get("caption") == "slow":
            self.wait_for_gate()
        if fields.get("caption") == "bad":
            self.problem(422, "unreadable", "no decoder can read the file")
            return
        self.answer(
            {**SCORE, "model": fields.get("model") or "fusion/3", "status": "ok", "reason": None, "detail": None}
            | {"seconds": {"decode": 0.1}, "a_field_of_the_future": 1}
        )

    def wait_for_gate(self) -> None:
        """Wait for the gate, or until the client has left."""
        self.connection.settimeout(0.01)
        while not self.server.gate.is_set():
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    self.server.left.set()
                    raise ConnectionAbortedError
            except TimeoutError:
                continue
        self.connection.settimeout(None)

    def at_explain(self) -> None:
        self.answer({**SCORE, "status": "ok", "seconds": {}, "explanation": {"hook": {"points": []}}})

    def at_compare(self) -> None:
        seen = self.request_seen
        names = seen.fields.get("uris") or [name for name, _ in seen.files]
        ranking = [
            {
                "name": name,
                "score": {**SCORE, "score": 9.0 - position},
                "beats": {other: 0.5 for other in names if other != name},
            }
            for position, name in enumerate(reversed(names))
        ]
        self.answer({"ranking": ranking, "model": "fusion/3"})

    def at_score_features(self) -> None:
        if self.headers["Content-Type"] == "application/json":
            rows = self.request_seen.fields["vectors"]
            known = [any(vector is not None for vector in row.values()) for row in rows]
            self.answer({"scores": [SCORE if row else None for row in known], "model": "fusion/3"})
            return
        import pyarrow as pa

        table = pa.ipc.open_stream(self.raw).read_all()
        model = parse_qs(urlsplit(self.path).query).get("model", ["fusion/3"])[0]
        columns = {name: [0.5] * table.num_rows for name in ("probability", "score", "low", "high")}
        sink = pa.BufferOutputStream()
        result = pa.table(columns).replace_schema_metadata({"model": model})
        with pa.ipc.new_stream(sink, result.schema) as writer:
            writer.write_table(result)
        self.send(sink.getvalue().to_pybytes(), 200, self.headers["Content-Type"])

    def at_score_posts(self) -> None:
        ids = self.request_seen.fields["post_ids"]
        self.answer({"scores": {post: None if post == "unknown" else SCORE for post in ids}, "model": "fusion/3"})

    def at_score_batch(self) -> None:
        self.answer({"job": "j 1/x", "status": "pending", "location": "/v1/jobs/j"}, 202)

    def at_jobs(self) -> None:
        """The state of the job: pending, running, then done; the job `lost` fails."""
        state = {"job": "j 1/x", "done": self.server.polls, "total": 2, "detail": None, "results": None}
        if self.path.endswith("lost"):
            self.answer(state | {"status": "failed", "detail": "the root has no space"})
            return
        if self.server.polls == 2:
            scores = [SCORE, None]
            results = [
                {"index": index, "status": "failed" if score is None else "ok", "score": score}
                | {"reason": None if score else "missing_object", "detail": None}
                for index, score in enumerate(scores)
            ]
            self.answer(state | {"status": "done", "results": results})
            return
        self.answer(state | {"status": ("pending", "running")[self.server.polls]})
        self.server.polls += 1

    def at_models(self) -> None:
        self.answer(
            {"models": [{"name": "fusion/3", "label": "log_views", "feature_set": "light", "default": True, "x": 1}]}
        )

    def log_message(self, *args: object) -> None: ...


def problem(status: int, reason: str, **headers: str) -> Fault:
    """Read the whole body, then refuse."""

    def fault(handler: Handler) -> None:
        handler.read_body()
        handler.problem(status, reason, "try again", **headers)

    return fault


def text(status: int, body: str, **headers: str) -> Fault:
    """Answer with a text, as a proxy does."""

    def fault(handler: Handler) -> None:
        handler.read_body()
        handler.send(body.encode(), status, "text/html", **headers)

    return fault


def hang_up(after: int) -> Fault:
    """Read some bytes of the body, then reset the connection."""

    def fault(handler: Handler) -> None:
        handler.rfile.read(after)
        linger = struct.pack("ii", 1, 0)  # close with a reset, whatever was not read
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.close_connection = True
        handler.connection.close()

    return fault


def silence(handler: Handler) -> None:
    """Read the body, then answer nothing until the client leaves or the test ends."""
    handler.read_body()
    handler.wait_for_gate()


def drip(handler: Handler) -> None:
    """Announce a long answer and send a byte of it from time to time."""
    handler.read_body()
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.gate.wait(0.02):
        handler.wfile.write(b"x")
