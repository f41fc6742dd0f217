"""`viral app`: the pages, on an endpoint that runs already or on one of their own."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from jobs.runtime.session import connect, session
from serve.app.setup import AppSpec
from serve.app.uploads import PREFIX
from serve.early import EARLY
from serve.endpoint import free_port, running
from serve.keys import KEY_VARIABLE, key_digest
from serve.settings import EndpointSpec
from viral.config import Settings, load
from viral.console.options import root_options
from viral.errors import ConfigError, TableError
from viral.registry.registry import Registry
from viral.storage.store import Store
from viral.storage.temporary import remove_abandoned, temporary_folder

LOOPBACK = "127.0.0.1"
PORT = 8501  # Streamlit's own default
# The console script of this installation, however it was started.
VIRAL = (sys.executable, "-c", f"from {__package__}.cli import main; main()")


@click.command()
@click.option("--endpoint", envvar="VIRAL_ENDPOINT", help="URL of an endpoint; default: one of its own, on loopback.")
@click.option(
    "--model", default="fusion", show_default=True, help="Model of its own endpoint, as `viral serve` takes it."
)
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@root_options
def command(endpoint: str | None, model: str, port: int, root: str, as_json: bool, debug: bool) -> None:
    """Open the pages: score, compare and change drafts, see trends, search, and how earlier scores came true.

    They have no login, so they bind the loopback address only.
    """
    del as_json  # part of the common options; this command prints no summary
    if importlib.util.find_spec("streamlit") is None:
        raise ConfigError("`viral app` needs Streamlit: pip install 'viral[app]'")
    from serve.app.server import serve

    settings, store = load(), Store.open(root)
    free = free_port(LOOPBACK, port)
    if port and free != port:
        raise ConfigError(f"port {port} of {LOOPBACK} is taken: choose another with --port")
    key = os.environ.get(KEY_VARIABLE)
    remove_abandoned(PREFIX)
    with temporary_folder(PREFIX) as uploads, _endpoint(endpoint, model, store, settings, debug) as (url, problem):
        spec = AppSpec(
            root=store.root,
            settings=settings,
            uploads=uploads,
            endpoint=url,
            api_key=key,
            problem=problem,
            retry=VIRAL,
        )
        click.echo(f"the app is at http://{LOOPBACK}:{free}; Ctrl-C stops it")
        with suppress(KeyboardInterrupt):  # uvicorn has ended the open pages, and raises the signal again
            serve(spec, LOOPBACK, free)


@contextmanager
def _endpoint(
    url: str | None, model: str, store: Store, settings: Settings, debug: bool
) -> Iterator[tuple[str | None, str | None]]:
    """Provide the URL of an endpoint for the duration of the block, or None and a sentence on why there is none."""
    if url is not None:
        yield url, None
        return
    try:
        Registry(store).load(model)
    except TableError as error:
        yield None, f"There is no model to score with yet: {error}. Train one, then start this app again."
        return
    changed = {"host": LOOPBACK, "port": 0, "keys_file": None, "metrics_port": 0}
    own = settings.model_copy(update={"serve": settings.serve.model_copy(update=changed)})
    digest = key_digest(LOOPBACK)
    os.environ.update(EARLY)
    os.environ.pop(KEY_VARIABLE, None)  # Ray's processes inherit the environment, and the dashboard shows it
    with session(None, store, debug=debug):
        connect()
        click.echo(f"starting an endpoint for {model} …")
        with running(EndpointSpec(store.root, (model,), own, digest), debug=debug) as own_url:
            yield own_url, None
