"""Raw requests over a socket, as no client library would send them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from typing import Any

import httpx
import pyarrow as pa

SCORE, FEATURES = "/v1/score", "/v1/score/features"
JSON, ARROW, FORM = "application/json", "application/vnd.apache.arrow.stream", "multipart/form-data; boundary=x"
CAPTION = b'{"caption": "a"}'


def request(body: bytes = CAPTION, kind: str = JSON, path: str = SCORE, more: str = "", length: bool = True) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n{more}"
    return (head + (f"Content-Length: {len(body)}\r\n" if length else "") + "\r\n").encode("latin-1") + body


@contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as raw:
        yield raw


def send(client: httpx.Client, content: bytes) -> httpx.Response:
    with connected(client) as raw:
        with suppress(ConnectionError):  # answered and closed before everything was sent
            raw.sendall(content)
        reply = HTTPResponse(raw)
        reply.begin()
        return httpx.Response(reply.status, headers=dict(reply.getheaders()), content=reply.read())


def form(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--x\r\n%s\r\n\r\n%s\r\n" % part for part in parts) + b"--x--\r\n"


def text(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return b'Content-Disposition: form-data; name="' + name + b'"', value


def stream(columns: dict[str, Any] | pa.Table, compression: str | None = None) -> bytes:
    table, sink = pa.table(columns), pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
