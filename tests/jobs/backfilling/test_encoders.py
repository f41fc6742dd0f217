"""How many workers encode, by what earlier runs have taken."""

from __future__ import annotations

import pytest

from jobs.backfilling.shapes import num_encoders
from jobs.backfilling.stages import BackfillSpec
from jobs.backfilling.summary import BackfillSummary
from viral.config import BackfillSettings, Settings
from viral.extractors.feature_set import FeatureSet
from viral.storage.store import Store
from viral.tables.run_log import record_run

SET = FeatureSet.from_dict({"name": "small", "extractors": ["metadata", "craft"]})


def spec(store: Store, encoders: int | None = None) -> BackfillSpec:
    return BackfillSpec(store, SET, Settings(backfill=BackfillSettings(encoders=encoders)), None, 0)


def ran(store: Store, table: str, gpus: int, **seconds: float) -> None:
    record_run(store, "backfill", lambda _: BackfillSummary(table, gpus=gpus, stage_seconds=dict(seconds)))


@pytest.mark.parametrize(("workers", "gpus", "expected"), [(8, 0, 4), (8, 2, 2), (2, 0, 1), (1, 0, 1), (4, 8, 3)])
def test_without_an_earlier_run_half_or_one_per_gpu(
    folder_store: Store, workers: int, gpus: int, expected: int
) -> None:
    ran(folder_store, "features/other", gpus, decode=1.0, craft=9.0)
    ran(folder_store, SET.table, 1 - min(gpus, 1), decode=1.0, craft=9.0)  # on GPUs, or without: not this time
    ran(folder_store, SET.table, gpus)  # nothing was pending
    assert num_encoders(spec(folder_store), workers, gpus) == expected


@pytest.mark.parametrize(
    ("workers", "gpus", "expected"), [(8, 0, 2), (100, 0, 25), (2, 0, 1), (16, 8, 4), (17, 8, 5), (64, 8, 8)]
)
def test_as_many_as_keep_pace(folder_store: Store, workers: int, gpus: int, expected: int) -> None:
    for decode, craft in ((4.0, 2.0), (1.0, 0.5)):
        ran(folder_store, SET.table, gpus, read=0.5 * decode, decode=decode, craft=craft)
    assert num_encoders(spec(folder_store), workers, gpus) == expected
    assert num_encoders(spec(folder_store, encoders=1), workers, gpus) == 1
