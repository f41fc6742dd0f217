"""`viral mcp` as an assistant sees it: the SDK's own client starts it and talks to it over stdin and stdout."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cluster.mcp import command
from tests.client.endpoint import FakeEndpoint, running

pytest.importorskip("mcp", reason="pip install 'viral[mcp]'")


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with running() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An allowed folder, and beside it what no tool may read."""
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    allowed = tmp_path / "allowed"
    (allowed / "more").mkdir(parents=True)
    (allowed / "a.mp4").write_bytes(b"a video")
    (allowed / "more" / "b.mp4").write_bytes(b"another")
    (allowed / "inside.mp4").symlink_to(allowed / "a.mp4")
    (allowed / "outside.mp4").symlink_to(tmp_path / "secret.mp4")
    (allowed / "up").symlink_to(tmp_path)
    os.mkfifo(allowed / "pipe.mp4")
    return allowed


Call = tuple[str, dict[str, Any]]


def tool_results(endpoint: FakeEndpoint, calls: list[Call], *options: str, **environment: str) -> tuple[Any, list[Any]]:
    """The tools that the server offers, and the results of calls, all in one session."""
    from mcp import Client, StdioServerParameters

    line = ["mcp", "--endpoint", endpoint.url, *options]
    server = StdioServerParameters(command=str(Path(sys.executable).with_name("viral")), args=line, env=environment)

    async def main() -> tuple[Any, list[Any]]:
        async with Client(server) as client:
            tools = await client.list_tools()
            return tools.tools, [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(main())


def message_of(result: Any) -> str:
    """The message of a failed call, after the words that the SDK begins with."""
    assert result.is_error
    return str(result.content[0].text).removeprefix("Error executing tool score: ")


def test_the_tools_and_the_files_they_may_read(endpoint: FakeEndpoint, folder: Path) -> None:
    outside = str(folder.parent / "secret.mp4")
    refused = [
        "outside.mp4",
        "up/secret.mp4",
        "../secret.mp4",
        outside,
        "/etc/passwd",
        "no.mp4",
        "pipe.mp4",
        "",
        "a\0b",
    ]
    calls: list[Call] = [
        ("score", {"file": "a.mp4", "caption": "wait for it", "hashtags": ["fyp"], "author_followers": 7}),
        ("score", {"file": str(folder / "inside.mp4")}),
        ("score", {"caption": "words alone"}),
        ("explain", {"file": "more/b.mp4", "posted_at": "2026-03-01T09:30"}),
        ("compare", {"files": ["a.mp4", "more/b.mp4"], "caption": "x"}),
        ("score", {"file": "a.mp4", "caption": "bad"}),
        ("score", {"author_followers": -1}),
        *[("score", {"file": name}) for name in refused],
    ]
    tools, results = tool_results(endpoint, calls, "--allow", str(folder), VIRAL_API_KEY="the key")
    assert [tool.name for tool in tools] == ["score", "explain", "compare"]
    assert set(tools[0].input_schema["properties"]) == {
        *("file", "uri", "caption", "hashtags", "posted_at", "author_followers", "model")
    }
    assert all(tool.description and tool.annotations.read_only_hint for tool in tools)
    scored, linked, words, explained, compared, bad, invalid, *others = results
    for result in (scored, linked, words):
        assert not result.is_error
        assert result.structured_content["probability"] == 0.25
    assert explained.structured_content["explanation"] == {"hook": {"points": []}}
    ranking = compared.structured_content["ranking"]
    assert [(draft["file"], draft["beats"]) for draft in ranking] == [
        ("more/b.mp4", {"a.mp4": 0.5}),
        ("a.mp4", {"more/b.mp4": 0.5}),
    ]
    assert message_of(bad) == "no decoder can read the file (unreadable)"
    assert invalid.is_error
    for name, result in zip(refused, others, strict=True):
        assert message_of(result) == f"{name} is no file below the allowed folders: {folder}"
    posts = [seen for seen in endpoint.seen if seen.method == "POST"]
    assert len(posts) == 6
    assert all(seen.headers["Authorization"] == "Bearer the key" for seen in posts)
    assert posts[0].fields == {"caption": "wait for it", "hashtags": "fyp", "author_followers": "7"}


def test_without_allowed_folders_and_without_an_endpoint(endpoint: FakeEndpoint, folder: Path) -> None:
    (_, (refused,)) = tool_results(endpoint, [("score", {"file": str(folder / "a.mp4")})])
    message = "is no file below the allowed folders: none; the operator allows some with --allow"
    assert message_of(refused) == f"{folder / 'a.mp4'} {message}"
    endpoint.shutdown()
    endpoint.server_close()
    (_, (unreachable,)) = tool_results(endpoint, [("score", {"caption": "x"})])
    assert message_of(unreachable) == f"no endpoint is ready at {endpoint.url}: ask the operator to start it"


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRAL_ENDPOINT", raising=False)
    result = CliRunner().invoke(command, [])
    assert (result.exit_code, "Missing option '--endpoint'" in result.output) == (2, True)
    result = CliRunner().invoke(command, ["--endpoint", "nonsense"])
    assert str(result.exception) == "'nonsense' is not the URL of an endpoint: give one like http://127.0.0.1:8000"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(command, ["--endpoint", "http://127.0.0.1:8000"])
    assert str(result.exception) == "`viral mcp` needs the SDK of the protocol: pip install 'viral[mcp]'"
