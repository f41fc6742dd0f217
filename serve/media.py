"""The media deployment: fetches and decodes the videos of drafts. It needs neither model nor torch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from serve.settings import EndpointSpec
from viral.features.posts import DecodedPost, ExtractionRequest
from viral.features.reader import MediaReader
from viral.storage.store import Store
from viral.storage.temporary import temporary_folder

UPLOADS = "viral-upload-"


class MediaDeployment:
    """Fetches many videos at once, and decodes one at a time in a child process.

    A storage that stalls holds threads of its own: a video that is here is decoded meanwhile. Those of a replica of
    Serve would not do: there are five.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        threads = spec.settings.serve.max_fetching
        # A fetch whose client has left ends only when the storage's own time limit does; until then others wait for it.
        self._stored, self._uploaded = ThreadPoolExecutor(threads), ThreadPoolExecutor(threads)
        self._reader = MediaReader((), Store(spec.root), spec.settings, threads=2 * threads)

    async def __call__(self, request: ExtractionRequest, content: Any = None) -> DecodedPost:
        """Decode the video of a request; the result reports a failure.

        Args:
            request: names a key below the root, or a file of the machine of the ingress.
            content: holds a reference to the bytes of the file, if the cluster has several machines.
        """
        assert request.video_uri, "a draft of text alone needs no decoder"
        async with local_file(request.video_uri, content) as uri:
            threads = self._uploaded if uri.startswith("/") else self._stored
            work = partial(self._read, replace(request, video_uri=uri))
            return await asyncio.get_running_loop().run_in_executor(threads, work)

    def close(self) -> None:
        """End the child process and the threads."""
        self._reader.close()
        for threads in (self._stored, self._uploaded):
            threads.shutdown(cancel_futures=True)

    def _read(self, request: ExtractionRequest) -> DecodedPost:
        (post,) = self._reader.read([request])
        return post


@asynccontextmanager
async def local_file(uri: str, content: Any) -> AsyncIterator[str]:
    """Provide a file on this machine: `uri` itself, or a temporary file with the bytes behind `content`."""
    if content is None:
        yield uri
        return
    data = await content[0]
    with temporary_folder(UPLOADS) as folder:
        path = Path(folder) / "video"
        await asyncio.to_thread(path.write_bytes, data)
        yield str(path)
