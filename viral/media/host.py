"""The parent's side of one decoding child: starts it, sends it jobs, and names what became of them."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Pipe
from pathlib import Path
from threading import Event, Timer
from typing import Any, cast

from viral.errors import CrashedError, OutOfMemoryError, PostError, TimedOutError, ViralError
from viral.media.child import OK, Job, Reply
from viral.media.limits import Limits
from viral.media.media import Media

START_SECONDS = 120.0
"""An interpreter with numpy, PyAV and decord takes half a second; a machine under load takes its time."""

STOP_SECONDS = 5.0

ALLOWED = {
    *(("viral.media.media", name) for name in ("Media", "Facts", "FrameBatch", "ClipBatch", "Audio", "PacketTrack")),
    *(("viral.media.requests", name) for name in ("Frames", "Clips", "AudioTrack", "Packets")),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}
"""All that a reply may be made of: a decoder that was taken over must not take over the parent by a pickle."""

_ERRORS = {cls.reason: cls for cls in PostError.__subclasses__()}


class Child:
    """One child process. After `decode` raised `TimedOutError`, `CrashedError` or `OutOfMemoryError` it is `dead`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._connection, theirs = Pipe()
        with theirs:
            self._process = _start(theirs.fileno(), self._log.fileno(), limits.memory_bytes)
        self.files = 0
        if not self._connection.poll(START_SECONDS) or not self._ready():
            said = self._last_line() or "no word from it"
            self.close()
            raise ViralError(f"the decoding process does not start: {said}")

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def decode(self, job: Job) -> Media:
        """Sends a job and waits for the media.

        Raises:
            PostError: the child said so, or it hung, crashed or ran out of memory.
        """
        self.files += 1
        try:
            status, value = _loads(self._asked(pickle.dumps(job)))
        except (EOFError, OSError):  # OSError: it ended in the middle of its answer
            raise self._obituary() from None
        except PostError:
            self.kill()
            raise
        if status == OK and isinstance(value, Media):
            return value
        if status == OutOfMemoryError.reason:
            # What it could not allocate may have left its libraries in any state.
            self.kill()
        raise _ERRORS.get(status, CrashedError)(str(value))

    def _asked(self, job: bytes) -> bytes:
        """What the child answers, whole: one that stops in the middle of its answer is killed at the limit too."""
        late = Event()

        def expire() -> None:
            late.set()
            self._process.kill()

        timer = Timer(self._limits.seconds, expire)
        timer.start()
        try:
            self._connection.send_bytes(job)
            return self._connection.recv_bytes(self._limits.memory_bytes)  # it cannot hold more
        except (EOFError, OSError):  # OSError: it ended in the middle of its answer
            if not late.is_set():
                raise
            raise TimedOutError(f"decoding took longer than sandbox.seconds = {self._limits.seconds:g}") from None
        finally:
            timer.cancel()
            if late.is_set():  # also where the answer came at the last moment: it is dead for the next file
                self.kill()

    def kill(self) -> None:
        """Ends the child at once; a `decode` that waits for it in another thread then raises."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends the child and lets go of all that it held; nothing may wait for it any more."""
        self.kill()
        self._connection.close()
        self._log.close()

    def _ready(self) -> bool:
        try:
            self._connection.recv_bytes()
        except (EOFError, OSError):
            return False
        return True

    def _obituary(self) -> PostError:
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return CrashedError("the decoding process hung up without ending")
        said = self._last_line()
        if "bad_alloc" in said or "MemoryError" in said or "allocate memory" in said:
            return OutOfMemoryError(f"decoding ran out of memory: {said}")
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return CrashedError(f"the decoding process died of {how}" + (f": {said}" if said else ""))

    def _last_line(self) -> str:
        size = self._log.seek(0, io.SEEK_END)
        self._log.seek(max(0, size - 4096))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


SECRETS = ("AWS_", "VIRAL_", "RAY_")
"""What a process that decodes strangers' files has no use for begins so: credentials, keys, tokens."""


def _start(descriptor: int, log: int, memory_bytes: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-P", "-m", "viral.media.child", *map(str, (descriptor, os.getpid(), memory_bytes))]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(SECRETS)},
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        # Each arena reserves 64 MiB of the address space that the child is limited to.
        "MALLOC_ARENA_MAX": "2",
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


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise CrashedError(f"the decoding process answered with {module}.{name}")
        return super().find_class(module, name)


def _loads(answer: bytes) -> Reply:
    try:
        return cast("Reply", _Unpickler(io.BytesIO(answer)).load())
    except PostError:
        raise
    except Exception as error:  # bytes that are no pickle of ours raise whatever they like
        raise CrashedError(f"the decoding process answered with nonsense: {type(error).__name__}") from error
