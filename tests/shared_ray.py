"""The Ray that all tests of a process share, and the endpoint on it."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

from jobs.runtime.session import connect, session

T = TypeVar("T")


class SharedRay:
    """Ray on this machine, for all tests of this process."""

    def __init__(self) -> None:
        self._ray, self._endpoint = ExitStack(), ExitStack()

    def up(self) -> None:
        """Start it unless it runs. An endpoint on it ends: jobs need its cores."""
        import ray

        self._endpoint.close()
        if not ray.is_initialized():
            self._ray.close()
            self._ray.enter_context(session())
            connect(metrics_port=free_port())  # a test reads them

    def run(self, endpoint: AbstractContextManager[T]) -> T:
        """Run an endpoint on it until `up` is called the next time."""
        self.up()
        return self._endpoint.enter_context(endpoint)

    def end(self) -> None:
        """End both."""
        self._endpoint.close()
        self._ray.close()


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
