"""Serves the pages: Streamlit's application with our uploads, on uvicorn, in this process."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from serve.app.setup import AppSpec, configure
from serve.app.theme import THEME
from serve.app.uploads import GRACE_SECONDS, VIDEO_PATH, SessionFiles, UploadsToDisk

SCRIPT = Path(__file__).with_name("main.py")
_LOG = logging.getLogger(__name__)


def options(spec: AppSpec, host: str, port: int) -> dict[str, str | int | bool]:
    """Return Streamlit's settings."""
    return {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",  # an unexpected error is logged, and the page says so in a sentence
        "client.toolbarMode": "minimal",
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
        "logger.level": "warning",
        "server.address": host,
        "server.disconnectedSessionTTL": int(GRACE_SECONDS),
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxUploadSize": spec.max_upload_mib,
        "server.port": port,
        **THEME,
    }


def build(spec: AppSpec) -> Any:
    """Build the ASGI application of the pages."""
    from starlette.middleware import Middleware
    from starlette.routing import Route
    from streamlit import runtime
    from streamlit.starlette import App

    def is_active(session: str) -> bool:
        """Whether the browser of a session is connected."""
        return runtime.exists() and runtime.get_instance().is_active_session(session)

    configure(spec)
    files, limits = SessionFiles(spec.uploads, is_active), spec.settings.serve
    to_disk = Middleware(UploadsToDisk, files=files, limit=limits.max_upload_bytes, rate=limits.min_upload_rate)
    return App(
        SCRIPT,
        lifespan=files.sweeping,
        routes=[Route(VIDEO_PATH, files.video)],
        middleware=[to_disk],
        on_script_error=_log,
    )


def serve(spec: AppSpec, host: str, port: int) -> None:
    """Serve the pages until SIGINT or SIGTERM."""
    app = build(spec)
    _warm_up()
    app.run(config=options(spec, host, port))


def _warm_up() -> None:
    """Import what the first page needs, so that its first visitor does not wait for it."""
    import importlib

    for name in ("altair", "pandas", "serve.app.pages.score"):
        importlib.import_module(name)


def _log(error: Exception) -> None:
    _LOG.error("a page failed", exc_info=error)
