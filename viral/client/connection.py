"""What both clients share around a request: address and key, the request of an attempt, and what an answer means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import httpx

from viral.client.answers import EndpointJob
from viral.client.attempts import BAD_RESPONSE, DEADLINE, Attempts, answer_error, one_line
from viral.client.calls import EndpointCall
from viral.errors import ConfigError, EndpointError

T = TypeVar("T")

KEY_VARIABLE = "VIRAL_API_KEY"
TIMEOUT_SECONDS = 120.0  # the endpoint's own limit for one request
CONCURRENCY = 8  # keeps the decoders of a small endpoint busy while other drafts are being uploaded
LOOKAHEAD = 4  # per slot, drafts begun or finished before the oldest one is: one slow video does not idle the others
FIRST_POLL, LONGEST_POLL = 0.2, 5.0  # seconds between two looks at a job

ProgressCallback = Callable[[int, int], None]
"""Called with the number of finished drafts and of all drafts."""


def http_options(url: str, api_key: str | None) -> dict[str, Any]:
    """Return the arguments of an httpx client for an endpoint. It follows no redirect, so the key goes nowhere else.

    Raises:
        ConfigError: the URL is not that of an endpoint, or the key cannot be sent.
    """
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"the URL of the endpoint is not valid: {one_line(str(error))}") from error
    if address.userinfo:
        raise ConfigError(f"the URL of the endpoint has a user or password: put the key into {KEY_VARIABLE}")
    if address.scheme not in ("http", "https") or not address.host or address.query or address.fragment:
        raise ConfigError(f"{url!r} is not the URL of an endpoint: give one like http://127.0.0.1:8000")
    key = (os.environ.get(KEY_VARIABLE, "") if api_key is None else api_key).strip()
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        raise ConfigError("the API key contains a control character")
    # Keys may be any text; httpx would refuse one that is not ASCII.
    headers = {"Authorization": b"Bearer " + key.encode(errors="surrogateescape")} if key else {}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=CONCURRENCY)  # callers bound themselves
    return {"base_url": address, "headers": headers, "follow_redirects": False, "limits": limits}


@contextmanager
def build_request(
    http: httpx.Client | httpx.AsyncClient, call: EndpointCall[Any], attempts: Attempts
) -> Iterator[httpx.Request]:
    """Build the request of one attempt, with its files open from their start.

    Raises:
        EndpointError: a file cannot be read.
    """
    with ExitStack() as stack:
        files = [("file", (upload.name, stack.enter_context(upload.open(attempts)))) for upload in call.uploads]
        yield http.build_request(
            call.method,
            call.path,
            content=call.content,
            data=dict(call.form) or None,
            files=files or None,  # type: ignore[arg-type]  # httpx only reads and seeks
            params=dict(call.params),
            headers={"Content-Type": call.content_type} if call.content_type else None,
            extensions={"timeout": attempts.timeouts()},
        )


def read_answer(call: EndpointCall[T], response: httpx.Response, body: bytes) -> T:
    """Return what an answer says.

    Raises:
        EndpointError: it is an error, or not of the expected form.
    """
    if not response.is_success:
        raise answer_error(response, body)
    try:
        return call.read(body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        detail = f"this is no answer of a scoring endpoint ({call.path}): {one_line(repr(error))}"
        raise EndpointError(detail, status=response.status_code, reason=BAD_RESPONSE) from error


def is_not_ready(error: EndpointError) -> bool:
    """Whether an error means that the endpoint may be ready later."""
    # No status: nobody answered. 503: the endpoint starts or stops.
    return error.status is None or error.status == httpx.codes.SERVICE_UNAVAILABLE


def poll_pauses(job_id: str, timeout: float | None) -> Iterator[float]:
    """Yield the seconds to wait after each look at a job, for as long as `timeout` allows.

    Raises:
        EndpointError: the time is over (`deadline`).
    """
    waited, pause = 0.0, FIRST_POLL
    while timeout is None or waited < timeout:
        yield pause if timeout is None else min(pause, timeout - waited)
        waited, pause = waited + pause, min(LONGEST_POLL, 1.5 * pause)
    raise EndpointError(f"job {job_id} is not done after {timeout:g} seconds", reason=DEADLINE)


def is_finished(job: EndpointJob) -> bool:
    """Whether a job is done.

    Raises:
        EndpointError: it failed (`job_failed`).
    """
    if job.status == "failed":
        raise EndpointError(job.detail or f"job {job.id} failed", status=httpx.codes.OK, reason="job_failed")
    return job.status == "done"


def check_concurrency(concurrency: int) -> int:
    """Return a number of requests. Raises ConfigError unless it is above 0."""
    if concurrency < 1:
        raise ConfigError(f"concurrency is {concurrency}: give 1 or more")
    return concurrency
