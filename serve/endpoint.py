"""The Ray Serve application: deployments with their resources, start and stop."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from serve.champion import champion_name
from serve.keys import key_digest, read_keys
from serve.scaling import BEHIND_ONGOING, scaled_deployment
from serve.settings import EndpointSpec
from viral.config import ServeSettings, Settings, load
from viral.errors import ConfigError, ViralError
from viral.registry.registry import Registry
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store, one_line

if TYPE_CHECKING:
    from ray.serve import Application

NAME = "viral"
ENTRY = "serve.endpoint:app"
HA_PROXY = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # With the default of 16 KiB, 64 vectors reach the ingress in 30 pieces, and a third fewer of them per second.
    "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(128 << 10),
}
"""Environment of a Ray whose Serve has HAProxy in front of the ingress replicas; of every node of a cluster."""
# On a machine with two cores, decoding and encoding take most of one each, and the rest fits beside them.
INGRESS_CPUS, MEDIA_CPUS, ENCODER_CPUS, EXPLAINER_CPUS = 0.1, 0.5, 1.0, 0.2
# The ingress bounds its requests by time, so no queue behind it overflows, and none waits in Serve's router, which
# looks for a free replica again only after a pause. Drip-feeding clients take places here and harm nobody.
INGRESS_ONGOING = 2048
TARGET_TEXTS, TARGET_VIDEOS = 32, 2  # requests in flight per replica above which Serve starts another
STARTUP_SECONDS = 30.0  # from the moment that Serve reports the application as running


def build(spec: EndpointSpec) -> Application:
    """Build the application of an endpoint for `ray.serve.run`.

    Args:
        spec: settings of the endpoint. A model without a version is pinned to the newest one; with `name@champion` each
            replica follows promotions.

    Raises:
        TableError: no such model.
        ConfigError: the model's feature set needs another version of the code.
    """
    from serve.encoder import EncoderDeployment
    from serve.explainer import ExplainerDeployment
    from serve.ingress import Ingress
    from serve.jobs import JobsDeployment
    from serve.media import MediaDeployment

    spec, limits = _pin(spec), spec.settings.serve
    deployment = partial(scaled_deployment, limits)
    media = deployment(MediaDeployment, "Media", MEDIA_CPUS, limits.max_decoders, TARGET_VIDEOS)
    encoder = deployment(
        EncoderDeployment, "Encoder", ENCODER_CPUS, limits.max_replicas, TARGET_TEXTS, gpus=limits.encoder_gpus
    )
    explainer = deployment(ExplainerDeployment, "Explainer", EXPLAINER_CPUS, 1, TARGET_VIDEOS, at_least=0)
    jobs = deployment(JobsDeployment, "Jobs", 0.0, 1, BEHIND_ONGOING)
    ingress = deployment(Ingress, "Ingress", INGRESS_CPUS, limits.max_ingresses, INGRESS_ONGOING // 16)
    ingress = ingress.options(
        max_ongoing_requests=INGRESS_ONGOING,
        # Of what overflows here, after 2048 slow connections per replica, Serve's proxy answers in plain text.
        max_queued_requests=INGRESS_ONGOING,
        backpressure_config={"status_code": 429, "retry_after_s": 1},
    )
    return ingress.bind(spec, media.bind(spec), encoder.bind(spec), explainer.bind(spec), jobs.bind(spec))


class AppArguments(BaseModel):
    """Arguments of `serve.endpoint:app` in a config file of Serve; any other is refused."""

    model_config = ConfigDict(extra="forbid")

    root: str
    model: str | list[str] = "fusion"
    settings: dict[str, Any] = {}  # of `viral.config.Settings`, over the file and the environment of the node


def app(arguments: dict[str, Any]) -> Application:
    """Build the application for Serve's own tools: `serve deploy`, `serve run serve.endpoint:app root=… model=…`.

    API keys are required, because the host to which these tools bind is unknown here: a file of them on each node
    (`settings: {serve: {keys_file: …}}`), or one in the environment of this process.

    Raises:
        ConfigError: other arguments, or no keys. Also all errors of `build`.
    """
    try:
        given = AppArguments(**arguments)
        settings = load()
        # Merged field by field, so that one given setting of the endpoint leaves the others as the node has them.
        serve_settings = {**settings.serve.model_dump(), **given.settings.get("serve", {})}
        settings = Settings.model_validate({**settings.model_dump(), **given.settings, "serve": serve_settings})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"the endpoint takes root, model and settings: {where}: {first['msg']}") from error
    models = (given.model,) if isinstance(given.model, str) else tuple(given.model)
    digest = key_digest(None, settings.serve.keys_file)
    return build(EndpointSpec(Store.open(given.root).root, models, settings, digest))


def resolve(spec: EndpointSpec) -> EndpointSpec:
    """Choose the port, pin the model's version and check the settings. Does not need Ray.

    Raises:
        ConfigError: no API key for a host beyond loopback, or the port is taken. Also all errors of `build`.
    """
    settings = spec.settings.serve
    digest = spec.key_digest or key_digest(settings.host, settings.keys_file)
    if settings.keys_file:
        read_keys(settings.keys_file)
    port = free_port(settings.host, settings.port)
    if settings.port and port != settings.port:
        raise ConfigError(f"port {settings.port} of {settings.host} is taken: choose another with --port")
    settings = settings.model_copy(update={"port": port})
    updated = spec.settings.model_copy(update={"serve": settings})
    return _pin(replace(spec, settings=updated, key_digest=digest))


def _pin(spec: EndpointSpec) -> EndpointSpec:
    """Replace model names by their newest versions; `name@champion` stays, as the replicas follow it."""
    pinned = []
    for model in spec.models:
        saved = Registry(Store(spec.root)).load(model)
        # Called for its errors: a model of another version of the code is refused here, not by the replicas.
        feature_set_of(saved)
        pinned.append(model if champion_name(model) else str(saved))
    return replace(spec, models=tuple(pinned))


def free_port(host: str, preferred: int) -> int:
    """Return the preferred port if it is free, else another free one.

    Raises:
        ConfigError: the host cannot be bound at all.
    """
    for port in (preferred, 0):
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                # Without it, the port of an endpoint that stopped a moment ago would count as taken.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return int(probe.getsockname()[1])
        except OSError as error:
            last_error = error
    raise ConfigError(f"cannot serve on {host}: {one_line(last_error)}")


@contextmanager
def running(spec: EndpointSpec, *, debug: bool = False) -> Iterator[str]:
    """Run the endpoint on the connected Ray session for the duration of the block; yields its URL.

    Serve itself is not shut down at the end, as it may run other applications by then. If Serve already runs, its host
    and port replace those of the settings.

    Raises:
        ConfigError: an endpoint is already running.
        ViralError: the endpoint does not start. Also all errors of `resolve`.
    """
    from ray import serve
    from ray.serve.context import _disconnect

    logging.getLogger("ray.serve").setLevel(logging.INFO if debug else logging.ERROR)
    status = serve.status()
    if NAME in status.applications:
        raise ConfigError("an endpoint is already running on this cluster: stop it first (viral serve stop)")
    if status.proxies:
        # Serve has one proxy for all applications, whose port is taken already.
        spec = _pin(_with_address_of_serve(spec))
    else:
        spec = resolve(spec)
        _start(spec.settings.serve, debug=debug)
    settings = spec.settings.serve
    try:
        # Inside `try`: a deployment that failed half-way is removed as well.
        _deploy(build(spec))
        url = url_of(settings)
        _await_healthy(url)
        yield url
    finally:
        stop(settings.request_seconds)
        _disconnect()  # otherwise this process would reuse the client in its next Ray session


def stop(seconds: float) -> None:
    """Refuse new requests while the route still exists, answer those in flight, then stop the endpoint.

    Args:
        seconds: most time for the requests in flight.
    """
    from ray import serve

    with suppress(Exception):  # an endpoint that did not start, or a Ray that is gone, has no requests in flight
        serve.get_app_handle(NAME).broadcast("drain").results(timeout_s=seconds)
    serve.delete(NAME)


def url_of(settings: ServeSettings) -> str:
    """Return the URL of an endpoint."""
    scheme = "https" if settings.ssl_certfile else "http"
    return f"{scheme}://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.port}"


def _with_address_of_serve(spec: EndpointSpec) -> EndpointSpec:
    """Replace host and port by those of the running Serve, which all its applications share."""
    from ray.serve.context import _get_global_client

    options = _get_global_client().http_config
    settings = spec.settings.serve.model_copy(update={"host": options.host, "port": options.port})
    digest = spec.key_digest or key_digest(settings.host, settings.keys_file)
    return replace(spec, settings=spec.settings.model_copy(update={"serve": settings}), key_digest=digest)


def _start(settings: ServeSettings, *, debug: bool) -> None:
    from ray import serve

    logs = {"log_level": "INFO" if debug or settings.log_folder else "WARNING", "encoding": "JSON"}
    if settings.log_folder:
        logs["logs_dir"] = str(settings.log_folder.absolute())
    serve.start(
        http_options={
            "host": settings.host,
            "port": settings.port,
            "request_timeout_s": 2 * settings.request_seconds,  # the API answers before; this is for a lost replica
            "ssl_certfile": settings.ssl_certfile,
            "ssl_keyfile": settings.ssl_keyfile,
        },
        logging_config=logs,
    )


def _deploy(application: Application) -> None:
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        serve.run(application, name=NAME, route_prefix="/")
    except RayServeException as error:
        raise ConfigError(f"another application of this cluster is in the way: {one_line(error)}") from error
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ViralError(f"the endpoint did not start: {lines[-1].strip() if lines else error}") from error


def _await_healthy(url: str) -> None:
    import httpx

    deadline, problem = time.monotonic() + STARTUP_SECONDS, ""
    while time.monotonic() < deadline:
        try:
            reply = httpx.get(f"{url}/healthz", timeout=5, trust_env=False, verify=False)  # noqa: S501 - our own, by its IP
        except httpx.TransportError as error:
            problem = one_line(error)
        else:
            if reply.is_success:
                return
            problem = reply.text[:200]
        time.sleep(0.2)
    raise ViralError(f"the endpoint does not answer at {url}: {problem}")
