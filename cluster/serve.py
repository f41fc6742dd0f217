"""`viral serve`: run the endpoint until it is stopped; its configuration and keys for clusters."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import click
import yaml

from jobs.runtime.session import connect, session
from serve.early import EARLY
from serve.endpoint import ENTRY, HA_PROXY, NAME, resolve, running, stop
from serve.keys import KEY_VARIABLE, add_key, key_digest, read_keys, revoke_key
from serve.settings import EndpointSpec
from viral.config import load
from viral.console.options import optional_root_options, ray_options, root_options
from viral.errors import ConfigError
from viral.storage.store import Store

_model_option = click.option(
    "--model",
    "models",
    multiple=True,
    default=("fusion",),
    show_default=True,
    help="NAME (newest version), NAME/VERSION or NAME@champion (follows promotions); the first of several is default.",
)


@click.group(invoke_without_command=True)
@_model_option
@click.option("--host", help="Address to bind; other than loopback needs API keys.")
@click.option("--port", type=click.IntRange(0, 65535))
@click.option("--keys-file", type=click.Path(path_type=Path), help="API keys (see `viral serve keys`).")
@ray_options
@optional_root_options
@click.pass_context
def command(
    context: click.Context,
    models: tuple[str, ...],
    host: str | None,
    port: int | None,
    keys_file: Path | None,
    root: str | None,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Serve models over HTTP until Ctrl-C or SIGTERM."""
    del as_json  # part of the common options; this command prints no summary
    if context.invoked_subcommand:
        return
    if root is None:
        raise click.UsageError("Missing option '--root'.")
    settings = load()
    changed = {"host": host, "port": port, "keys_file": keys_file and keys_file.absolute()}
    given = {name: value for name, value in changed.items() if value is not None}
    settings.serve = settings.serve.model_copy(update=given)
    digest = key_digest(settings.serve.host, settings.serve.keys_file)
    spec = EndpointSpec(Store.open(root).root, models, settings, digest)
    if address is None:
        spec = resolve(spec)  # before Ray starts, to fail fast
    if settings.serve.ha_proxy:
        os.environ.update(HA_PROXY)  # Ray reads it as it is imported, here and in its processes
        if not settings.serve.metrics_port:  # Serve parses a log line in Python for the metrics of each request
            os.environ["RAY_SERVE_HAPROXY_METRICS_ENABLED"] = "0"
    os.environ.update(EARLY)
    os.environ.pop(KEY_VARIABLE, None)  # Ray's processes inherit the environment, and the dashboard shows it
    with session(address, Store(spec.root), debug=debug):
        connect(metrics_port=settings.serve.metrics_port)
        with running(spec, debug=debug) as url:
            click.echo(f"serving {', '.join(spec.models)} at {url} (/openapi.json lists the routes); Ctrl-C stops it")
            wait_for_stop()


def wait_for_stop() -> None:
    """Block until SIGINT or SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


@command.command("config")
@_model_option
@root_options
def config_command(models: tuple[str, ...], root: str, as_json: bool, debug: bool) -> None:
    """Print a config file for `serve deploy` and for the `serveConfigV2` of a RayService. It holds no secret."""
    del debug
    settings = load()
    if settings.serve.keys_file is None:
        raise ConfigError(
            "on a cluster the endpoint needs API keys: name the file that each node has (VIRAL_SERVE__KEYS_FILE)"
        )
    changed = settings.model_dump(mode="json", exclude_defaults=True)
    arguments = {"root": root, "model": list(models), "settings": changed}
    options = {"host": settings.serve.host, "port": settings.serve.port}
    application = {"name": NAME, "import_path": ENTRY, "route_prefix": "/", "args": arguments}
    content = {"proxy_location": "EveryNode", "http_options": options, "applications": [application]}
    click.echo(json.dumps(content) if as_json else yaml.safe_dump(content, sort_keys=False), nl=as_json)


@command.command("status")
@ray_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--debug", is_flag=True, help="Show Ray's own messages, and tracebacks.")
def status_command(address: str | None, as_json: bool, debug: bool) -> None:
    """Show the endpoint on a cluster: its state, and the replicas of each deployment."""
    from ray import serve

    with session(_cluster(address), debug=debug):
        application = serve.status().applications.get(NAME)
        if application is None:
            raise ConfigError("no endpoint runs on this cluster: start one with `viral serve` or `serve deploy`")
        replicas = {name: dict(each.replica_states) for name, each in application.deployments.items()}
        if as_json:
            click.echo(json.dumps({"status": application.status.value, "replicas": replicas}))
            return
        click.echo(application.status.value)
        for name, states in replicas.items():
            click.echo(f"{name:<10} {', '.join(f'{count} {state}' for state, count in states.items()) or 'none'}")


@command.command("stop")
@ray_options
@click.option("--debug", is_flag=True, help="Show Ray's own messages, and tracebacks.")
def stop_command(address: str | None, debug: bool) -> None:
    """Stop the endpoint on a cluster; requests in flight are answered."""
    from ray import serve

    with session(_cluster(address), debug=debug):
        if NAME not in serve.status().applications:
            raise ConfigError("no endpoint runs on this cluster")
        stop(load().serve.request_seconds)
        click.echo("stopped")


def _cluster(address: str | None) -> str:
    found = address or os.environ.get("RAY_ADDRESS")
    if not found:
        raise ConfigError("name the cluster with --address or RAY_ADDRESS; an endpoint of this machine ends by Ctrl-C")
    return found


@command.group("keys")
def keys_group() -> None:
    """Make, list and revoke API keys. The file holds their hashes only."""


_file_option = click.option("--file", "file", required=True, type=click.Path(path_type=Path), help="File of keys.")


@keys_group.command("add")
@click.argument("name")
@_file_option
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Requests per second and ingress replica.")
def add_command(name: str, file: Path, rate: float | None) -> None:
    """Add a key named NAME and print it: it is shown once."""
    click.echo(add_key(file, name, rate))


@keys_group.command("revoke")
@click.argument("name")
@_file_option
def revoke_command(name: str, file: Path) -> None:
    """Remove the key named NAME; running endpoints refuse it within a second."""
    revoke_key(file, name)


@keys_group.command("list")
@_file_option
def list_command(file: Path) -> None:
    """List the names of the keys."""
    for key in read_keys(file):
        rate = f"{key.requests_per_second:g} requests per second" if key.requests_per_second else "no rate limit"
        click.echo(f"{key.name:<20} {key.created or ''}  {rate}")
