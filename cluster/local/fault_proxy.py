"""An HTTP proxy that injects the faults of object storage into some requests.

Run it as a process: `python -m cluster.local.fault_proxy ADDRESS UPSTREAM EVERY DENIED`.
"""

from __future__ import annotations

import argparse
import http.client
import random
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
INTERNAL = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We encountered an error.</Message></Error>"
FAULTS = ("internal", "slow_down", "reset", "truncated", "stalled")
STALL_SECONDS = 1.0
UPSTREAM_SECONDS = 60.0  # until a storage that does not answer counts as gone


class Proxy(ThreadingHTTPServer):
    """Forwards requests to `upstream`; one in `every`, drawn with a seed, gets a fault.

    While the file `denied` exists, every request is denied with the code that it holds.
    """

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], upstream: tuple[str, int], every: int, seed: int, denied: Path
    ) -> None:
        super().__init__(address, Handler)
        self.upstream, self.every, self.denied = upstream, every, denied
        self.random, self.lock = random.Random(seed), threading.Lock()  # noqa: S311 - no secret

    def fault(self) -> str | None:
        """Draw the fault of the next request; None for most."""
        with self.lock:
            return self.random.choice(FAULTS) if self.random.random() < 1 / self.every else None


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Log nothing: faults are printed on stdout."""

    def handle_one_request(self) -> None:
        """Handle a request; a client that closes its connection is no error."""
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        """Forward the request, or inject a fault."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) if not self._chunked() else self._chunks()
        if self.server.denied.exists():
            code = self.server.denied.read_text()
            denial = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Denied.</Message></Error>"
            self._answer(403, {}, denial.encode())
            return
        fault = self.server.fault()
        if fault:
            print(f"{fault} {self.command} {self.path[:80]}", flush=True)  # noqa: T201 - its log
        if fault in ("internal", "slow_down"):
            self._answer(500 if fault == "internal" else 503, {}, INTERNAL if fault == "internal" else SLOW_DOWN)
        elif fault == "reset":
            self._reset()
        else:
            status, headers, data = self._upstream(body)
            if fault == "stalled":
                time.sleep(STALL_SECONDS)
            self._answer(status, headers, data, cut=fault == "truncated")

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the names that http.server calls

    def _chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "")

    def _chunks(self) -> bytes:
        """Decode a chunked body; the aws-chunked signatures inside are for the server."""
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _upstream(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.server.upstream, timeout=UPSTREAM_SECONDS)
        skip = {"transfer-encoding", "connection", "content-length", "expect"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in skip}
        connection.request(self.command, self.path, body=body, headers={**headers, "Content-Length": str(len(body))})
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        return reply.status, dict(reply.getheaders()), data

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        length = headers.get("Content-Length", "") if self.command == "HEAD" else str(len(data))
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut and data:
            self.wfile.write(data[: len(data) // 2])
            self._reset()
        else:
            self.wfile.write(data)

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


def main() -> None:
    """Run until killed; print each fault."""
    parser = argparse.ArgumentParser(description="Proxy with the faults of object storage.")
    parser.add_argument("address", type=_address, help="HOST:PORT to listen at.")
    parser.add_argument("upstream", type=_address, help="HOST:PORT of the object storage.")
    parser.add_argument("every", type=int, help="One request in so many gets a fault.")
    parser.add_argument("denied", type=Path, help="While this file exists, every request is denied with its code.")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    Proxy(options.address, options.upstream, options.every, options.seed, options.denied).serve_forever()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    main()
