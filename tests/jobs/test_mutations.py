"""Odd files, and real ones that are cut, flipped, zeroed or damaged in the header: each ends as a row of the job.

`VIRAL_MUTATIONS=2000 python -m pytest tests/jobs/test_mutations.py -s` tries that many and prints their outcomes.
"""

from __future__ import annotations

import csv
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from jobs import backfill
from tests.media.test_cases import expected
from viral.config import SandboxSettings, Settings
from viral.errors import reasons
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

FILES = int(os.environ.get("VIRAL_MUTATIONS", "40"))
HEADER = 4096
SET = FeatureSet.from_dict({"name": "seen", "extractors": ["metadata", "acoustics", "craft"]})


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data)) :]


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 200)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def zero(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.randrange(1, 1 << 16))
    data[start:stop] = bytes(stop - start)


def damage_header(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 40)):
        data[rng.randrange(min(HEADER, len(data)))] = rng.randrange(256)


@pytest.mark.usefixtures("ray_session")
def test_the_odd_files_of_other_projects(tmp_path: Path, shared_data: Path) -> None:
    """Each ends as the row that tests/media/test_cases.py expects."""
    folder = shared_data / "media_cases"
    with (folder / "manifest.csv").open() as file:
        cases = {row["file"]: row for row in csv.DictReader(file)}
    store = Store.open(tmp_path)
    posts = [{"post_id": file, "source": "test", "video_uri": str(folder / file)} for file in cases]
    posts_table(store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    backfill.run(store, SET, Settings())
    rows = features_table(store, SET).read().to_pylist()
    assert len(rows) == len(cases) == 96
    assert {row["post_id"]: row["reason"] or "ok" for row in rows} == {
        file: expected(case) for file, case in cases.items()
    }


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (cut, flip, zero, damage_header)


@pytest.fixture
def sources(clips: list[Path], data_folder: Path | None) -> list[Path]:
    """Eight clips; where there are real files, eight real videos and the odd files of other projects too."""
    if data_folder is None:
        return clips[:8]
    videos = sorted((data_folder / "tiktok_videos" / "videos").glob("*.mp4"), key=lambda path: path.stat().st_size)
    cases = sorted((data_folder / "media_cases" / "files").iterdir())
    return [*clips[:8], *videos[:8], *(path for path in cases if 100 < path.stat().st_size < 1 << 20)]


@pytest.mark.usefixtures("ray_session")
def test_every_mutated_file_ends_as_a_row(tmp_path: Path, sources: list[Path]) -> None:
    posts = []
    for number in range(FILES):
        rng = random.Random(number)
        source = sources[number % len(sources)]
        data = bytearray(source.read_bytes())
        (mutate := MUTATIONS[rng.randrange(len(MUTATIONS))])(data, rng)
        path = tmp_path / f"{number}-{mutate.__name__}{source.suffix}"
        path.write_bytes(data)
        posts.append({"post_id": path.stem, "source": "test", "video_uri": str(path)})
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")
    posts_table(store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    summary = backfill.run(store, SET, Settings(sandbox=SandboxSettings(seconds=20)))
    rows = features_table(store, SET).read().to_pylist()
    assert [row["post_id"] for row in rows] == sorted(post["post_id"] for post in posts)
    assert summary.ok + summary.partial + summary.failed == FILES
    assert {row["reason"] for row in rows if row["status"] == "failed"} <= set(reasons())
    assert summary.ok and summary.failed
    print(f"{summary.ok} ok, {summary.partial} partial, {summary.failed} failed in {summary.wall_seconds:.0f} s")
    print(Counter((row["post_id"].partition("-")[2], row["status"], row["reason"]) for row in rows))
