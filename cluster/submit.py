"""`viral submit`: a command as a job on a cluster."""

from __future__ import annotations

import json
import time

import click

from cluster.submitting.client import JobClient, explain
from cluster.submitting.submission import Submission, create_submission
from viral.console.commands import LazyGroup
from viral.errors import ConfigError, JobError

_HERE_ONLY = ("demo", "jobs", "mcp", "submit")
"""Commands that make no sense as a job."""

dashboard_option = click.option(
    "--address",
    envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"],
    required=True,
    help="Dashboard of the cluster, such as http://10.0.0.1:8265.",
)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@dashboard_option
@click.option("--wait/--no-wait", default=True, help="Show what the job prints until it ends (the default).")
@click.option("--retry", type=click.IntRange(0), default=0, help="Submit it so often again if it fails or is lost.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Stop it after so many seconds.")
@click.option("--code", is_flag=True, help="Send this machine's code in place of what the cluster has installed.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's id and status as JSON, its output on stderr.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.argument("name", metavar="COMMAND")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    context: click.Context,
    address: str,
    wait: bool,
    retry: int,
    timeout: float | None,
    code: bool,
    as_json: bool,
    debug: bool,
    name: str,
    arguments: tuple[str, ...],
) -> None:
    """Run `viral COMMAND ARGUMENTS` as a job on a cluster, and follow it.

    Options of `submit` stand before COMMAND. Files that the arguments name by relative paths travel with the job;
    absolute paths are those of the cluster, and the root has to be one that every node sees. Ctrl-C leaves the job
    running: the same command attaches to it again.
    """
    del debug
    submission = _checked(context, name, arguments)
    client = JobClient(address)
    until = time.monotonic() + timeout if timeout else None
    for attempt in range(retry + 1):
        job_id = None
        try:
            if attempt:
                client.wait_for_dashboard(until)
            job_id, started = client.submit(submission, with_code=code)
            click.echo(f"{'submitted' if started else 'attached to'} {job_id} at {client.url}", err=True)
            status = _follow(client, job_id, until, as_json=as_json) if wait else client.details(job_id).status
            if as_json:
                click.echo(json.dumps({"job": job_id, "status": str(status)}))
            return
        except KeyboardInterrupt:
            if job_id is None:
                raise
            again = f"the same command, or viral jobs logs --follow {job_id}, shows it again"
            click.echo(f"\n{job_id} goes on: {again}", err=True)
            return
        except StoppedError:
            raise
        except (JobError, ConfigError) as error:
            # A wrong address or token shows at the first attempt.
            if attempt == retry or (isinstance(error, ConfigError) and not attempt):
                raise
            click.echo(f"{error}; attempt {attempt + 2} of {retry + 1}", err=True)


class StoppedError(JobError):
    """Somebody has stopped the job, or its time is over: it is not tried again."""


def _checked(context: click.Context, name: str, arguments: tuple[str, ...]) -> Submission:
    """Return the submission of a command, whose options are checked on this machine first."""
    group = context.find_root().command
    assert isinstance(group, LazyGroup), "the console script"
    target = None if name in _HERE_ONLY else group.get_command(context, name)
    if target is None:
        names = ", ".join(each for each in group.list_commands(context) if each not in _HERE_ONLY)
        raise click.UsageError(f"no such job: {name!r}; choose from {names}")
    parsed = target.make_context(name, list(arguments), parent=context.find_root())
    root = parsed.params.get("root")
    return create_submission(name, _without_option("--root", arguments), root)


def _without_option(option: str, arguments: tuple[str, ...]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument != option and not argument.startswith(f"{option}="):
            kept.append(argument)
        skip = not skip and argument == option
    return kept


def _follow(client: JobClient, job_id: str, until: float | None, *, as_json: bool) -> str:
    try:
        details = client.follow(job_id, lambda text: click.echo(text, nl=False, err=as_json), until=until)
    except TimeoutError as error:
        client.stop(job_id)
        raise StoppedError(f"{job_id} was stopped: its time is over; submit again, and it goes on") from error
    if details.status == "STOPPED":
        raise StoppedError(f"{job_id} was stopped: submit again, and it goes on")
    if details.status != "SUCCEEDED":
        raise JobError(f"{job_id} failed: {explain(details, client.logs(job_id))}")
    return str(details.status)
