"""The Ray Serve application: deployments with their resources, start and stop."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from serve.api import ApiConfig
from serve.champion import champion_name
from serve.settings import EndpointSpec, key_digest
from viral.config import ServeSettings, load
from viral.errors import ConfigError, ViralError
from viral.registry.registry import Registry
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store, one_line

if TYPE_CHECKING:
    from ray.serve import Application

NAME = "viral"
# On a machine with two cores an encoder takes one, and the rest of the endpoint fits on the other.
INGRESS_CPUS, MODEL_CPUS, ENCODER_CPUS = 0.1, 0.2, 1.0
INGRESS_ONGOING = 256  # more than the encoders' queues hold, so that these overflow first and the API answers 503
MODEL_ONGOING = 64  # two batches: one is filled while the other is scored
ENCODER_ONGOING = 2  # the second request's bytes arrive while the first is decoded
CONSTRUCTOR_TRIES = 2  # a constructor that failed twice fails for good; Serve's default is 20
REQUEST_SECONDS = 120.0  # an explanation decodes a video several times
STARTUP_SECONDS = 30.0  # from the moment that Serve reports the application as running


def build(spec: EndpointSpec, key: str | None = None) -> Application:
    """Build the application of an endpoint for `ray.serve.run`.

    Args:
        spec: settings of the endpoint. A model without a version is pinned to the newest one; with `name@champion` each
            replica follows promotions.
        key: the digest of the API key; None disables authentication.

    Raises:
        TableError: no such model.
        ConfigError: the model's feature set needs another version of the code.
    """
    from ray import serve

    from serve.deployments import EncoderDeployment, ModelDeployment
    from serve.ingress import Ingress

    spec, limits = _pin(spec), spec.settings.serve
    config = ApiConfig(spec.root, key, limits.max_upload_bytes, REQUEST_SECONDS)
    common = {"max_queued_requests": limits.max_queued, "max_constructor_retry_count": CONSTRUCTOR_TRIES}
    encoder = serve.deployment(EncoderDeployment, name="Encoder").options(
        **common,
        ray_actor_options={"num_cpus": ENCODER_CPUS},
        max_ongoing_requests=ENCODER_ONGOING,
        autoscaling_config={"max_replicas": limits.max_replicas, "target_ongoing_requests": ENCODER_ONGOING},
    )
    model = serve.deployment(ModelDeployment, name="Model").options(
        **common, ray_actor_options={"num_cpus": MODEL_CPUS}, max_ongoing_requests=MODEL_ONGOING
    )
    # No max_queued_requests: if the ingress overflowed, the proxy would answer instead of the API.
    ingress = serve.deployment(Ingress).options(
        ray_actor_options={"num_cpus": INGRESS_CPUS},
        max_ongoing_requests=INGRESS_ONGOING,
        max_constructor_retry_count=CONSTRUCTOR_TRIES,
    )
    return ingress.bind(config, spec.model, encoder.bind(spec), model.bind(spec))


def app(arguments: dict[str, str]) -> Application:
    """Build the application for Serve's own tools: `serve run serve.endpoint:app root=… model=…`.

    An API key is required, because the host to which these tools bind is unknown here.

    Raises:
        ConfigError: other arguments, or no key. Also all errors of `build`.
    """
    if set(arguments) != {"root", "model"}:
        raise ConfigError("the endpoint takes root=… and model=…")
    spec = EndpointSpec(Store.open(arguments["root"]).root, arguments["model"], load())
    return build(spec, key_digest(None))


def resolve(spec: EndpointSpec) -> EndpointSpec:
    """Choose the port, pin the model's version and check the settings. Does not need Ray.

    Raises:
        ConfigError: no API key for a host beyond loopback, or the port is taken. Also all errors of `build`.
    """
    settings = spec.settings.serve
    key_digest(settings.host)
    port = free_port(settings.host, settings.port)
    if settings.port and port != settings.port:
        raise ConfigError(f"port {settings.port} of {settings.host} is taken: choose another with --port")
    settings = settings.model_copy(update={"port": port})
    return _pin(replace(spec, settings=spec.settings.model_copy(update={"serve": settings})))


def _pin(spec: EndpointSpec) -> EndpointSpec:
    """Replace a model name by its newest version; `name@champion` stays, as the replicas follow it."""
    saved = Registry(Store(spec.root)).load(spec.model)
    feature_set_of(saved)
    return spec if champion_name(spec.model) else replace(spec, model=str(saved))


def free_port(host: str, preferred: int) -> int:
    """Return the preferred port if it is free, else another free one.

    Raises:
        ConfigError: the host cannot be bound at all.
    """
    for port in (preferred, 0):
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
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
        raise ConfigError("an endpoint is already running on this cluster: stop it first")
    if status.proxies:
        spec = _pin(_with_address_of_serve(spec))
    else:
        spec = resolve(spec)
        _start(spec.settings.serve, debug=debug)
    settings = spec.settings.serve
    try:
        _deploy(build(spec, key_digest(settings.host)))
        url = f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.port}"
        _await_healthy(url)
        yield url
    finally:
        serve.delete(NAME)
        _disconnect()  # otherwise this process would reuse the client in its next Ray session


def _with_address_of_serve(spec: EndpointSpec) -> EndpointSpec:
    """Replace host and port by those of the running Serve, which all its applications share."""
    from ray.serve.context import _get_global_client

    options = _get_global_client().http_config
    settings = spec.settings.serve.model_copy(update={"host": options.host, "port": options.port})
    return replace(spec, settings=spec.settings.model_copy(update={"serve": settings}))


def _start(settings: ServeSettings, *, debug: bool) -> None:
    from ray import serve

    serve.start(
        http_options={"host": settings.host, "port": settings.port, "request_timeout_s": 2 * REQUEST_SECONDS},
        logging_config={"log_level": "INFO" if debug else "WARNING"},
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
            reply = httpx.get(f"{url}/healthz", timeout=5, trust_env=False)
        except httpx.TransportError as error:
            problem = one_line(error)
        else:
            if reply.is_success:
                return
            problem = reply.text[:200]
        time.sleep(0.2)
    raise ViralError(f"the endpoint does not answer at {url}: {problem}")
