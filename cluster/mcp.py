"""`viral mcp`: the scoring endpoint as tools of an assistant, by the Model Context Protocol on stdin and stdout."""

from __future__ import annotations

import functools
import importlib.util
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import click
from pydantic import Field

import viral
from viral.client import AsyncClient, EndpointScore
from viral.errors import ConfigError, EndpointError, ViralError
from viral.explain import ASSOCIATIONS

if TYPE_CHECKING:
    from mcp.server import MCPServer

Tool = Callable[..., Awaitable[dict[str, Any]]]

INSTRUCTIONS = (
    "Scores drafts of short videos before they are posted. A score predicts the label of the operator's model; "
    f"`probability` is that of being viral. {ASSOCIATIONS}"
)
SCORE = (
    "Predict how a draft of a short video will do: probability of being viral, score with its 90 % interval, "
    "percentile. Give a file, a uri, or a caption alone."
)
EXPLAIN = (
    "Score a draft and explain it: what each modality adds, hook curve, segments, what-if changes, nearest posts. "
    f"Takes several times as long as a score. {ASSOCIATIONS}"
)
COMPARE = "Rank 2 to 10 video files for the same post, best first, with the probability that one beats another."
# The descriptions below are what the assistant reads to fill in the arguments of a tool.
FileName = Annotated[str, Field(description="path of a video below a folder that the operator allows")]
Uri = Annotated[str | None, Field(description="in place of a file: a video that the endpoint can read")]
Caption = Annotated[str | None, Field(description="the planned caption")]
Hashtags = Annotated[list[str] | None, Field(description="hashtags, unless they are in the caption")]
PostedAt = Annotated[str | None, Field(description="planned time of posting, ISO 8601; UTC without an offset")]
Followers = Annotated[int | None, Field(ge=0, description="followers of the author")]
Model = Annotated[str | None, Field(description="model, as `name/version`; default: the endpoint's")]


