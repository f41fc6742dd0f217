"""The program that `Sandbox` runs as a child process: it answers decode requests until the connection is closed.

It is not started by `multiprocessing`, which would import the main module of the parent again: in a Ray worker, all of
Ray.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from viral.errors import OutOfMemoryError, PostError, UnreadableError
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.photo_set import PhotoSet
from viral.media.plan import SamplingPlan

Decoder = Callable[[Any, SamplingPlan, MediaLimits], Media]
DecodeRequest = tuple[Decoder, str | PhotoSet, SamplingPlan, MediaLimits]
"""Decoder, path or photo set, plan and limits; sent as a pickle."""
DecodeReply = tuple[str, str | Media]
"""`OK` with the media, or a reason code with its detail; sent as a `HEADER` with the size, then a pickle."""

OK = "ok"
HEADER = struct.Struct("!Q")
PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def main(descriptor: int, parent: int, memory_bytes: int) -> None:
    """Send an empty message when ready, then answer requests; the kernel kills the child when its parent dies.

    Args:
        descriptor: file descriptor of the socket that is connected to the parent.
        parent: process id of the parent.
        memory_bytes: limit on address space, beyond what is mapped once all modules are loaded.
    """
    die_with(parent)
    import av

    # All that decoding needs, so that no import happens within the limit on memory.
    import decord
    from PIL import Image

    from viral.media import decode  # noqa: F401 - loaded before memory is limited

    # Everything that is loaded before the limit does not count towards it.
    Image.init()
    av.logging.set_level(None)
    decord.logging.set_level(decord.logging.QUIET)
    limit_memory(memory_bytes)
    with socket.socket(fileno=descriptor) as connection, connection.makefile("rb") as requests:
        _send(connection, b"")
        while True:
            try:
                request: DecodeRequest = pickle.load(requests)  # noqa: S301 - from the parent
            except EOFError:
                return
            _send(connection, _reply(request))


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(HEADER.pack(len(message)))
    connection.sendall(message)


def _reply(request: DecodeRequest) -> bytes:
    import av

    function, source, plan, limits = request
    try:
        # Protocol 5 writes arrays without an extra copy.
        return pickle.dumps((OK, function(source, plan, limits)), protocol=5)
    except PostError as error:
        reply: DecodeReply = (error.reason, str(error))
    # Still a reply: the parent then replaces this process.
    except MemoryError:
        reply = (OutOfMemoryError.reason, "decoding ran out of memory")
    except av.error.FFmpegError as error:
        reply = (UnreadableError.reason, f"ffmpeg: {error.strerror}")
    return pickle.dumps(reply)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the call, which then waits for the end of another process.
    if os.getppid() != parent:
        sys.exit("the parent has ended")


def limit_memory(memory_bytes: int) -> None:
    """Limit the address space of this process to that many bytes beyond what is mapped now."""
    # Address space, because Linux enforces no limit on resident memory.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory_bytes, mapped + memory_bytes))
    # A crash would write a core file as large as the memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
