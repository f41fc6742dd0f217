"""Run the extractors of a feature set over a batch, in backfill, training and serving alike."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from viral.errors import UsageError
from viral.extractors.extractor import Extractor, ExtractorOutput, PostInput, Vector, VectorWithNote


@dataclass(frozen=True)
class EncodedBatch:
    """Results of a batch: per post, vectors, notes and errors by extractor name.

    Attributes:
        vectors: vector of every extractor; None if the modality is absent or the extractor failed.
        notes: notes of the extractors that returned one, as compact JSON with sorted keys.
        errors: one-line messages of the extractors that failed (the row's reason is `ExtractorError.reason`).
        seconds: time per extractor for the whole batch.
    """

    vectors: list[dict[str, Vector | None]]
    notes: list[dict[str, str]]
    errors: list[dict[str, str]]
    seconds: dict[str, float]


def encode(extractors: Sequence[Extractor], posts: Sequence[PostInput]) -> EncodedBatch:
    """Run every extractor over the posts.

    If an extractor fails on the batch, it runs again on each post alone, so one bad post does not affect the others.
    If the memory of a GPU does not suffice, it runs on halves, until a single post does not fit: that one fails.

    Raises:
        UsageError: an extractor cannot work at all (for example, its weights are missing).
    """
    encoded = EncodedBatch([{} for _ in posts], [{} for _ in posts], [{} for _ in posts], {})
    for extractor in extractors:
        started = time.perf_counter()
        results = _run(extractor, posts)
        encoded.seconds[extractor.name] = time.perf_counter() - started
        for i, result in enumerate(results):
            encoded.vectors[i][extractor.name] = result.vector
            if result.note is not None:
                encoded.notes[i][extractor.name] = result.note
            if result.error is not None:
                encoded.errors[i][extractor.name] = result.error
    return encoded


@dataclass(frozen=True)
class _Result:
    """A validated vector with its note as JSON, or an error message."""

    vector: Vector | None = None
    note: str | None = None
    error: str | None = None


def _run(extractor: Extractor, posts: Sequence[PostInput]) -> list[_Result]:
    if not posts:
        return []
    results, parts = _attempt(extractor, posts)
    # Here, not where the error is handled: its frames hold the tensors of the batch that did not fit.
    return results + [result for part in parts for result in _run(extractor, part)]


def _attempt(extractor: Extractor, posts: Sequence[PostInput]) -> tuple[list[_Result], Sequence[Sequence[PostInput]]]:
    """Run an extractor once; return the results, or the parts of the batch on which to run it again."""
    try:
        outputs = extractor(posts)
        if len(outputs) != len(posts):
            raise ValueError(f"{len(outputs)} vectors for {len(posts)} posts")
        return [_validate(extractor, output) for output in outputs], ()
    # Not the post's fault: missing weights, for example, end the run.
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - a library may raise anything on a strange file; it costs one row
        if len(posts) == 1:
            return [_Result(error=_one_line(error))], ()
        if _is_out_of_memory(error):
            half = len(posts) // 2
            return [], (posts[:half], posts[half:])
        # Once more, post by post: only the post that the extractor fails on goes without its vector.
        return [], [[post] for post in posts]


def _is_out_of_memory(error: Exception) -> bool:
    """Whether the memory of a GPU did not suffice. PyTorch frees what it has cached there before it raises that."""
    torch = sys.modules.get("torch")  # what was not imported has raised nothing
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _validate(extractor: Extractor, output: ExtractorOutput) -> _Result:
    if output is None:
        return _Result()
    vector, note = (output.vector, output.note) if isinstance(output, VectorWithNote) else (output, None)
    if (note is not None) != extractor.has_note:
        raise ValueError(f"{'no' if note is None else 'a'} note, contrary to its spec")
    if vector.shape != (extractor.dim,) or vector.dtype != np.float32:
        raise ValueError(f"a vector {vector.dtype} {vector.shape}, not float32 ({extractor.dim},)")
    # A single NaN would spread to every weight in training.
    if not np.isfinite(vector).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(vector))} values are not finite")
    return _Result(vector, None if note is None else _to_json(note))


def _to_json(note: Mapping[str, Any]) -> str:
    """Serialise a note. Raises ValueError or TypeError if JSON or UTF-8 cannot represent it."""
    text = json.dumps(note, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()
    return text


def _one_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
