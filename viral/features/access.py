"""Denied videos: one that is private, or storage that no longer lets this run in."""

from __future__ import annotations

from threading import Lock

from viral.errors import AccessDeniedError, StorageError
from viral.media.locate import is_readable
from viral.storage.store import Store

# Denials, with no video read in between, that stop the run: more than private videos have among a scrape's.
MAX_DENIALS = 10


class AccessGuard:
    """Stops a run whose videos are denied for its own reasons, so that no post is marked for them.

    After each denial it reads again what could be read before: the last video of the same bucket or, before the first
    one, the tables of the root. Thread-safe.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._readable: dict[str, str] = {}
        self._denials: dict[str, int] = {}
        self._lock = Lock()

    def read(self, uri: str) -> None:
        """Record that a video was read."""
        with self._lock:
            self._readable[_place(uri)] = uri
            # Only denials in a row count.
            self._denials.pop(_place(uri), None)

    def denied(self, uri: str, error: AccessDeniedError) -> None:
        """Record that a video was denied.

        Raises:
            StorageError: the denial is not about this video alone.
        """
        with self._lock:
            # The test reads storage: not under the lock, where it would hold up the other thread.
            readable = self._readable.get(_place(uri))
            self._denials[_place(uri)] = denials = self._denials.get(_place(uri), 0) + 1
        if readable and is_readable(self.store, readable):
            return
        if readable:
            raise StorageError(
                f"{error}, and so is {readable}, which could be read before: renew the credentials or the permissions "
                "and run the same command again"
            ) from error
        # Nothing could be read yet: the run may still have been denied from its start.
        next(self.store.objects("posts"), None)  # raises StorageError if the root is denied, too
        if denials >= MAX_DENIALS:
            raise StorageError(
                f"{error}, like the {denials - 1} videos before: correct the credentials or the permissions and run "
                f"the same command again, with --retry-failed --reason {AccessDeniedError.reason} for those"
            ) from error


def _place(uri: str) -> str:
    """The bucket of an object; empty for a file or a key below the root."""
    # Buckets have their own permissions: a denial in one says nothing about another.
    return uri.split("/")[2] if uri.startswith("s3://") else ""
