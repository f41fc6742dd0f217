"""`viral jobs`: the jobs of a cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cluster.submit import dashboard_option
from cluster.submitting.client import JobClient
from viral.errors import JobError

if TYPE_CHECKING:
    from ray.dashboard.modules.job.pydantic_models import JobDetails

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_debug_option = click.option("--debug", is_flag=True, help="Show tracebacks.")
_id_argument = click.argument("job_id", metavar="ID")


@click.group()
def command() -> None:
    """List, follow and stop the jobs of a cluster."""


@command.command("list")
@dashboard_option
@_json_option
@_debug_option
def list_command(address: str, as_json: bool, debug: bool) -> None:
    """List the jobs that the cluster remembers, the newest last."""
    del debug
    jobs = [_row(job) for job in JobClient(address).jobs()]
    if as_json:
        click.echo(json.dumps(jobs))
        return
    for job in jobs:
        click.echo(f"{job['id']:<40} {job['status']:<10} {job['started'] or '-':<20} {job['seconds'] or 0:>8.0f} s")


@command.command("status")
@dashboard_option
@_id_argument
@_json_option
@_debug_option
def status_command(address: str, job_id: str, as_json: bool, debug: bool) -> None:
    """Show the status of a job."""
    del debug
    row = _row(JobClient(address).details(job_id))
    click.echo(json.dumps(row) if as_json else "\n".join(f"{name:<8} {value}" for name, value in row.items()))


@command.command("logs")
@dashboard_option
@_id_argument
@click.option("--follow", is_flag=True, help="Wait for more until the job ends.")
@_debug_option
def logs_command(address: str, job_id: str, follow: bool, debug: bool) -> None:
    """Show what a job has printed."""
    del debug
    client = JobClient(address)
    if follow:
        client.follow(job_id, lambda text: click.echo(text, nl=False))
    else:
        click.echo(client.logs(job_id), nl=False)


@command.command("stop")
@dashboard_option
@_id_argument
@_debug_option
def stop_command(address: str, job_id: str, debug: bool) -> None:
    """Stop a job; submitted again, it goes on where it stopped."""
    del debug
    if not JobClient(address).stop(job_id):
        raise JobError(f"{job_id} has ended already")


def _row(job: JobDetails) -> dict[str, Any]:
    started = datetime.fromtimestamp(job.start_time / 1000, UTC) if job.start_time else None
    ended = datetime.fromtimestamp(job.end_time / 1000, UTC) if job.end_time else datetime.now(UTC)
    return {
        "id": job.submission_id,
        "status": str(job.status),
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ") if started else None,
        "seconds": round((ended - started).total_seconds(), 1) if started else None,
        "command": job.entrypoint,
        "message": job.message,
    }
