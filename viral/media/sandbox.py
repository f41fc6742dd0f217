"""Decoding of untrusted files in a child process that may crash, hang or exhaust its memory."""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, cast

from viral.errors import CrashedError, OutOfMemoryError, PostError, TimedOutError, ViralError
from viral.media.child import HEADER, OK, Decoder, DecodeReply, DecodeRequest
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.photo_set import PhotoSet
from viral.media.plan import SamplingPlan

# An interpreter with numpy, PyAV and decord starts in half a second; a machine under load may take far longer.
START_SECONDS = 120.0

# Limit between the end of the connection and that of the process: only clean-up by the kernel happens in between.
STOP_SECONDS = 5.0

# The only classes and functions that the pickle of a reply may name: a decoder that a hostile file has taken over must
# not run code in the parent.
ALLOWED = {
    *(("viral.media.media", name) for name in ("Media", "Facts", "FrameBatch", "ClipBatch", "Audio", "PacketTrack")),
    *(("viral.media.requests", name) for name in ("Frames", "Clips", "AudioTrack", "Packets")),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}

# The only environment variables that the child inherits: a decoder that a hostile file has taken over must find no
# credentials.
CHILD_ENVIRONMENT = (
    *("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
)

_ERRORS = {cls.reason: cls for cls in PostError.__subclasses__()}


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    connection: socket.socket
    log: IO[bytes]  # standard error


class Sandbox:
    """A child process that decodes files, one at a time, within limits on time and memory.

    If a file crashes, hangs or exhausts the child, only that file fails: the next `decode` starts a new child. A child
    is also replaced after `recycle_after` files. The kernel kills it when the thread that started it ends.

    Not thread-safe: call `decode` from one thread at a time. Only `kill` may be called while it runs.

    Args:
        limits: limits per file.
        function: decodes a file; the child imports it by name.
    """

    def __init__(self, limits: MediaLimits, *, function: Decoder = decode) -> None:
        self._limits, self._function = limits, function
        self._child: _Child | None = None
        self._files = 0
        self._closed = False

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def decode(self, source: str | PhotoSet, plan: SamplingPlan) -> Media:
        """Decode a local file or photo set in the child.

        Raises:
            PostError: the file cannot be used or exceeds a limit; the class says which.
            ViralError: the child process cannot be started.
        """
        child = self._ready_child()
        self._files += 1
        request: DecodeRequest = (self._function, source, plan, self._limits)
        deadline = time.monotonic() + self._limits.seconds
        try:
            child.connection.settimeout(self._limits.seconds)
            child.connection.sendall(pickle.dumps(request))
            status, value = _loads(_receive(child.connection, self._limits.memory_bytes, deadline))
        # Before OSError, of which it is a subclass.
        except TimeoutError:
            self._stop()
            raise TimedOutError(f"decoding took longer than sandbox.seconds = {self._limits.seconds:g}") from None
        except (EOFError, OSError):  # the child ended before its reply was complete
            error = _cause_of_death(child)
            self._stop()
            raise error from None
        except PostError:  # the reply is malformed
            self._stop()
            raise
        if status == OK and isinstance(value, Media):
            return value
        if status == OutOfMemoryError.reason:
            self._stop()  # a failed allocation may leave the child's libraries in any state
        raise _ERRORS.get(status, CrashedError)(str(value))

    def kill(self) -> None:
        """Kill the child and prevent new ones; a `decode` running in another thread raises `CrashedError`."""
        self._closed = True
        if child := self._child:
            child.process.kill()

    def close(self) -> None:
        """Kill the child and free its resources. Must not be called while `decode` runs."""
        self.kill()
        self._stop()

    def _ready_child(self) -> _Child:
        if self._child and (self._child.process.poll() is not None or self._files >= self._limits.recycle_after):
            self._stop()
        return self._child or self._start()

    def _start(self) -> _Child:
        connection, child_end = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_stop`
        with child_end:
            # The child inherits its end of the pair by number; the parent closes its copy, so that it notices the
            # child's end.
            process = spawn("viral.media.child", child_end.fileno(), log.fileno(), self._limits.memory_bytes)
        # Set before the child is ready, so that `kill` in another thread finds it.
        child = self._child = _Child(process, connection, log)
        self._files = 0
        if self._closed:  # by `kill` in another thread, which may have missed this child
            process.kill()
        try:
            _receive(connection, 0, time.monotonic() + START_SECONDS)
        except (EOFError, OSError):
            message = last_line(log) or "it wrote no message"
            self._stop()
            raise ViralError(f"the decoding process does not start: {message}") from None
        return child

    def _stop(self) -> None:
        if self._child:
            self._child.process.kill()
            self._child.process.wait()
            self._child.connection.close()
            self._child.log.close()
            self._child = None


def spawn(module: str, descriptor: int, log: int, memory_bytes: int) -> subprocess.Popen[bytes]:
    """Start a module as a child process without credentials; its `main` takes descriptor, parent and memory limit."""
    # -P: a file in the working directory, `numpy.py` for example, must not shadow a module.
    arguments = [sys.executable, "-P", "-m", module, *map(str, (descriptor, os.getpid(), memory_bytes))]
    environment = {
        **{name: os.environ[name] for name in CHILD_ENVIRONMENT if name in os.environ},
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "MALLOC_ARENA_MAX": "2",  # each arena reserves 64 MiB of the child's limited address space
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        pass_fds=[descriptor],
        env=environment,
    )


def _receive(connection: socket.socket, max_bytes: int, deadline: float) -> io.BytesIO:
    """Receive a message from the child before the deadline."""
    (size,) = HEADER.unpack(_receive_exactly(connection, HEADER.size, deadline).getbuffer())
    if size > max_bytes:  # more than the child's memory can hold
        raise CrashedError(f"the decoding process announced a reply of {size} bytes")
    return _receive_exactly(connection, size, deadline)


def _receive_exactly(connection: socket.socket, size: int, deadline: float) -> io.BytesIO:
    message = io.BytesIO(bytes(size))  # filled and unpickled in place: a copy would cost several MB
    remaining = message.getbuffer()
    while remaining:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        connection.settimeout(seconds)
        received = connection.recv_into(remaining)
        if not received:
            raise EOFError
        remaining = remaining[received:]
    return message


def _cause_of_death(child: _Child) -> PostError:
    try:
        code = child.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return CrashedError("the decoding process closed its connection but did not exit")
    message = last_line(child.log)
    # C++, Python and ffmpeg each have their own words for it.
    if "bad_alloc" in message or "MemoryError" in message or "allocate memory" in message:
        return OutOfMemoryError(f"decoding ran out of memory: {message}")
    cause = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    return CrashedError(f"the decoding process ended with {cause}" + (f": {message}" if message else ""))


def last_line(log: IO[bytes]) -> str:
    """Return the end of what a child process wrote."""
    size = log.seek(0, io.SEEK_END)
    log.seek(max(0, size - 4096))  # enough for the last line of a traceback
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else ""  # short enough for the detail of a failed row


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function of `ALLOWED`. Raises CrashedError for any other."""
        if (module, name) not in ALLOWED:
            raise CrashedError(f"the reply of the decoding process names {module}.{name}")
        return super().find_class(module, name)


def _loads(reply: io.BytesIO) -> DecodeReply:
    try:
        status, value = _Unpickler(reply).load()
        return cast("DecodeReply", (str(status), value))
    except PostError:
        raise
    except Exception as error:  # malformed pickles raise exceptions of many types
        raise CrashedError(f"the reply of the decoding process is malformed: {type(error).__name__}") from error
