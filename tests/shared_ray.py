"""The Ray that all tests of a process share, and the endpoint on it."""

from __future__ import annotations

import os
import random
import socket
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from jobs.runtime.session import connect, session

T = TypeVar("T")
PLANTED = Path(__file__).with_name("jobs") / "planted"  # makes the decoder of Ray's workers fail on files named for it


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
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PYTHONPATH", str(PLANTED), prepend=os.pathsep)
                connect()

    def run(self, endpoint: AbstractContextManager[T]) -> T:
        """Run an endpoint on it until `up` is called the next time."""
        self.up()
        return self._endpoint.enter_context(endpoint)

    def end(self) -> None:
        """End both."""
        self._endpoint.close()
        self._ray.close()


def free_port() -> int:
    """A port of this machine that nobody uses, nor gets by chance while a test starts what will listen there.

    The system hands out ports from 32768 on to whoever asks for any, and Ray's workers take 10002 to 19999.
    """
    while True:
        port = random.randrange(20_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