class AllowedFolders:
    """The folders that files may be read from."""

    def __init__(self, folders: Sequence[str]) -> None:
        # Resolved once: a link that is exchanged later does not widen what the operator allowed.
        self.folders = [Path(folder).resolve() for folder in folders]

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file by its absolute path, or by one relative to an allowed folder.

        Raises:
            ConfigError: no file there that may be read; the message does not tell whether one exists elsewhere.
        """
        # An absolute name ignores the folder that it is joined to, and is then judged by `_allows` alone.
        for folder in self.folders:
            path = _resolve_file(folder / name)
            if path is None or not self._allows(path):
                continue
            with _open(path) as file:
                # What was opened, whatever links were changed in the meantime.
                if self._allows(Path(f"/proc/self/fd/{file.fileno()}").resolve()):
                    yield file
                    return
        allowed = ", ".join(map(str, self.folders)) or "none; the operator allows some with --allow"
        raise ConfigError(f"{name} is no file below the allowed folders: {allowed}")

    def _allows(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self.folders)


def _resolve_file(path: Path) -> Path | None:
    try:
        path = path.resolve(strict=True)
        return path if stat.S_ISREG(path.stat().st_mode) else None
    except (OSError, RuntimeError, ValueError):  # missing, a loop of links, or a null byte
        return None


def _open(path: Path) -> BinaryIO:
    try:
        # No link as the last part, and no waiting for a writer, should the file have been replaced by a link or a pipe.
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


class EndpointTools:
    """The tools of an endpoint, whose files lie in the allowed folders."""

    def __init__(self, client: AsyncClient, folders: AllowedFolders) -> None:
        self.client, self.folders = client, folders

    def draft_tool(self, method: Callable[..., Awaitable[EndpointScore]]) -> Tool:
        """Return the tool for a method of the client that takes one draft."""

        async def tool(
            file: FileName | None = None,
            uri: Uri = None,
            caption: Caption = None,
            hashtags: Hashtags = None,
            posted_at: PostedAt = None,
            author_followers: Followers = None,
            model: Model = None,
        ) -> dict[str, Any]:
            """Score or explain a draft."""
            await self._check_ready()
            context = {"caption": caption, "hashtags": hashtags, "posted_at": posted_at}
            with ExitStack() as stack:
                video = None if file is None else stack.enter_context(self.folders.open(file))
                return asdict(await method(video, uri=uri, model=model, author_followers=author_followers, **context))

        return tool

    async def compare(
        self,
        files: Annotated[list[FileName], Field(min_length=2, max_length=10)],
        caption: Caption = None,
        hashtags: Hashtags = None,
        posted_at: PostedAt = None,
        author_followers: Followers = None,
        model: Model = None,
    ) -> dict[str, Any]:
        """Rank the files."""
        await self._check_ready()
        with ExitStack() as stack:
            opened = [stack.enter_context(self.folders.open(name)) for name in files]
            ranking = await self.client.compare(
                opened,
                model=model,
                caption=caption,
                hashtags=hashtags,
                posted_at=posted_at,
                author_followers=author_followers,
            )
        # The client numbers open files, which have no name that both sides know; the assistant gets its own names back.
        names = {f"draft {number}": name for number, name in enumerate(files, 1)}
        return {
            "ranking": [
                {
                    "file": names[draft.name],
                    "score": asdict(draft.score),
                    "beats": draft.beats and {names[rival]: chance for rival, chance in draft.beats.items()},
                }
                for draft in ranking
            ]
        }

    async def _check_ready(self) -> None:
        """Fail at once where no endpoint answers, in place of trying until the deadline."""
        if not await self.client.ready():
            raise EndpointError(f"no endpoint is ready at {self.client.url}: ask the operator to start it")


def build_server(url: str, folders: Sequence[str]) -> MCPServer[AsyncClient]:
    """Build the MCP server of an endpoint.

    Raises:
        ConfigError: the URL is not that of an endpoint.
    """
    from mcp.server import MCPServer
    from mcp_types import ToolAnnotations

    client = AsyncClient(url)

    @asynccontextmanager
    async def lifespan(_: MCPServer[AsyncClient]) -> AsyncIterator[AsyncClient]:
        """Close the client when the server ends."""
        async with client:
            yield client

    # WARNING, because stdout carries the protocol and the log should only show what needs attention.
    server = MCPServer(
        "viral", instructions=INSTRUCTIONS, version=viral.__version__, lifespan=lifespan, log_level="WARNING"
    )
    tools, read_only = EndpointTools(client, AllowedFolders(folders)), ToolAnnotations(read_only_hint=True)
    score, explain = tools.draft_tool(client.score), tools.draft_tool(client.explain)
    for name, tool, text in (
        ("score", score, SCORE),
        ("explain", explain, EXPLAIN),
        ("compare", tools.compare, COMPARE),
    ):
        server.add_tool(_with_tool_errors(tool), name=name, description=text, annotations=read_only)
    return server


def _with_tool_errors(tool: Tool) -> Tool:
    """Show the assistant the message of a ViralError; the SDK hides that of any other exception."""
    from mcp.server.mcpserver.exceptions import ToolError

    @functools.wraps(tool)
    async def call(**fields: Any) -> dict[str, Any]:
        """Call the tool; turn a ViralError into an error that the SDK shows."""
        try:
            return await tool(**fields)
        except ViralError as error:
            raise ToolError(str(error)) from error

    return call


@click.command()
@click.option("--endpoint", envvar="VIRAL_ENDPOINT", required=True, metavar="URL", help="Address of the endpoint.")
@click.option(
    "--allow",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder whose files the tools may read; repeatable. Default: none.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def command(endpoint: str, folders: tuple[str, ...], debug: bool) -> None:
    """Give an assistant the tools score, explain and compare of an endpoint (MCP on stdin and stdout)."""
    del debug  # read by the entry point
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError("`viral mcp` needs the SDK of the protocol: pip install 'viral[mcp]'")
    build_server(endpoint, folders).run("stdio")
