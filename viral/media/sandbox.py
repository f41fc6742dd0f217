"""Decoding of untrusted files in child processes that may crash, hang or eat memory without harm to the parent."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from types import TracebackType

from viral.media.child import Decoder
from viral.media.decode import decode
from viral.media.host import Child
from viral.media.limits import Limits
from viral.media.media import Media
from viral.media.plan import Plan


class Sandbox:
    """Decodes files in `workers` child processes, each with a time and a memory limit.

    A child that crashes, hangs or runs out of memory costs the file that it was at; the next file gets a new child.
    Children end when the sandbox is closed, and with the parent however it ends.

    Args:
        limits: what one file may cost.
        workers: how many files are decoded at once; each child uses about one core.
        function: what decodes; a function of a module that the children can import.
    """

    def __init__(self, limits: Limits, workers: int = 1, *, function: Decoder = decode) -> None:
        if workers < 1:
            raise ValueError(f"a sandbox needs at least one worker, not {workers}")
        self._limits, self._function = limits, function
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        self._lock = Lock()
        self._closed = False
        self._children: set[Child] = set()
        self._idle: SimpleQueue[Child | None] = SimpleQueue()
        for _ in range(workers):
            self._idle.put(None)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, path: str, plan: Plan) -> Future[Media]:
        """Begins to decode a local file; the future raises what `decode` would."""
        return self._threads.submit(self._run, path, plan)

    def decode(self, path: str, plan: Plan) -> Media:
        """Decodes a local file in a child.

        Raises:
            PostError: the file cannot be used, or a limit was hit; the class says why.
            ViralError: no child can be started.
        """
        return self.submit(path, plan).result()

    def close(self) -> None:
        """Ends all children, also those at work; what was submitted and has not begun is cancelled."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.close()

    def _run(self, path: str, plan: Plan) -> Media:
        child = self._idle.get()
        try:
            if child is None:
                child = self._start()
            return child.decode((self._function, path, plan, self._limits))
        finally:
            self._idle.put(self._kept(child))

    def _start(self) -> Child:
        child = Child(self._limits)
        with self._lock:
            self._children.add(child)
            closed = self._closed
        if closed:
            child.kill()
        return child

    def _kept(self, child: Child | None) -> Child | None:
        """The child, unless it is at its end."""
        if child is None:
            return None
        if not child.dead and child.files < self._limits.recycle_after:
            return child
        with self._lock:
            self._children.discard(child)
        child.close()
        return None
