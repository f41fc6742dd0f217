"""`viral score --endpoint`: the output and the exit statuses of `viral score`, without a root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.score import command
from tests.client import endpoint as faults
from tests.client.endpoint import SCORE, FakeEndpoint, running

OPTIONS = (
    "--caption",
    "wait for it",
    "--hashtag",
    "fyp",
    "--posted-at",
    "2026-03-01T09:30",
    "--author-followers",
    "1.2K",
)
MORE = ("--sound-original", "--sound-posts", "2", "--sound-uses", "3", "--author-views", "10", "--author-views", "20")


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with running() as server:
        yield server


@pytest.fixture
def drafts(tmp_path: Path) -> list[str]:
    paths = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for path in paths:
        path.write_bytes(b"a video")
    return list(map(str, paths))


def score(*arguments: str) -> Result:
    environment = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "VIRAL_API_KEY"))
    return CliRunner(env=environment).invoke(command, arguments)


def test_the_output_is_that_of_a_local_score(endpoint: FakeEndpoint, drafts: list[str]) -> None:
    result = score(*drafts, "s3://bucket/c.mp4", "--endpoint", endpoint.url, *OPTIONS, *MORE)
    assert result.exit_code == 0, result.exception
    card = [
        "  P(viral)  25.0%, more than 40 of 100 posts that it was not trained on",
        "  log_views  9, between 7 and 11 in 90 of 100 cases",
        "  views     8,100, between 1,100 and 60,000",
        "  weighs    text 100%",
        "  missing   audio",
    ]
    assert result.output.splitlines() == [drafts[0], *card, drafts[1], *card, "s3://bucket/c.mp4", *card]
    uploads = [body for body in endpoint.bodies() if "uri" not in body]
    assert (
        uploads
        == [
            {
                "caption": "wait for it",
                "hashtags": "fyp",
                "posted_at": "2026-03-01T09:30:00+00:00",
                "author_followers": "1200",
                "sound_original": "true",
                "sound_posts_before": "2",
                "sound_uses_before": "3",
                "author_views": "10 20",
            }
        ]
        * 2
    )
    (stored,) = [body for body in endpoint.bodies() if "uri" in body]
    assert (stored["uri"], stored["sound_original"]) == ("s3://bucket/c.mp4", True)


def test_json(endpoint: FakeEndpoint, drafts: list[str]) -> None:
    result = score(*drafts, "--endpoint", endpoint.url, "--json", "--model", "fusion/1")
    first, second = map(json.loads, result.output.splitlines())
    assert first == {**SCORE, "model": "fusion/1", "file": drafts[0], "status": "ok", "detail": None}
    assert second["file"] == drafts[1]


def viral(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIRAL_")}
    environment |= {"VIRAL_ROOT": "/there/is/nothing", "RAY_ADDRESS": "10.0.0.1:6379", "NO_PROXY": "*"}
    line = [str(Path(sys.executable).with_name("viral")), "score", *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=environment, check=False)


def test_files_without_a_score_are_named_at_the_end(endpoint: FakeEndpoint, drafts: list[str]) -> None:
    done = viral(drafts[0], "/no.mp4", drafts[1], "--endpoint", endpoint.url)
    assert done.returncode == 2
    expected = "1 of 3 files have no score: /no.mp4: cannot read /no.mp4: No such file or directory (missing_object)"
    assert done.stderr == f"error: {expected}\n"
    assert [line for line in done.stdout.splitlines() if not line.startswith(" ")] == drafts


def test_no_endpoint_is_one_line() -> None:
    done = viral("a.mp4", "--endpoint", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: no endpoint is ready at http://127.0.0.1:9: correct the address, or wait for it (GET /healthz)\n"
    )


def test_a_wrong_key_is_said_once(endpoint: FakeEndpoint, drafts: list[str]) -> None:
    endpoint.faults += [faults.problem(401, "unauthorized")] * 2
    result = score(*drafts, "--endpoint", endpoint.url)
    assert str(result.exception) == "try again (unauthorized)"


@pytest.mark.parametrize(
    "options",
    [
        ("--all",),
        ("--photos",),
        ("--sound", "x.mp3"),
        ("--feature-set", "light"),
        ("--weights", "random"),
        ("--root", "x"),
        ("--address", "x"),
    ],
)
def test_options_of_this_process_are_refused(endpoint: FakeEndpoint, options: tuple[str, ...]) -> None:
    result = score("a.mp4", "--endpoint", endpoint.url, *options)
    message = f"{options[0]} does not go with --endpoint, which scores video files: leave one out"
    assert str(result.exception) == message
    assert endpoint.seen == []


def test_an_endpoint_needs_files_and_a_local_score_a_root(endpoint: FakeEndpoint) -> None:
    assert str(score("--endpoint", endpoint.url).exception) == "name FILES to score by the endpoint"
    result = CliRunner(env={"VIRAL_ROOT": None}).invoke(command, ["a.mp4"])
    assert str(result.exception) == "name the root: --root, or VIRAL_ROOT"
