"""What a hostile client may send: each attack ends in a refusal, and the next request is answered.

What is no HTTP at all is answered by the HTTP server itself (uvicorn, in Serve's proxy): 400 in plain text.
"""

from __future__ import annotations

import gzip
import json
import random
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from tests.jobs.test_mutations import MUTATIONS
from tests.serve.conftest import started
from tests.serve.processes import find_processes
from tests.serve.raw import ARROW, CAPTION, FEATURES, FORM, JSON, SCORE, connected, form, request, send, stream, text
from tests.shared_ray import SharedRay
from viral.config import SandboxSettings, ServeSettings, Settings

Check = Callable[..., Any]

KEY = "correct-horse-battery-staple"  # goes into raw requests as it is
BEARER = f"Authorization: Bearer {KEY}\r\n"
SETTINGS = Settings(serve=ServeSettings(port=1, max_replicas=1, max_decoders=1), sandbox=SandboxSettings(seconds=10.0))
FILE = b'Content-Disposition: form-data; name="file"; filename="a"'
MB = 1 << 20
MEMORY = 150 * MB  # that a refused request may leave behind; attacks took gigabytes
SLOW = 20.0  # seconds, on busy cores; attacks took minutes


@pytest.fixture(scope="module")
def client(shared_ray: SharedRay, root: Path) -> Iterator[httpx.Client]:
    """An endpoint with the limits that users get."""
    url = shared_ray.run(started(root, SETTINGS, KEY))
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        yield client
    shared_ray.up()  # ends it: the other tests share one with tighter limits


def assert_well(client: httpx.Client) -> None:
    assert client.post(SCORE, content=CAPTION, headers={"Content-Type": JSON}).status_code == 200


CHUNKED = "Transfer-Encoding: chunked\r\n"
NO_HTTP = {
    "two lengths": request(more="Content-Length: 16\r\n"),
    "two other lengths": request(more="Content-Length: 17\r\n"),
    "list of lengths": request(more="Content-Length: 16, 16\r\n", length=False),
    "negative length": request(more="Content-Length: -1\r\n", length=False),
    "length and chunks": request(b"0\r\n\r\n", more=CHUNKED),
    "two encodings": request(b"0\r\n\r\n", more=CHUNKED + "Transfer-Encoding: identity\r\n", length=False),
    "unknown encoding": request(b"0\r\n\r\n", more="Transfer-Encoding: xchunked\r\n", length=False),
    "bad chunk": request(b"zz\r\n", more=CHUNKED, length=False),
    "null byte": request(more="X: a\0b\r\n"),
    "folded header": request(more="X: a\r\n b\r\n"),
    "unknown method": b"FOO /v1/score HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
    "path that is no ASCII": request(path="/v1/\xff"),
}


