"""Vectors of videos that an ingress replica has seen: a known video is neither decoded nor encoded again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace

from viral.errors import ExtractorError
from viral.features.posts import ExtractionResult

OVERHEAD = 2048  # bytes of an entry besides its vectors and notes: facts, names and the tables themselves

Key = tuple[str, str]
"""SHA-256 of a file and fingerprint of a feature set."""


class VectorCache:
    """Keeps what depends on a file alone, up to a number of bytes; the entries used longest ago go first.

    The caption and the author change a score, so their vectors are not kept.

    Args:
        max_bytes: limit on all entries.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._entries: OrderedDict[Key, ExtractionResult] = OrderedDict()

    def get(self, key: Key) -> ExtractionResult | None:
        """Return the result of a file, with the vectors that depend on nothing else."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Key, result: ExtractionResult, extractors: Collection[str]) -> None:
        """Keep the vectors and notes of `extractors`, unless one of them failed or the file could not be read."""
        # What went wrong in this request may go well in the next.
        if result.status == "failed" or result.reason == ExtractorError.reason or key in self._entries:
            return
        vectors = {name: vector for name, vector in result.vectors.items() if name in extractors}
        notes = {name: note for name, note in result.notes.items() if name in extractors}
        # Whoever gets the kept vectors has not spent the seconds that they took.
        kept = replace(result, vectors=vectors, notes=notes, stage_seconds={})
        self._entries[key] = kept
        self._bytes += _size(kept)
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._entries.popitem(last=False)[1])


def _size(result: ExtractionResult) -> int:
    vectors = sum(vector.nbytes for vector in result.vectors.values() if vector is not None)
    return OVERHEAD + vectors + sum(len(note) for note in result.notes.values())
