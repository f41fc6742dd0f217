"""`viral serve`: run the endpoint until it is stopped."""

from __future__ import annotations

import signal
import threading

import click

from jobs.runtime.session import connect, session
from serve.endpoint import resolve, running
from serve.settings import EndpointSpec
from viral.config import load
from viral.console.options import ray_options, root_options
from viral.storage.store import Store


@click.command()
@click.option(
    "--model",
    default="fusion",
    show_default=True,
    help="NAME (newest version), NAME/VERSION, or NAME@champion (follows promotions).",
)
@click.option("--host", help="Address to bind; other than loopback needs VIRAL_API_KEY.")
@click.option("--port", type=click.IntRange(0, 65535))
@ray_options
@root_options
def command(
    model: str, host: str | None, port: int | None, root: str, address: str | None, as_json: bool, debug: bool
) -> None:
    """Serve a model over HTTP until Ctrl-C or SIGTERM."""
    del as_json  # part of the common options; this command prints no summary
    settings = load()
    changed = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings.serve = settings.serve.model_copy(update=changed)
    spec = EndpointSpec(Store.open(root).root, model, settings)
    if address is None:
        spec = resolve(spec)  # before Ray starts, to fail fast
    with session(address, debug=debug):
        connect()
        with running(spec, debug=debug) as url:
            click.echo(f"serving {spec.model} at {url} (POST /v1/score, GET /healthz, /openapi.json); Ctrl-C stops it")
            wait_for_stop()


def wait_for_stop() -> None:
    """Block until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
