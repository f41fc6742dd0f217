"""The jobs of one cluster, over the Jobs API of its dashboard."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.submitting.submission import Submission
from jobs.runtime.cluster import AUTH_ADVICE
from viral.errors import ConfigError, JobError
from viral.storage.store import one_line
from viral.storage.temporary import temporary_folder

if TYPE_CHECKING:
    from ray.dashboard.modules.job.pydantic_models import JobDetails

ANSWER_SECONDS = 10.0  # a dashboard answers in a fraction of it; a wrong address fails soon
AGENT_SECONDS = 60.0  # the part of a new head that starts jobs comes up some seconds after its dashboard
RETURN_SECONDS = 120.0  # a head that is started again needs most of a minute until its dashboard answers
_POLL_SECONDS = 1.0
_NOT_INSTALLED = ("No module named 'viral'", "No module named 'cluster'", "No module named cluster")
_LOGGERS = (  # they tell of each upload three times
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
# Ray's client would use them in place of the address that it is given.
_OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


class JobClient:
    """The jobs of the cluster whose dashboard is at `address`, such as `http://10.0.0.1:8265`.

    Raises:
        ConfigError: no dashboard answers there, it refuses the token, or it is of another version of Ray.
    """

    def __init__(self, address: str) -> None:
        self.url = _dashboard_url(address)
        _check_dashboard(self.url)
        from ray.job_submission import JobSubmissionClient

        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        with _one_line_errors(self.url), _without_overrides():
            self._client = JobSubmissionClient(self.url)
            self.jobs()  # asks for the token, which the version does not

    def jobs(self) -> list[JobDetails]:
        """Return the submitted jobs, the newest last."""
        with _one_line_errors(self.url):
            found = [job for job in self._client.list_jobs() if job.submission_id]
        return sorted(found, key=lambda job: job.start_time or 0)

    def submit(self, submission: Submission, *, with_code: bool = False) -> tuple[str, bool]:
        """Start a submission unless it runs; return the id of its job, and whether this call has started it.

        The id has a number: 2 for the second run, and so on. A run that has ended is no reason not to start another:
        every command goes on where the last one ended.
        """
        attempts = {
            int(job.submission_id.rpartition("-")[2]): job
            for job in self.jobs()
            if job.submission_id and job.submission_id.rpartition("-")[0] == submission.name
        }
        last = max(attempts, default=0)
        if last and not attempts[last].status.is_terminal():
            return f"{submission.name}-{last}", False
        job_id = f"{submission.name}-{last + 1}"
        with temporary_folder("viral-submit-") as folder, _one_line_errors(self.url):
            submission.copy_files(folder / "files")
            return job_id, self._start(job_id, submission, folder / "files", with_code=with_code)

    def _start(self, job_id: str, submission: Submission, folder: Path, *, with_code: bool) -> bool:
        """Start a job; return False if somebody has done so since. The messages are those of Ray 2.60.0."""
        environment = submission.runtime_env(folder, with_code=with_code)
        until = time.monotonic() + AGENT_SECONDS
        while True:
            try:
                self._client.submit_job(entrypoint=submission.entrypoint, submission_id=job_id, runtime_env=environment)
            except RuntimeError as error:
                if "already exists" in str(error):
                    return False
                if "No available agent" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return True

    def wait_for_dashboard(self, until: float | None = None) -> None:
        """Wait until the dashboard answers, as that of a head that is started again does.

        Args:
            until: `time.monotonic()` at which to give up, if that is before `RETURN_SECONDS` have passed.

        Raises:
            JobError: it does not.
        """
        until = min(until or math.inf, time.monotonic() + RETURN_SECONDS)
        while True:
            try:
                self.jobs()
            except (ConfigError, JobError) as error:  # JobError: a part of it has not started yet
                if time.monotonic() > until:
                    raise self._gone(error) from error
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _gone(self, error: Exception) -> JobError:
        return JobError(f"the cluster at {self.url} is gone ({error}): submit again, and it goes on")

    def details(self, job_id: str) -> JobDetails:
        """Return status and times of a job.

        Raises:
            JobError: the cluster has no such job.
        """
        with _one_line_errors(self.url):
            try:
                return self._client.get_job_info(job_id)
            except RuntimeError as error:
                if "404" not in str(error):
                    raise
                raise JobError(f"{self.url} has no job {job_id}: viral jobs list shows those that it has") from error

    def logs(self, job_id: str) -> str:
        """Return what a job has printed so far."""
        self.details(job_id)
        with _one_line_errors(self.url):
            return str(self._client.get_job_logs(job_id))

    def stop(self, job_id: str) -> bool:
        """Ask a job to end, as Ctrl-C does; return whether it was running."""
        self.details(job_id)
        with _one_line_errors(self.url):
            return bool(self._client.stop_job(job_id))

    def follow(self, job_id: str, write: Callable[[str], None], *, until: float | None = None) -> JobDetails:
        """Write what a job prints until it ends; return its details then.

        A dashboard that stops answering is waited for: a head that comes back with its memory knows its jobs.

        Args:
            job_id: of the job.
            write: called with text as it appears.
            until: `time.monotonic()` at which to give up.

        Raises:
            JobError: the cluster is gone, or has forgotten the job.
            TimeoutError: it still ran at `until`.
        """
        written, lost_since = 0, None
        while True:
            try:
                written += asyncio.run(self._tail(job_id, write, skip=written, until=until))
                details = self.details(job_id)
                if details.status.is_terminal():
                    write(self.logs(job_id)[written:])
                    return details
                lost_since = None
            except ConfigError as error:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > RETURN_SECONDS:
                    raise self._gone(error) from error
            if until and time.monotonic() > until:
                raise TimeoutError
            time.sleep(_POLL_SECONDS)

    async def _tail(self, job_id: str, write: Callable[[str], None], *, skip: int, until: float | None) -> int:
        """Write what is printed after the first `skip` characters until the connection ends; return how many."""
        import aiohttp

        seen = 0
        try:
            async with asyncio.timeout(until and max(until - time.monotonic(), 0)):
                async for text in self._client.tail_job_logs(job_id):
                    write(text[max(skip - seen, 0) :])
                    seen += len(text)
        except (RuntimeError, OSError, aiohttp.ClientError, TimeoutError):
            pass  # the caller asks for the status, and comes back
        return max(seen - skip, 0)


def explain(details: JobDetails, log: str) -> str:
    """Say on one line why a job failed."""
    if any(text in log for text in _NOT_INSTALLED):
        return (
            "the cluster has no viral: install it on every node, use our image, or send your code (viral submit --code)"
        )
    errors = [line for line in log.splitlines() if line.startswith(("error: ", "Error: "))]
    return errors[-1].partition(": ")[2] if errors else one_line(RuntimeError(details.message or "no message"))


def _dashboard_url(address: str) -> str:
    scheme, found, _ = address.partition("://")
    if found and scheme not in ("http", "https"):
        raise ConfigError(
            f"{address} is no dashboard: give the address that `ray start --head` prints, such as http://10.0.0.1:8265"
        )
    return (address if found else f"http://{address}").rstrip("/")


def _check_dashboard(url: str) -> None:
    import ray
    import requests

    hint = "give the address of the cluster's dashboard, by default http://HEAD:8265"
    try:
        answer = requests.get(f"{url}/api/version", timeout=ANSWER_SECONDS)
        if answer.status_code in (401, 403):
            return  # it asks for a token, as our client does next
        version = answer.json()["ray_version"]
    except requests.exceptions.JSONDecodeError as error:
        raise ConfigError(f"what answers at {url} is no Ray dashboard: {hint}") from error
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"no Ray dashboard answers at {url}: {hint}, and start Ray with one") from error
    if version != ray.__version__:
        raise ConfigError(
            f"the cluster at {url} has Ray {version}, this machine {ray.__version__}: install one version on both"
        )


@contextmanager
def _one_line_errors(url: str) -> Iterator[None]:
    import requests
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        raise ConfigError(f"the cluster at {url} refuses this request: {AUTH_ADVICE}") from error
    except (requests.RequestException, ConnectionError) as error:
        raise ConfigError(f"no Ray dashboard answers at {url}: {one_line(error)}") from error
    except RuntimeError as error:
        raise JobError(f"the cluster at {url} has refused: {one_line(error)}") from error


@contextmanager
def _without_overrides() -> Iterator[None]:
    before = {name: os.environ.pop(name) for name in _OVERRIDES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
