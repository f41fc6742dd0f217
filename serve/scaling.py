"""Deployments of Ray Serve whose number of replicas follows the load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viral.config import ServeSettings

if TYPE_CHECKING:
    from ray.serve import Deployment

BEHIND_ONGOING = 1024  # requests of a replica behind the ingress, which bounds them by time: none waits in the router
METRICS_SECONDS = 10.0  # Serve's default interval
IDLE_SECONDS = 600.0  # after which the explainer ends: it loads all weights once more
DRAIN_SECONDS = 30.0  # for replicas that Serve stops; `running` has drained the requests before
CONSTRUCTOR_TRIES = 2  # a constructor that failed twice fails for good; Serve's default is 20
ROUTER = {"initial_backoff_s": 0.005, "max_backoff_s": 0.05}  # for the moment in which all replicas are starting


def scaled_deployment(
    limits: ServeSettings,
    kind: type,
    name: str,
    cpus: float,
    most: int,
    target: int,
    *,
    gpus: float = 0.0,
    at_least: int = 1,
) -> Deployment:
    """Make a deployment whose replicas follow the load.

    Args:
        limits: how soon they follow it.
        kind: class of the deployment.
        name: of the deployment.
        cpus: cores of a replica.
        most: replicas at most.
        target: requests in flight per replica above which Serve starts another.
        gpus: GPUs of a replica.
        at_least: replicas that are kept without load.
    """
    from ray import serve
    from ray.serve.config import AutoscalingConfig, RequestRouterConfig

    scaling = AutoscalingConfig(
        min_replicas=at_least,
        initial_replicas=at_least,
        max_replicas=most,
        target_ongoing_requests=target,
        upscale_delay_s=limits.upscale_seconds,
        downscale_delay_s=limits.downscale_seconds,
        # The load is averaged over the time that it has to last, by at least three measurements.
        look_back_period_s=limits.upscale_seconds,
        metrics_interval_s=min(METRICS_SECONDS, limits.upscale_seconds / 3),
        downscale_to_zero_delay_s=IDLE_SECONDS,
    )
    return serve.deployment(kind, name=name).options(
        ray_actor_options={"num_cpus": cpus, "num_gpus": gpus},
        max_ongoing_requests=BEHIND_ONGOING,
        max_constructor_retry_count=CONSTRUCTOR_TRIES,
        autoscaling_config=scaling,
        request_router_config=RequestRouterConfig(**ROUTER),
        graceful_shutdown_timeout_s=DRAIN_SECONDS,
        graceful_shutdown_wait_loop_s=0.1,
    )
