"""The local files of a post: its video, or the pictures and the sound of a photo set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from viral.errors import AccessDeniedError, MissingObjectError, PostError, TooLargeError
from viral.features.access import AccessGuard
from viral.features.posts import ExtractionRequest
from viral.media.locate import local_video
from viral.media.photo_set import PhotoSet
from viral.storage.store import Store

MAX_SLIDES = 200  # TikTok takes 35; at 3 s per slide, 200 reach media.max_seconds


class PostFiles:
    """Provides the files of posts as local files. Thread-safe.

    Args:
        store: root of the files.
        max_bytes: limit on each file.
    """

    def __init__(self, store: Store, max_bytes: int) -> None:
        self._store, self._max_bytes = store, max_bytes
        self._access = AccessGuard(store)

    @contextmanager
    def local(self, request: ExtractionRequest) -> Iterator[str | PhotoSet]:
        """Provide the path of a video, or a photo set, until the end of the block.

        Raises:
            PostError: the video or all slides cannot be read, or one slide cannot but perhaps can later.
            StorageError: no file can be read.
        """
        with ExitStack() as stack:
            if request.slides is None:
                yield str(self._open(stack, request.video_uri))
            else:
                yield self._photo_set(stack, request.slides, request.sound_uri)

    def _open(self, stack: ExitStack, uri: str | None) -> Path:
        try:
            path = stack.enter_context(local_video(self._store, uri, self._max_bytes))
        except AccessDeniedError as error:
            self._access.denied(uri or "", error)
            raise
        # A success ends the count of denials in a row, and gives the guard a file to test storage with.
        self._access.read(uri or "")
        return path

    def _photo_set(self, stack: ExitStack, uris: Sequence[str], sound_uri: str | None) -> PhotoSet:
        if not uris:
            raise MissingObjectError("the photo set has no slides")
        if len(uris) > MAX_SLIDES:
            raise TooLargeError(f"the photo set has {len(uris)} slides, more than {MAX_SLIDES}")
        errors: dict[str, PostError] = {}
        slides = [self._path(stack, uri, f"slide {number}", errors) for number, uri in enumerate(uris, 1)]
        # Without any slide there is nothing to show: the first error names why.
        if not any(slides):
            name, error = next(iter(errors.items()))
            raise type(error)(f"{name}: {error}")
        sound = self._path(stack, sound_uri, "sound", errors) if sound_uri else None
        notes = tuple(f"{name}: {error}" for name, error in errors.items())
        return PhotoSet(tuple(slides), sound, sound_missing=bool(sound_uri) and sound is None, notes=notes)

    def _path(self, stack: ExitStack, uri: str, name: str, errors: dict[str, PostError]) -> str | None:
        """Path of a file; None, with the error, if it is missing or too large."""
        try:
            return str(self._open(stack, uri))
        # Facts about the file, which stay. Other errors may pass, and fail the whole post, so that it can be retried.
        except (MissingObjectError, TooLargeError) as error:
            errors[name] = error
            return None
