"""The app as a process on the corpus that went through every job, with the endpoint that tests share, in Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from serve.endpoint import running
from serve.settings import EndpointSpec
from tests.conftest import PROJECT
from tests.jobs.conftest import Flow, flow
from tests.serve.conftest import key_in_environment, start_serve
from tests.shared_ray import SharedRay, free_port
from viral.config import ServeSettings, Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["flow"]  # a fixture of the jobs
CHROMIUM = Path("/usr/bin/chromium")
KEY = "a key of the app's tests"
UPLOAD_MIB = 2  # largest upload: above the clips of the corpus, and quick to exceed
STARTS_WITHIN = 200.0  # seconds; it takes four of a core, which may be busy
START = "import sys; sys.argv[0] = 'viral'; from cluster.cli import main; main()"


@pytest.fixture(scope="module")
def endpoint(shared_ray: SharedRay, flow: Flow) -> Iterator[str]:
    """The endpoint on the root of the flow; gives its URL."""
    yield shared_ray.run(_endpoint(flow))
    shared_ray.up()  # ends it: it would take a part of a core from the tests that follow


@contextmanager
def _endpoint(flow: Flow) -> Iterator[str]:
    from ray import serve

    from serve.keys import key_digest

    start_serve()
    settings = Settings(serve=ServeSettings(port=1, max_replicas=1, max_decoders=1, max_wait_seconds=30.0))
    with key_in_environment(KEY):
        spec = EndpointSpec(flow.store.root, (flow.trained.model,), settings, key_digest("127.0.0.1"))
    with running(spec) as url:
        yield url
    serve.shutdown()


StartApp = Callable[..., str]


@contextmanager
def app_process(root: str | Path, log: Path, *options: str, **environment: str) -> Iterator[str]:
    """The app as a process; gives its URL."""
    port = free_port()
    command = [sys.executable, "-c", START, "app", "--root", str(root), "--port", str(port), *options]
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), **environment}
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=variables) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _await(url, process, log)
            yield url
        finally:
            process.terminate()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
            return
        time.sleep(0.1)
    pytest.fail(f"the app does not answer: {log.read_text()[-1000:]}")


@pytest.fixture(scope="module")
def app(endpoint: str, flow: Flow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on the root of the flow; gives its URL."""
    log = tmp_path_factory.mktemp("app") / "log"
    small = {"VIRAL_SERVE__MAX_UPLOAD_BYTES": str(UPLOAD_MIB << 20), "VIRAL_API_KEY": KEY}
    with app_process(flow.store.root, log, "--endpoint", endpoint, **small) as url:
        yield url
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium of the system: none is downloaded.

    Not of the session: while Playwright runs, its event loop keeps other tests of this process from running theirs.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


OpenPage = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open a page for a new visitor; at the end it must have had no error in the console and no error box."""
    contexts, problems = [], list[str]()

    def open_one(url: str, *, width: int = 1440, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, timezone_id="Europe/Berlin"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)  # milliseconds, on a busy machine
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="session")
def axe() -> Any:
    """axe-core, which checks a page for accessibility."""
    from axe_playwright_python.sync_playwright import Axe

    return Axe()