@pytest.mark.parametrize("content", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http_is_refused_by_the_server(client: httpx.Client, content: bytes) -> None:
    reply = send(client, content)
    assert (reply.status_code, reply.headers["connection"]) == (400, "close")
    assert_well(client)


ENDLESS = "Content-Length: 1000000000000\r\n"
HEADS = {
    "thousands of headers": (request(more=BEARER + "X: a\r\n" * 5000), 431, "headers_too_large"),
    "1 MB header": (request(more=BEARER + f"X: {'a' * MB}\r\n"), 431, "headers_too_large"),
    "1 MB key": (request(more=f"Authorization: Bearer {'a' * MB}\r\n"), 431, "headers_too_large"),
    "two keys": (request(more=BEARER + BEARER.replace(KEY, "x")), 401, "unauthorized"),
    "endless, no key": (request(b"", more=ENDLESS, length=False), 401, "unauthorized"),
    "endless": (request(b"", FORM, more=BEARER + ENDLESS, length=False), 413, "too_large"),
    "chunk of 2**63": (
        request(b"7fffffffffffffff\r\n" + b"a" * 2 * MB, more=BEARER + CHUNKED, length=False),
        413,
        "too_large",
    ),
    "slash at the end": (request(path=SCORE + "/", more=BEARER), 404, "not_found"),
    "path upwards": (request(path="/v1/jobs/..%2f..%2fetc/passwd", more=BEARER), 404, "not_found"),
    "whole address": (request(path="http://other/v1/none", more=BEARER), 404, "not_found"),
    **{
        f"compressed: {encoding}": (
            request(gzip.compress(b"0" * 10 * MB), kind, path, BEARER + f"Content-Encoding: {encoding}\r\n"),
            *(415, "unsupported_media_type"),
        )
        for encoding, kind, path in (
            *(("gzip", JSON, SCORE), ("deflate", FORM, SCORE), ("br", ARROW, FEATURES), ("gzip, gzip", JSON, SCORE)),
            *(("zstd", JSON, "/v1/score/batch"), ("x", JSON, "/v1/compare")),
        )
    },
}


@pytest.mark.parametrize(("content", "status", "reason"), HEADS.values(), ids=HEADS)
def test_a_bad_head_is_refused(
    client: httpx.Client, content: bytes, status: int, reason: str, check_refusal: Check
) -> None:
    check_refusal(send(client, content), status, reason)
    assert_well(client)


def many(item: bytes, count: int, around: bytes = b'{"vectors": [%s]}') -> bytes:
    return around.replace(b"%s", b",".join([item] * count))


ROW = b'{"vectors": [{"caption": [%s]}]}'
BODIES = {
    "10 MB": (SCORE, b'{"caption": "' + b"a" * 10 * MB + b'"}', 413, "too_large"),
    "deep": (SCORE, b'{"caption": ' + b"[" * 900_000, 422, "bad_field"),
    "deep object": (SCORE, b'{"caption": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, 422, "bad_field"),
    "deep drafts": ("/v1/score/batch", b'{"drafts": ' + b"[" * 5000, 422, "bad_field"),
    "millions of rows": (FEATURES, many(b"[]", 4_000_000), 422, "bad_field"),
    "millions of numbers": (FEATURES, many(b"0", 6_000_000, ROW), 422, "bad_field"),
    "millions of errors": (FEATURES, many(b'""', 4_000_000, ROW), 422, "bad_field"),
    "millions of drafts": ("/v1/score/batch", many(b"{}", 3_500_000, b'{"drafts": [%s]}'), 422, "bad_field"),
    "millions of ids": ("/v1/score/posts", many(b"0", MB, b'{"post_ids": [%s]}'), 422, "bad_field"),
    "thousands of keys": (SCORE, b"{" + b",".join(b'"%d":1' % i for i in range(90_000)) + b"}", 422, "bad_field"),
    "strings as numbers": (FEATURES, many(b'"1"', 384, ROW), 422, "bad_field"),
    "numbers too large": (FEATURES, many(b"3.4e38", 384, ROW), 422, "bad_field"),
    "NaN": (FEATURES, many(b"NaN", 384, ROW), 422, "bad_field"),
    "Infinity": (SCORE, b'{"author_followers": Infinity}', 422, "bad_field"),
    "number of 500 KB": (SCORE, b'{"author_followers": ' + b"9" * 500_000 + b"}", 422, "bad_field"),
    "year 10000 in UTC": (SCORE, b'{"posted_at": "9999-12-31T23:59:59-23:59"}', 422, "bad_field"),
    "year 0 in UTC": (SCORE, b'{"posted_at": "0001-01-01T00:00:00+23:59"}', 422, "bad_field"),
    "new line in a key": (SCORE, b'{"a\\nb": 1}', 422, "bad_field"),
    "UTF-16": (SCORE, CAPTION.decode().encode("utf-16"), 422, "bad_field"),
    "surrogate": (SCORE, b'{"caption": "\\ud800"}', 422, "bad_field"),
    "folder": (SCORE, b'{"uri": "."}', 404, "missing_object"),
    "file:": (SCORE, b'{"uri": "file:/etc/passwd"}', 404, "missing_object"),
    "new line in a name": (SCORE, b'{"uri": "a\\nb"}', 404, "missing_object"),
    "draft outside": ("/v1/score/batch", b'{"drafts": [{"uri": "s3://other/a.mp4"}]}', 403, "outside_root"),
    "other bucket": ("/v1/explain", b'{"uri": "s3://other/a.mp4"}', 403, "outside_root"),
    "FILE://": ("/v1/compare", b'{"uris": ["FILE:///etc/passwd", "c"]}', 403, "outside_root"),
}


@pytest.mark.parametrize(("path", "body", "status", "reason"), BODIES.values(), ids=BODIES)
def test_json_that_is_an_attack_is_refused(
    client: httpx.Client,
    ingress: Callable[[], int],
    path: str,
    body: bytes,
    status: int,
    reason: str,
    check_refusal: Check,
) -> None:
    before, started = ingress(), time.monotonic()
    check_refusal(send(client, request(body, path=path, more=BEARER)), status, reason)
    assert time.monotonic() - started < SLOW
    assert ingress() - before < MEMORY
    assert_well(client)


@pytest.fixture
def ingress(client: httpx.Client) -> Callable[[], int]:
    """The most memory that the ingress replica ever had, in bytes."""
    (replica,) = find_processes("viral:Ingress")

    def peak() -> int:
        status = Path(f"/proc/{replica}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10

    return peak


def test_the_root_itself_is_no_video(client: httpx.Client, root: Path, check_refusal: Check) -> None:
    for uri in (f"{root}/", f"{root}//etc/passwd", f"{root}/../a"):
        check_refusal(client.post(SCORE, json={"uri": uri}), 403, "outside_root")


def captions(rows: int, value: float = 1.0, dim: int = 384) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(np.full(rows * dim, value, np.float32), dim)


GOOD = stream({"caption": captions(2)})
RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int32()), pa.array([1.0], pa.float32()))
STREAMS = {
    "none": b"",
    "cut": GOOD[:-1000],
    "metadata of 2 GB": GOOD[:4] + struct.pack("<i", 2**31 - 8) + GOOD[8:],
    "metadata of -8": GOOD[:4] + struct.pack("<i", -8) + GOOD[8:],
    "name that is no UTF-8": GOOD.replace(b"caption", b"\xff\xfeption"),
    "compressed bomb": stream({"caption": captions(40_000)}, "zstd"),
    "nothing": stream({"caption": pa.nulls(1000)}),
    "2**31 rows in one run": stream({"caption": RUNS}),
    "dictionary": stream({"caption": pa.array(["a"]).dictionary_encode()}),
    "strings": stream({"caption": [["1.0"] * 384]}),
    "integers": stream({"caption": [[1] * 384]}),
    "map": stream({"caption": pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float32()))}),
    "another length": stream({"caption": captions(2, dim=385)}),
    "too many rows": stream({"caption": captions(1025)}),
    "no rows": stream({"caption": captions(0)}),
    "no columns": stream(pa.table({})),
    "column twice": stream(pa.Table.from_arrays([captions(1), captions(1)], ["caption", "caption"])),
    "5000 columns": stream({str(i): captions(1, dim=1) for i in range(5000)}),
    "null inside": stream({"caption": pa.array([[None] * 384], pa.list_(pa.float32(), 384))}),
    "NaN": stream({"caption": captions(2, np.nan)}),
    "too large": stream({"caption": captions(2, 3.4e38)}),
}


