"""What belongs to one visitor: the session, its videos on disk, and the endpoint that they are sent to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import urlsplit

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from serve.app.setup import VIDEO_TYPES, current
from serve.app.uploads import VIDEO_PATH, SessionFiles
from viral.client import Client
from viral.client.attempts import UNREACHABLE
from viral.errors import ConfigError, EndpointError

TIMEOUT_SECONDS = 120.0  # of one call: as long as the endpoint itself takes at most (serve.request_seconds)


@dataclass(frozen=True)
class VisitorVideo:
    """A video that this visitor uploaded: its name there, its file here, and the identifiers of both in addresses."""

    name: str
    path: Path
    session: str

    @property
    def url(self) -> str:
        """Address at which the visitor's browser can play it."""
        page = urlsplit(st.context.url or "http://127.0.0.1")
        path = VIDEO_PATH.format(session=self.session, file=self.path.name)
        return f"{page.scheme}://{page.netloc}{path}?type={PurePath(self.name).suffix.lstrip('.').lower()}"

    @property
    def exists(self) -> bool:
        """Whether it is still here: it is removed with the session, and by the cross beside its name."""
        return self.path.is_file()


def uploader(label: str, key: str, *, several: bool = False) -> list[VisitorVideo]:
    """Show the field for videos, with its limit, and return those that are there."""
    limit = current().max_upload_mib
    chosen = st.file_uploader(label, VIDEO_TYPES, accept_multiple_files=several, key=key, help=_PRIVACY)
    st.caption(f"At most {limit} MB{' in all' if several else ''}. {_SHORT_PRIVACY}")
    files = chosen if isinstance(chosen, list) else [chosen] if chosen else []
    return [video for file in files if (video := _stored(file))]


def _stored(file: UploadedFile) -> VisitorVideo | None:
    context = get_script_run_ctx()
    assert context, "a page runs in a session"
    files = SessionFiles(current().uploads, lambda _: True)
    path = files.path(context.session_id, file.file_id)
    return VisitorVideo(file.name, path, context.session_id) if path else None


_SHORT_PRIVACY = "Only you can see it here; it is deleted when you close this page."
_PRIVACY = (
    "The video goes to a folder of this app and to the scoring endpoint, and to nobody else. It is deleted within a "
    "minute after you close the page, or at once by the cross beside its name."
)


@st.cache_resource(show_spinner=False)
def _client(url: str, key: str | None) -> Client:
    return Client(url, key, timeout=TIMEOUT_SECONDS)


def client() -> Client:
    """Return the client of the endpoint, which all visitors share, after a look at whether it can be reached.

    Raises:
        ConfigError: the app has no endpoint; the message says why.
        EndpointError: it cannot be reached.
    """
    spec = current()
    if spec.endpoint is None:
        raise ConfigError(spec.problem or "this app has no endpoint: start it with --endpoint")
    found = _client(spec.endpoint, spec.api_key)
    if not found.ready():  # one attempt: the calls themselves would try for two minutes
        raise EndpointError("the endpoint is not ready", reason=UNREACHABLE)
    return found
