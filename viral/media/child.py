"""The decoding child: a program of its own, run by `Sandbox`, that answers jobs until its parent hangs up.

A program and not a fork or a spawn of `multiprocessing`: those import the parent's main module again, which in a Ray
worker is all of Ray.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from viral.errors import OutOfMemoryError, PostError, UnreadableError
from viral.media.limits import Limits
from viral.media.media import Media
from viral.media.plan import Plan

Decoder = Callable[[str, Plan, Limits], Media]
Job = tuple[Decoder, str, Plan, Limits]
Reply = tuple[str, str | Media]
"""A reason code with its detail, or `OK` with the media."""

OK = "ok"
READY = b"ready"
PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int, memory_bytes: int) -> None:
    """Answers jobs that come through a descriptor; ends with its parent, at the latest.

    Args:
        descriptor: an open socket to the parent.
        parent: the process id of the parent.
        memory_bytes: address space that may be used on top of what is mapped when all is loaded.
    """
    _die_with(parent)
    import av
    import decord
    from PIL import Image

    from viral.media import decode  # noqa: F401 - before memory is limited

    Image.init()
    av.logging.set_level(None)
    decord.logging.set_level(decord.logging.QUIET)
    _limit(memory_bytes)
    with Connection(descriptor) as connection:
        connection.send_bytes(READY)
        while True:
            try:
                request = connection.recv_bytes()
            except EOFError:
                return
            connection.send_bytes(_answer(request))


def _answer(request: bytes) -> bytes:
    import av

    try:
        function, path, plan, limits = pickle.loads(request)  # noqa: S301 - from the parent
        return pickle.dumps((OK, function(path, plan, limits)), protocol=5)
    except PostError as error:
        reply: Reply = (error.reason, str(error))
    except MemoryError:
        reply = (OutOfMemoryError.reason, "decoding ran out of memory")
    except av.error.FFmpegError as error:
        reply = (UnreadableError.reason, f"ffmpeg: {error.strerror}")
    return pickle.dumps(reply)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def _limit(memory_bytes: int) -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory_bytes, mapped + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