@pytest.mark.parametrize("body", STREAMS.values(), ids=STREAMS)
def test_arrow_that_is_an_attack_is_refused(
    client: httpx.Client, ingress: Callable[[], int], body: bytes, check_refusal: Check
) -> None:
    before = ingress()
    check_refusal(send(client, request(body, ARROW, FEATURES, BEARER)), 422, "bad_field")
    assert ingress() - before < MEMORY
    assert send(client, request(GOOD, ARROW, FEATURES, BEARER)).status_code == 200


FORMS = {
    "thousands of fields": form(*[text(b"caption", b"a")] * 5000),
    "thousands of files": form(*[(FILE, b"x")] * 5000),
    "empty parts": form(*[(b"A: b", b"")] * 5000),
    "1 MB header": form((b"A: " + b"a" * MB, b""), (FILE, b"x")),
    "1 MB header name": form((b"A" * MB + b": a", b""), (FILE, b"x")),
    "thousands of headers": form((b"A: b\r\n" * 5000 + FILE, b"x")),
    "1 MB name": form(text(b"a" * MB, b"a"), (FILE, b"x")),
    "2 MB field": form(text(b"caption", b"a" * 2 * MB), (FILE, b"x")),
    "no name": form((b"Content-Disposition: form-data", b"a"), (FILE, b"x")),
    "no disposition": form((b"A: b", b"a"), (FILE, b"x")),
    "no UTF-8": form(text(b"caption", b"\xff\xfe"), (FILE, b"x")),
    "cut": form((FILE, b"x"))[:60],
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_a_form_that_is_an_attack_is_refused(client: httpx.Client, body: bytes, check_refusal: Check) -> None:
    reply = send(client, request(body, FORM, more=BEARER))
    assert reply.status_code in {400, 422}
    check_refusal(reply, reply.status_code, "bad_request" if reply.status_code == 400 else "bad_field")
    assert_well(client)


@pytest.mark.parametrize("charset", ["punycode", "undefined", "idna", "utf-16", "latin-1", "none"])
def test_a_form_is_utf_8(client: httpx.Client, charset: str, check_refusal: Check) -> None:
    """Of others, Python knows some that take minutes for a megabyte, or raise errors of their own."""
    body = form(text(b"caption", b"a" * 250_000 + b"-" + b"b" * 250_000), (FILE, b"x"))
    started = time.monotonic()
    check_refusal(send(client, request(body, f"{FORM}; charset={charset}", more=BEARER)), 400, "bad_request")
    assert time.monotonic() - started < SLOW
    assert_well(client)


def test_damaged_videos_are_scored_or_refused(client: httpx.Client, clip: Path, silent: Path) -> None:
    originals = [clip.read_bytes(), silent.read_bytes()]

    def outcome(number: int) -> tuple[int, str]:
        rng, data = random.Random(number), bytearray(originals[number % 2])
        rng.choice(MUTATIONS)(data, rng)
        reply = client.post(SCORE, files={"file": bytes(data)})
        return reply.status_code, reply.json()["reason"] or "ok"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(outcome, range(30)))
    assert {status for status, _ in outcomes} == {200, 422}, outcomes
    assert_well(client)


def test_those_who_leave_free_their_places(client: httpx.Client, clip: Path) -> None:
    """At any moment of any request; the gate itself is in tests/serve/test_api.py."""
    upload = form((FILE, clip.read_bytes()))
    asked = [
        request(more=BEARER),
        request(upload, FORM, more=BEARER),
        request(GOOD, ARROW, FEATURES, BEARER),
        request(upload, FORM, "/v1/explain", BEARER),
    ]

    def leave(number: int) -> None:
        rng, content = random.Random(number), asked[number % len(asked)]
        with connected(client) as raw:
            raw.sendall(content[: rng.randrange(1, 2 * len(content))])
            time.sleep(rng.uniform(0, 0.1))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(leave, range(100)))
    until = time.monotonic() + 30
    while (reply := client.post(SCORE, json=json.loads(CAPTION))).status_code != 200 and time.monotonic() < until:
        assert reply.status_code == 429
    assert client.post(SCORE, files={"file": clip.read_bytes() + b"left"}).status_code == 200
