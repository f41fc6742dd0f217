"""Uploads: the limit holds before the file is taken, files lie on disk per session, and go with it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve.app import uploads
from serve.app.uploads import MAX_FILES, VIDEO_PATH, SessionFiles, UploadsToDisk

LIMIT = 1 << 20
SESSION, OTHER = (str(uuid.UUID(int=number)) for number in (1, 2))


class Streamlit:
    """What stands behind the middleware: it takes what it is passed, like Streamlit, or refuses it."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.status = 204

    async def take(self, request: Request) -> Response:
        if request.method == "PUT":
            async with request.form() as form:
                (file,) = form.values()
                self.taken.append((file.filename, await file.read()))  # type: ignore[union-attr, arg-type]
        return Response(status_code=self.status)


@pytest.fixture
def streamlit() -> Streamlit:
    return Streamlit()


@pytest.fixture
def files(tmp_path: Path) -> SessionFiles:
    return SessionFiles(tmp_path, lambda session: session == SESSION)


@pytest.fixture
def client(files: SessionFiles, streamlit: Streamlit) -> Iterator[httpx.AsyncClient]:
    path = "/_stcore/upload_file/{session}/{file}"
    routes = [Route(path, streamlit.take, methods=["PUT", "DELETE"]), Route(VIDEO_PATH, files.video)]
    middleware = [Middleware(UploadsToDisk, files=files, limit=LIMIT, rate=1)]
    transport = httpx.ASGITransport(Starlette(routes=routes, middleware=middleware))
    yield httpx.AsyncClient(transport=transport, base_url="http://app")


def put(client: httpx.AsyncClient, data: bytes, name: str = 'my "clip" ü.mp4', session: str = SESSION) -> Any:
    file = str(uuid.uuid4())
    url = f"/_stcore/upload_file/{session}/{file}"
    return file, asyncio.run(client.put(url, files={"file": (name, data, "video/mp4")}))


def test_a_file_goes_to_disk_and_streamlit_gets_its_name_alone(
    client: httpx.AsyncClient, files: SessionFiles, streamlit: Streamlit
) -> None:
    file, reply = put(client, b"video" * 1000)
    assert reply.status_code == 204
    assert streamlit.taken == [("my %22clip%22 ü.mp4", b"")]
    path = files.path(SESSION, file)
    assert path
    assert path.read_bytes() == b"video" * 1000
    assert path.parent.stat().st_mode & 0o077 == 0
    played = asyncio.run(client.get(f"/drafts/{SESSION}/{file}?type=html", headers={"Range": "bytes=5-9"}))
    assert (played.status_code, played.content) == (206, b"video")
    assert (played.headers["content-type"], played.headers["cache-control"]) == ("video/mp4", "no-store")
    assert asyncio.run(client.get(f"/drafts/{OTHER}/{file}")).status_code == 404
    assert asyncio.run(client.get(f"/drafts/{SESSION}/..%2f{file}")).status_code == 404
    asyncio.run(client.delete(f"/_stcore/upload_file/{SESSION}/{file}"))
    assert files.path(SESSION, file) is None


def test_the_limit_holds_before_the_body_is_read(
    client: httpx.AsyncClient, files: SessionFiles, streamlit: Streamlit
) -> None:
    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            raise AssertionError("the body was read")
            yield b""

    url = f"/_stcore/upload_file/{SESSION}/{uuid.uuid4()}"
    headers = {"Content-Length": str(2 * LIMIT), "Content-Type": "multipart/form-data; boundary=b"}
    request = httpx.Request("PUT", f"http://app{url}", headers=headers, stream=Body())
    assert asyncio.run(client.send(request)).status_code == 413
    _, too_long = put(client, b"x" * (LIMIT + 1))  # within the room that a form has, yet above the limit
    assert too_long.status_code == 413
    assert (files.count(SESSION), streamlit.taken) == (0, [])


def test_only_connected_sessions_store_files_and_no_more_than_enough(
    client: httpx.AsyncClient, files: SessionFiles
) -> None:
    assert put(client, b"video", session=OTHER)[1].status_code == 400
    replies = [put(client, b"video")[1].status_code for _ in range(MAX_FILES + 1)]
    assert replies == [204] * MAX_FILES + [413]


def test_a_refusal_by_streamlit_leaves_no_file(
    client: httpx.AsyncClient, files: SessionFiles, streamlit: Streamlit
) -> None:
    streamlit.status = 403
    assert put(client, b"video")[1].status_code == 403
    assert files.count(SESSION) == 0


def test_files_go_with_their_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "GRACE_SECONDS", 0.0)
    connected = {SESSION, OTHER}
    files = SessionFiles(tmp_path, connected.__contains__)
    for session in (SESSION, OTHER):
        (tmp_path / session).mkdir()
        (tmp_path / session / "video").write_bytes(b"video")
    connected.remove(OTHER)
    for _ in range(2):  # the first look notices that a session is gone
        files.sweep()
    assert [path.name for path in tmp_path.iterdir()] == [SESSION]
