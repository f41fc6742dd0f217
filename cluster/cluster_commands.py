"""`viral cluster`: a cluster of several hosts on this machine, and what watches a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import click

from viral.errors import ConfigError


@click.group()
def command() -> None:
    """Start a cluster on this machine, and watch clusters."""


@command.command()
@click.option("--nodes", default=3, show_default=True, type=click.IntRange(1, 100), help="Ray nodes, each on its host.")
@click.option("--cores", type=click.FloatRange(0.05), help="Cores of this machine that each node gets; else no limit.")
@click.option("--faults", type=click.IntRange(1), help="One request in so many to the object storage gets a fault.")
@click.option("--redis", is_flag=True, help="Keep the head's state in Redis: jobs survive its restart.")
@click.option("--idle-head", is_flag=True, help="The head runs no tasks, as on large clusters.")
@click.option("--name", default="default", show_default=True, help="For several clusters at once.")
@click.option("--down", is_flag=True, help="End the cluster of this name, and remove its files.")
@click.option("--json", "as_json", is_flag=True, help="Print addresses as JSON.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def local(
    nodes: int,
    cores: float | None,
    faults: int | None,
    redis: bool,
    idle_head: bool,
    name: str,
    down: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Start a Ray cluster on this machine: hosts with addresses, disks and processes of their own, and object storage.

    It takes root, and runs until `viral cluster local --down`. What you store in it is lost then. The same command
    starts nodes again that have ended.
    """
    del debug
    from cluster.local.nodes import LocalCluster, LocalSettings

    cluster, settings = LocalCluster(name), LocalSettings(nodes, cores, faults, redis, idle_head)
    if down:
        if settings != LocalSettings():
            raise ConfigError("--down takes only --name")
        cluster.down()
        return
    cluster.up(settings)
    if as_json:
        addresses = {"dashboard": cluster.dashboard, "head": cluster.address, "environment": cluster.variables()}
        click.echo(json.dumps(addresses))
        return
    click.echo(f"{nodes} node{'s' * (nodes > 1)}, head {cluster.address}, dashboard {cluster.dashboard}")
    click.echo(f"to use it:  . {cluster.folder}/env && viral submit status")
    click.echo(f"to end it:  viral cluster local --down{'' if name == 'default' else f' --name {name}'}")


@command.command("observability")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, help="HOST:PORT of a node's metrics; may be repeated.")
@click.option("--discovery", help="The file in which Ray's head lists its nodes: prom_metrics_service_discovery.json.")
@click.option("--namespace", help="Kubernetes namespace in which KubeRay runs them.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def observability_command(
    folder: Path, targets: tuple[str, ...], discovery: str | None, namespace: str | None, debug: bool
) -> None:
    """Write the configuration of Prometheus, its alerts, and dashboards for Grafana into FOLDER."""
    del debug
    from cluster.observability.generate import Nodes, write_files

    nodes = Nodes(targets, discovery, namespace)
    if nodes == Nodes():
        raise ConfigError("say where the nodes are: --discovery FILE, --namespace NAME or --target HOST:PORT")
    for path in write_files(folder, nodes):
        click.echo(path)
