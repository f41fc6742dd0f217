"""The endpoint with a key and tight limits: who is let in, which requests it takes, what a bad file costs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

import viral
from tests.serve.conftest import BEARER, KEY, MAX_UPLOAD
from tests.serve.processes import find_processes

Check = Callable[..., Any]

SCORE = "/v1/score"


@pytest.fixture(scope="module")
def client(endpoint: Callable[[], str]) -> Iterator[httpx.Client]:
    """A client that sends no key of itself."""
    with httpx.Client(base_url=endpoint(), timeout=60, trust_env=False) as client:
        yield client


def decoder() -> int:
    """The decoding child of the endpoint."""
    (media,) = find_processes("viral:Media")
    (child,) = find_processes("viral.media.child", below=media)
    return child


def upload(client: httpx.Client, content: bytes) -> httpx.Response:
    return client.post(SCORE, files={"file": ("a.mp4", content)}, headers=BEARER)


@pytest.mark.parametrize(
    "given",
    [
        *(None, "", "Bearer", f"Bearer {KEY[:-2]}", f"Bearer {KEY}x", f"Basic {KEY}", KEY),
        "Bearer " + "é" * 20,
    ],
)
def test_without_the_key_there_is_no_score(client: httpx.Client, given: str | None, check_refusal: Check) -> None:
    headers = {} if given is None else {"Authorization": given.encode()}
    reply = client.post(SCORE, json={"caption": "a"}, headers=headers)
    assert KEY not in check_refusal(reply, 401, "unauthorized")
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_key_there_is_one(client: httpx.Client, scheme: str) -> None:
    reply = client.post(SCORE, json={"caption": "a"}, headers={"Authorization": f"{scheme} {KEY}".encode()})
    assert reply.status_code == 200


def test_the_key_comes_before_the_body(client: httpx.Client, check_refusal: Check) -> None:
    check_refusal(client.post(SCORE, content=b"x" * (MAX_UPLOAD + (1 << 20))), 401, "unauthorized")


def test_health_and_description_are_open(client: httpx.Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/openapi.json").status_code == 200


def test_an_upload_too_large_is_refused(client: httpx.Client, check_refusal: Check) -> None:
    for size in (MAX_UPLOAD + 1, MAX_UPLOAD + (1 << 20)):  # within what a form may add, and beyond it
        assert str(MAX_UPLOAD) in check_refusal(upload(client, b"x" * size), 413, "too_large")
    check_refusal(upload(client, b"x" * MAX_UPLOAD), 422, "unreadable")


def test_other_kinds_of_body_are_refused(client: httpx.Client, clip: Path, check_refusal: Check) -> None:
    for kind in ("video/mp4", "application/x-www-form-urlencoded", "text/json", ""):
        reply = client.post(SCORE, content=clip.read_bytes(), headers=BEARER | {"content-type": kind})
        assert "multipart/form-data" in check_refusal(reply, 415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_broken_form_is_refused(client: httpx.Client, kind: str, check_refusal: Check) -> None:
    reply = client.post(SCORE, content=b"no form", headers=BEARER | {"content-type": kind})
    assert reply.status_code in {400, 422}
    check_refusal(reply, reply.status_code, "bad_request" if reply.status_code == 400 else "bad_field")


def test_a_body_of_unknown_length_is_read_up_to_the_limit(client: httpx.Client, check_refusal: Check) -> None:
    json = BEARER | {"content-type": "application/json"}
    assert client.post(SCORE, content=iter([b'{"caption"', b': "a"}']), headers=json).status_code == 200
    form = BEARER | {"content-type": "multipart/form-data; boundary=x"}
    endless = iter([b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n', *[b"x" * 65536] * 128])
    check_refusal(client.post(SCORE, content=endless, headers=form), 413, "too_large")


def test_a_body_that_drips_is_cut_and_harms_nobody(client: httpx.Client) -> None:
    head = f"POST {SCORE} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n--x"
    address = (client.base_url.host, client.base_url.port)
    with ExitStack() as stack:
        drips = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(300)]
        for drip in drips:
            drip.sendall(head.encode())
        assert client.post(SCORE, json={"caption": "a"}, headers=BEARER).status_code == 200
        assert [drip.recv(12) for drip in drips] == [b"HTTP/1.1 408"] * len(drips)


def test_a_body_too_large_is_refused_before_it_is_read(client: httpx.Client) -> None:
    for kind, length in (("multipart/form-data; boundary=x", 10**12), ("application/json", 2 << 20)):
        head = f"POST {SCORE} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as raw:
            raw.sendall(head.encode())
            assert raw.recv(64).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", SCORE, 405, "method_not_allowed"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
        ("POST", "/v1/scores", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/../../etc/passwd", 404, "not_found"),
    ],
)
def test_other_ways_are_refused(
    client: httpx.Client, method: str, path: str, status: int, reason: str, check_refusal: Check
) -> None:
    check_refusal(client.request(method, path, headers=BEARER), status, reason)


def test_the_endpoint_describes_itself(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    named = set(re.findall(r'"\$ref": ?"(.*?)"', json.dumps(described)))
    assert named == {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert described["info"]["version"] == viral.__version__
    score = described["paths"][SCORE]["post"]
    form, named = (
        score["requestBody"]["content"][kind]["schema"] for kind in ("multipart/form-data", "application/json")
    )
    fields = {
        "model",
        "caption",
        "hashtags",
        "posted_at",
        "author_followers",
        "sound_original",
        "sound_posts_before",
        "sound_uses_before",
        "author_views",
        "sticker_texts",
    }
    assert set(form["properties"]) == fields | {"file"}
    assert "null" not in json.dumps(form)  # a form cannot send it
    views = re.compile(form["properties"]["author_views"]["pattern"])
    assert [bool(views.search(text)) for text in ("", "12", "1, 2 3", "1;2", "-1")] == [True, True, True, False, False]
    assert form["required"] == ["file"]
    assert set(named["properties"]) == fields | {"uri"}
    assert "parameters" not in score
    assert {"200", "401", "403", "404", "408", "413", "415", "422", "429", "503"} <= set(score["responses"])
    assert list(score["responses"]["429"]["content"]) == ["application/problem+json"]
    assert described["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status", "reason", "detail"]
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert score["security"] == [{"key": []}]


def test_what_would_wait_too_long_is_told_to_come_again(client: httpx.Client, clip: Path, check_refusal: Check) -> None:
    content = clip.read_bytes()
    with ThreadPoolExecutor(24) as pool:  # each content is another one: a known video would need no decoder
        replies = list(pool.map(lambda number: upload(client, content + bytes([number])), range(24)))
    busy = [reply for reply in replies if reply.status_code != 200]
    assert 0 < len(busy) < len(replies)
    for reply in busy:
        check_refusal(reply, 429, "busy")
        assert int(reply.headers["retry-after"]) >= 1
    assert upload(client, content).status_code == 200


def test_a_decoder_that_dies_between_requests_costs_none(client: httpx.Client, clip: Path) -> None:
    upload(client, clip.read_bytes() + b"1")
    killed = decoder()
    os.kill(killed, signal.SIGSEGV)
    while not Path(f"/proc/{killed}/stat").read_text().rpartition(")")[2].startswith(" Z"):
        time.sleep(0.01)  # it is a zombie once it is dead: its parent reaps it at the next request
    assert upload(client, clip.read_bytes() + b"dies").status_code == 200  # known bytes need no decoder
    assert decoder() != killed


def test_a_decoder_that_hangs_costs_one_request(client: httpx.Client, clip: Path, check_refusal: Check) -> None:
    upload(client, clip.read_bytes() + b"2")
    hung = decoder()
    os.kill(hung, signal.SIGSTOP)
    started = time.monotonic()
    assert "sandbox.seconds = 6" in check_refusal(upload(client, clip.read_bytes() + b"3"), 422, "timed_out")
    assert time.monotonic() - started >= 6
    assert upload(client, clip.read_bytes() + b"hangs").status_code == 200
    assert decoder() != hung


@pytest.mark.parametrize("deployment", ["Media", "Encoder"])
def test_a_replica_that_dies_comes_back(
    client: httpx.Client, clip: Path, check_refusal: Check, deployment: str
) -> None:
    name = f"viral:{deployment}"
    (replica,) = find_processes(name)
    content = clip.read_bytes() + name.encode()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(upload, client, content)
        os.kill(replica, signal.SIGKILL)
        replies = [asked.result()]
    until = time.monotonic() + 60
    while replies[-1].status_code != 200 and time.monotonic() < until:
        check_refusal(replies[-1], 503, "busy")
        time.sleep(0.2)
        replies.append(upload(client, content))
    assert replies[-1].status_code == 200
    assert replica not in find_processes(name)
