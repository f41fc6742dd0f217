"""Runs the extractors of a feature set over a batch. Backfill, training and serving all come through here."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from viral.errors import UsageError
from viral.extractors.extractor import Answer, Extractor, Sample, Told, Vector


@dataclass(frozen=True)
class Encoded:
    """What the extractors made of a batch: for each sample, by the name of the extractor, vectors, notes and errors.

    `vectors` has every extractor: None where the modality is absent or the extractor failed. `errors` has those that
    failed, with what they said in one line (the row's reason is then `ExtractorError.reason`). `notes` has those that
    said something, as compact JSON with its keys in order. `seconds` is the time that each extractor took for the
    whole batch.
    """

    vectors: list[dict[str, Vector | None]]
    notes: list[dict[str, str]]
    errors: list[dict[str, str]]
    seconds: dict[str, float]


def encode(extractors: Sequence[Extractor], samples: Sequence[Sample]) -> Encoded:
    """Run every extractor over the samples.

    An extractor that fails on a batch is asked again for each sample alone, so that one bad sample costs no other.

    Raises:
        UsageError: an extractor cannot work at all as it was asked to (missing weights, say).
    """
    encoded = Encoded([{} for _ in samples], [{} for _ in samples], [{} for _ in samples], {})
    for extractor in extractors:
        started = time.perf_counter()
        results = _run(extractor, samples)
        encoded.seconds[extractor.name] = time.perf_counter() - started
        for place, result in enumerate(results):
            encoded.vectors[place][extractor.name] = result.vector
            if result.note is not None:
                encoded.notes[place][extractor.name] = result.note
            if result.error is not None:
                encoded.errors[place][extractor.name] = result.error
    return encoded


@dataclass(frozen=True)
class _Result:
    """A checked answer, with its note as JSON, or what went wrong."""

    vector: Vector | None = None
    note: str | None = None
    error: str | None = None


def _run(extractor: Extractor, samples: Sequence[Sample]) -> list[_Result]:
    if not samples:
        return []
    try:
        answers = extractor(samples)
        if len(answers) != len(samples):
            raise ValueError(f"{len(answers)} vectors for {len(samples)} samples")
        return [_checked(extractor, answer) for answer in answers]
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library throws at a strange file costs one row, not the job
        if len(samples) == 1:
            return [_Result(error=_one_line(error))]
        return [result for sample in samples for result in _run(extractor, [sample])]


def _checked(extractor: Extractor, answer: Answer) -> _Result:
    if answer is None:
        return _Result()
    if isinstance(answer, Told) != extractor.tells:
        raise ValueError(f"{'a' if isinstance(answer, Told) else 'no'} note where its spec says otherwise")
    vector = answer.vector if isinstance(answer, Told) else answer
    if vector.shape != (extractor.dim,) or vector.dtype != np.float32:
        raise ValueError(f"a vector {vector.dtype} {vector.shape}, not float32 ({extractor.dim},)")
    if not np.isfinite(vector).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(vector))} values are not finite")
    return _Result(vector, _written(answer.note) if isinstance(answer, Told) else None)


def _written(note: Mapping[str, Any]) -> str:
    """The note as JSON. Raises ValueError or TypeError where JSON or UTF-8 cannot hold it."""
    text = json.dumps(note, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()
    return text


def _one_line(error: Exception) -> str:
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
