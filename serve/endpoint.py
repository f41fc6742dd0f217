"""The application: deployments bound together, and how it is started and stopped."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from serve.api import Face
from serve.champion import followed
from serve.settings import EndpointSpec, key_digest
from viral.config import ServeSettings, load
from viral.errors import ConfigError, ViralError
from viral.registry.registry import Registry
from viral.scoring.scorer import feature_set_of
from viral.storage.store import Store, one_line

if TYPE_CHECKING:
    from ray.serve import Application

NAME = "viral"
# On a machine of two cores one encoder takes one, and the rest of the endpoint fits beside it.
INGRESS_CPUS, MODEL_CPUS, ENCODER_CPUS = 0.1, 0.2, 1.0
INGRESS_ONGOING, MODEL_ONGOING = 256, 64
ENCODER_ONGOING = 2  # the second one's bytes arrive while the first is decoded
STARTS = 2  # a constructor that failed twice fails for good; Serve's default is 20
REQUEST_SECONDS = 120.0
ANSWERS_WITHIN = 30.0  # seconds, once Serve says that it runs


def build(spec: EndpointSpec, key: str | None = None) -> Application:
    """The application of one endpoint, as `ray.serve.run` takes it.

    Args:
        spec: the endpoint; a model without a version is the newest one now, for all replicas, and `name@champion`
            is whichever is the champion, each replica taking a new one when it sees it.
        key: the digest of the API key; None leaves it open to all who reach it.

    Raises:
        TableError: there is no such model. ConfigError: its feature set is of another version of the code.
    """
    from ray import serve

    from serve.deployments import Encoder, Model
    from serve.ingress import Ingress

    spec, limits = _pinned(spec), spec.settings.serve
    face = Face(spec.root, key, limits.max_upload_bytes, REQUEST_SECONDS)
    common = {"max_queued_requests": limits.max_queued, "max_constructor_retry_count": STARTS}
    encoder = serve.deployment(Encoder).options(
        **common,
        ray_actor_options={"num_cpus": ENCODER_CPUS},
        max_ongoing_requests=ENCODER_ONGOING,
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": limits.max_replicas,
            "target_ongoing_requests": ENCODER_ONGOING,
        },
    )
    model = serve.deployment(Model).options(
        **common, ray_actor_options={"num_cpus": MODEL_CPUS}, max_ongoing_requests=MODEL_ONGOING
    )
    # The proxy would refuse in its own words what overflows here: the encoder's queue is the shorter one.
    ingress = serve.deployment(Ingress).options(
        ray_actor_options={"num_cpus": INGRESS_CPUS},
        max_ongoing_requests=INGRESS_ONGOING,
        max_constructor_retry_count=STARTS,
    )
    return ingress.bind(face, spec.model, encoder.bind(spec), model.bind(spec))


def app(arguments: dict[str, str]) -> Application:
    """For Serve's own tools: `serve run serve.endpoint:app root=… model=…`.

    They bind what they are told to, which this cannot see: so there must be a key.

    Raises:
        ConfigError: other arguments, or no key. Raises as `build` does.
    """
    if set(arguments) != {"root", "model"}:
        raise ConfigError("the endpoint takes root=… and model=…")
    spec = EndpointSpec(Store.open(arguments["root"]).root, arguments["model"], load())
    return build(spec, key_digest(None))


def checked(spec: EndpointSpec) -> EndpointSpec:
    """The endpoint with its port and its model's version settled, and all seen to that can be seen to before Ray runs.

    Raises:
        ConfigError: it would be open to others without a key, or the port cannot be had. Raises as `build` does.
    """
    settings = spec.settings.serve
    key_digest(settings.host)
    port = free_port(settings.host, settings.port)
    if settings.port and port != settings.port:
        raise ConfigError(f"port {settings.port} of {settings.host} is taken: choose another with --port")
    chosen = spec.settings.model_copy(update={"serve": settings.model_copy(update={"port": port})})
    return _pinned(replace(spec, settings=chosen))


def _pinned(spec: EndpointSpec) -> EndpointSpec:
    """The endpoint with its model's version; a champion stays one, to be followed."""
    saved = Registry(Store(spec.root)).load(spec.model)
    feature_set_of(saved)
    return spec if followed(spec.model) else replace(spec, model=str(saved))


def free_port(host: str, wanted: int) -> int:
    """`wanted` where it is free, else one that is.

    Raises:
        ConfigError: the host cannot be bound at all.
    """
    for port in (wanted, 0):
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return int(probe.getsockname()[1])
        except OSError as error:
            failed = error
    raise ConfigError(f"cannot serve on {host}: {one_line(failed)}")


@contextmanager
def running(spec: EndpointSpec, *, debug: bool = False) -> Iterator[str]:
    """Start the endpoint on the Ray session that is connected; its address, while the block runs.

    Serve itself stays until Ray ends: on a cluster it may hold other applications by then. Where it runs already, it
    keeps the host and port that it has, whatever the settings say; beyond loopback they need a key all the same.

    Raises:
        ConfigError: one runs there already. ViralError: it does not come up. Raises as `checked` does.
    """
    from ray import serve
    from ray.serve.context import _disconnect

    logging.getLogger("ray.serve").setLevel(logging.INFO if debug else logging.ERROR)
    there = serve.status()
    if NAME in there.applications:
        raise ConfigError("an endpoint runs on this cluster already: stop it first")
    if there.proxies:
        spec = _pinned(_where_serve_is(spec))
    else:
        spec = checked(spec)
        _start(spec.settings.serve, debug=debug)
    settings = spec.settings.serve
    try:
        _deploy(build(spec, key_digest(settings.host)))
        url = f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.port}"
        _await_answer(url)
        yield url
    finally:
        serve.delete(NAME)
        _disconnect()  # else it is kept, and asked in the next Ray session of this process


def _where_serve_is(spec: EndpointSpec) -> EndpointSpec:
    """The endpoint on the address that Serve has on this cluster already; it has one, for all its applications."""
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
        raise ConfigError(f"another application is in the way on this cluster: {one_line(error)}") from error
    except RuntimeError as error:
        said = [line for line in str(error).splitlines() if line.strip()]
        raise ViralError(f"the endpoint does not come up: {said[-1].strip() if said else error}") from error


def _await_answer(url: str) -> None:
    import httpx

    until, said = time.monotonic() + ANSWERS_WITHIN, ""
    while time.monotonic() < until:
        try:
            reply = httpx.get(f"{url}/healthz", timeout=5, trust_env=False)
        except httpx.TransportError as error:
            said = one_line(error)
        else:
            if reply.is_success:
                return
            said = reply.text[:200]
        time.sleep(0.2)
    raise ViralError(f"the endpoint does not answer at {url}: {said}")
