"""The application: deployments bound together, and how it is started and stopped."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serve.settings import EndpointSpec, api_key
from viral.config import load
from viral.errors import ConfigError
from viral.registry import Registry
from viral.store import Store

if TYPE_CHECKING:
    from ray.serve import Application

NAME = "viral"
# On a machine of two cores one encoder takes one, and the rest of the endpoint fits beside it.
INGRESS_CPUS, MODEL_CPUS, ENCODER_CPUS = 0.1, 0.2, 1.0
ENCODER_ONGOING = 2  # one is decoded while one is read
REQUEST_SECONDS = 120.0


def build(spec: EndpointSpec) -> Application:
    """The application of one endpoint, as `ray.serve.run` and `serve deploy` take it."""
    from ray import serve

    from serve.deployments import Encoder, Model
    from serve.ingress import Ingress

    most, queued = spec.settings.serve.max_replicas, spec.settings.serve.max_queued
    encoder = (
        serve.deployment(Encoder)
        .options(
            ray_actor_options={"num_cpus": ENCODER_CPUS},
            max_ongoing_requests=ENCODER_ONGOING,
            max_queued_requests=queued,
            autoscaling_config={"min_replicas": 1, "max_replicas": most, "target_ongoing_requests": ENCODER_ONGOING},
        )
        .bind(spec)
    )
    model = (
        serve.deployment(Model)
        .options(ray_actor_options={"num_cpus": MODEL_CPUS}, max_ongoing_requests=64, max_queued_requests=queued)
        .bind(spec)
    )
    ingress = serve.deployment(Ingress).options(
        ray_actor_options={"num_cpus": INGRESS_CPUS}, max_ongoing_requests=256, max_queued_requests=queued
    )
    return ingress.bind(spec, encoder, model)


def app(arguments: dict[str, str]) -> Application:
    """For Serve's own tools: `serve run serve.endpoint:app root=… model=…`."""
    if set(arguments) != {"root", "model"}:
        raise ConfigError("the endpoint takes root=… and model=…")
    return build(EndpointSpec(arguments["root"], arguments["model"], load()))


def free_port(host: str, wanted: int) -> int:
    """`wanted` where it is free, else one that is."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigError(f"no port is free on {host}")


@contextmanager
def running(spec: EndpointSpec) -> Iterator[str]:
    """Start the endpoint on the Ray session that is connected; its address, while the block runs.

    Raises:
        ConfigError: it would be open to others without a key. TableError: there is no such model.
    """
    from ray import serve

    settings = spec.settings.serve
    api_key(settings.host)
    Registry(Store(spec.root)).load(spec.model)
    if free_port(settings.host, settings.port) != settings.port:
        raise ConfigError(f"port {settings.port} of {settings.host} is taken: choose another with --port")
    serve.start(
        http_options={"host": settings.host, "port": settings.port, "request_timeout_s": REQUEST_SECONDS},
        logging_config={"log_level": "WARNING"},
    )
    try:
        serve.run(build(spec), name=NAME, route_prefix="/")
        yield f"http://{settings.host}:{settings.port}"
    finally:
        serve.shutdown()
