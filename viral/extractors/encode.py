"""Runs the extractors of a feature set over a batch. Backfill, training and serving all come through here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viral.errors import UsageError
from viral.extractors.extractor import Extractor, Sample, Vector


@dataclass(frozen=True)
class Encoded:
    """What the extractors made of a batch: for each sample, by the name of the extractor, vectors and errors.

    `vectors` has every extractor: None where the modality is absent or the extractor failed. `errors` has those that
    failed, with what they said in one line (the row's reason is then `ExtractorError.reason`). `seconds` is the time
    that each extractor took for the whole batch.
    """

    vectors: list[dict[str, Vector | None]]
    errors: list[dict[str, str]]
    seconds: dict[str, float]


def encode(extractors: Sequence[Extractor], samples: Sequence[Sample]) -> Encoded:
    """Run every extractor over the samples.

    An extractor that fails on a batch is asked again for each sample alone, so that one bad sample costs no other.

    Raises:
        UsageError: an extractor cannot work at all as it was asked to (missing weights, say).
    """
    encoded = Encoded([{} for _ in samples], [{} for _ in samples], {})
    for extractor in extractors:
        started = time.perf_counter()
        results = _run(extractor, samples)
        encoded.seconds[extractor.name] = time.perf_counter() - started
        for result, vectors, errors in zip(results, encoded.vectors, encoded.errors, strict=True):
            if isinstance(result, str):
                vectors[extractor.name], errors[extractor.name] = None, result
            else:
                vectors[extractor.name] = result
    return encoded


def _run(extractor: Extractor, samples: Sequence[Sample]) -> Sequence[Vector | str | None]:
    """For each sample a vector, None, or what went wrong."""
    if not samples:
        return []
    try:
        vectors = extractor(samples)
        _check(extractor, vectors, len(samples))
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library throws at a strange file costs one row, not the job
        if len(samples) == 1:
            return [_one_line(error)]
        return [result for sample in samples for result in _run(extractor, [sample])]
    return vectors


def _check(extractor: Extractor, vectors: Sequence[Vector | None], count: int) -> None:
    if len(vectors) != count:
        raise ValueError(f"{len(vectors)} vectors for {count} samples")
    for vector in vectors:
        if vector is None:
            continue
        if vector.shape != (extractor.dim,) or vector.dtype != np.float32:
            raise ValueError(f"a vector {vector.dtype} {vector.shape}, not float32 ({extractor.dim},)")
        if not np.isfinite(vector).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(vector))} values are not finite")


def _one_line(error: Exception) -> str:
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
