"""`viral serve`: the endpoint, until it is stopped."""

from __future__ import annotations

import signal
import threading

import click

from jobs.runtime.session import session
from serve.endpoint import checked, running
from serve.settings import EndpointSpec
from viral.config import load
from viral.console.options import common, on_ray
from viral.storage.store import Store


@click.command()
@click.option(
    "--model",
    default="fusion",
    show_default=True,
    help="NAME, NAME/VERSION, or NAME@champion, which follows promotions.",
)
@click.option("--host", help="Address to bind; beyond loopback VIRAL_API_KEY must be set.")
@click.option("--port", type=click.IntRange(0, 65535))
@on_ray
@common
def command(
    model: str, host: str | None, port: int | None, root: str, address: str | None, as_json: bool, debug: bool
) -> None:
    """Serve a model over HTTP until Ctrl-C or SIGTERM."""
    del as_json  # of all commands; this one has no summary
    settings = load()
    changed = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings.serve = settings.serve.model_copy(update=changed)
    spec = EndpointSpec(Store.open(root).root, model, settings)
    if address is None:
        spec = checked(spec)  # before Ray starts: what is wrong is said at once
    with session(address, debug=debug):
        # Ray's own handler would end its processes under the endpoint's feet.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with running(spec, debug=debug) as url:
            click.echo(f"serving {spec.model} at {url} (POST /v1/score, GET /healthz, /openapi.json); Ctrl-C stops it")
            wait_for_stop()


def wait_for_stop() -> None:
    """Until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
