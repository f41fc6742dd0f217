"""Videos of the visitors: written to disk as they arrive, below the folder of their session, and removed with it.

Streamlit itself keeps uploads in memory. This middleware takes the body of an upload before Streamlit does, stores it,
and passes on a form with an empty file of the same name, so that its widget works as usual.
"""

from __future__ import annotations

import asyncio
import mimetypes
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import ApiError
from serve.uploads import BodyReader

PREFIX = "viral-app-"  # of the folder with all uploads of a process
UPLOAD_PATH = re.compile(r"/_stcore/upload_file/(?P<session>[0-9a-f-]{36})/(?P<file>[0-9a-f-]{36})")
VIDEO_PATH = "/drafts/{session}/{file}"
MAX_FILES = 20  # of one session at a time: two comparisons of ten
SWEEP_SECONDS = 5.0  # one look at the folders of the sessions
# A phone that changes its network comes back within seconds, with the same session.
GRACE_SECONDS = 30.0
_BOUNDARY = "viral"
_ID = re.compile(r"[0-9a-f-]{36}")
IsActive = Callable[[str], bool]
"""Whether a session, by its identifier, has a connected browser."""


class SessionFiles:
    """The videos of all sessions, one folder per session and one file per upload.

    Args:
        folder: where they lie.
        is_active: whether a session is connected.
    """

    def __init__(self, folder: Path, is_active: IsActive) -> None:
        self.folder, self._is_active = folder, is_active
        self._last_seen: dict[str, float] = {}

    def path(self, session: str, file: str) -> Path | None:
        """Return where a file lies; None if it does not exist, or an identifier is none."""
        if not (_ID.fullmatch(session) and _ID.fullmatch(file)):
            return None
        path = self.folder / session / file
        return path if path.is_file() else None

    def count(self, session: str) -> int:
        """Number of files of a session."""
        return sum(1 for _ in (self.folder / session).glob("*"))

    def accepts(self, session: str) -> bool:
        """Whether a session is connected: nobody else may store files here."""
        return self._is_active(session)

    def sweep(self) -> None:
        """Remove the files of the sessions that ended `GRACE_SECONDS` ago."""
        now = time.monotonic()
        for folder in self.folder.glob("*-*"):
            if self._is_active(folder.name):
                self._last_seen[folder.name] = now
            elif now - self._last_seen.setdefault(folder.name, now) > GRACE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
                del self._last_seen[folder.name]

    @asynccontextmanager
    async def sweeping(self, _app: Any) -> AsyncIterator[None]:
        """Sweep in the background for the duration of the block."""
        task = asyncio.ensure_future(self._sweep_forever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await run_in_threadpool(self.sweep)

    async def video(self, request: Request) -> Response:
        """Answer with a video, or the part of it that the player asks for. Its address is a secret of the session."""
        path = self.path(request.path_params["session"], request.path_params["file"])
        if path is None:
            return PlainTextResponse("this video is gone: upload it again", HTTPStatus.NOT_FOUND)
        kind = mimetypes.guess_type(f"a.{request.query_params.get('type', 'mp4')}")[0] or ""
        # Nothing but a video, whatever the file holds: a page in it would run with the rights of this one.
        headers = {
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
        }
        return FileResponse(path, media_type=kind if kind.startswith("video/") else "video/mp4", headers=headers)


class UploadsToDisk:
    """ASGI middleware that stores the uploads of Streamlit's widgets as files.

    Args:
        app: the application.
        files: where they go.
        limit: most bytes of a file; checked against the announced length before any of it is read.
        rate: bytes per second that an upload must have on average.
    """

    def __init__(self, app: ASGIApp, *, files: SessionFiles, limit: int, rate: int) -> None:
        self._app, self._files, self._limit, self._rate = app, files, limit, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        match = UPLOAD_PATH.fullmatch(scope.get("path", "")) if scope["type"] == "http" else None
        if match is None or scope["method"] not in {"PUT", "DELETE"}:
            await self._app(scope, receive, send)
            return
        session, file = match["session"], match["file"]
        if scope["method"] == "DELETE":
            self._remove(session, file)
            await self._app(scope, receive, send)
            return
        try:
            body, headers = await self._store(Request(scope, receive), session, file)
        except ApiError as error:
            await PlainTextResponse(error.detail, error.status, error.headers)(scope, receive, send)
        except ClientDisconnect:
            pass
        else:
            await self._pass_on({**scope, "headers": headers}, body, send, session, file)

    async def _store(self, request: Request, session: str, file: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Store the file of a request. Returns the body and the headers of the request to pass on."""
        if not self._files.accepts(session):
            raise ApiError(HTTPStatus.BAD_REQUEST, "no_session", "this page has expired: reload it")
        if self._files.count(session) >= MAX_FILES:
            detail = f"there are {MAX_FILES} videos already: remove some"
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many", detail)
        reader = BodyReader(request, self._limit, self._rate)
        _ = reader.size  # raises before any of the body is read
        form = await reader.form()
        try:
            (upload,) = (value for value in form.values() if isinstance(value, UploadFile))
            if (upload.size or 0) > self._limit:
                raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"larger than {self._limit} bytes")
            path = self._files.folder / session / file
            await run_in_threadpool(_copy, upload, path)
            return _empty_form(request, upload.filename or "video")
        except ValueError:
            raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", "send one file") from None
        finally:
            await form.close()

    async def _pass_on(self, scope: Scope, body: bytes, send: Send, session: str, file: str) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def watch(message: Message) -> None:
            # Streamlit refused it, because of a missing token for example: then nobody will ever ask for it.
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                self._remove(session, file)
            await send(message)

        await self._app(scope, receive, watch)

    def _remove(self, session: str, file: str) -> None:
        if path := self._files.path(session, file):
            path.unlink(missing_ok=True)


def _copy(upload: UploadFile, path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    upload.file.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file, 1 << 20)


def _empty_form(request: Request, name: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    quoted = name.replace("\\", "_").replace('"', "'").replace("\r", " ").replace("\n", " ")
    lines = [
        f"--{_BOUNDARY}",
        f'Content-Disposition: form-data; name="file"; filename="{quoted}"',
        "Content-Type: application/octet-stream",
        "",
        "",
        f"--{_BOUNDARY}--",
        "",
    ]
    body = "\r\n".join(lines).encode()
    replaced = {
        b"content-type": f"multipart/form-data; boundary={_BOUNDARY}".encode(),
        b"content-length": str(len(body)).encode(),
    }
    kept = [(key, value) for key, value in request.scope["headers"] if key not in {*replaced, b"transfer-encoding"}]
    return body, [*kept, *replaced.items()]
