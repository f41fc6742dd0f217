"""Odd files, and real ones cut, flipped, zeroed or damaged at the head: each ends as a row of a job that ends well.

`VIRAL_MUTATIONS=2000 python -m pytest tests/jobs/test_mutations.py -s` tries so many and counts what became of them.
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

MUTATIONS = int(os.environ.get("VIRAL_MUTATIONS", "40"))
HEADER = 4096
SET = FeatureSet.from_dict({"name": "seen", "extractors": ["metadata", "acoustics", "craft"]})


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randrange(1, 200)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def zero(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    stop = min(len(data), start + chance.randrange(1, 1 << 16))
    data[start:stop] = bytes(stop - start)


def damage_header(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randrange(1, 40)):
        data[chance.randrange(min(HEADER, len(data)))] = chance.randrange(256)


@pytest.mark.usefixtures("ray_session")
def test_the_odd_files_of_other_projects(tmp_path: Path, shared_data: Path) -> None:
    """As a row of the job each is what tests/media/test_cases.py says of it."""
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


WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (cut, flip, zero, damage_header)


@pytest.mark.usefixtures("ray_session")
def test_every_one_ends_as_a_row(tmp_path: Path, shared_data: Path) -> None:
    videos = sorted((shared_data / "tiktok_videos" / "videos").glob("*.mp4"), key=lambda path: path.stat().st_size)
    cases = sorted(
        path for path in (shared_data / "media_cases" / "files").iterdir() if 100 < path.stat().st_size < 1 << 20
    )
    sources, posts = [*videos[:8], *cases], []
    for number in range(MUTATIONS):
        chance = random.Random(number)
        source = sources[number % len(sources)]
        data = bytearray(source.read_bytes())
        (way := WAYS[chance.randrange(len(WAYS))])(data, chance)
        path = tmp_path / f"{number}-{way.__name__}{source.suffix}"
        path.write_bytes(data)
        posts.append({"post_id": path.stem, "source": "test", "video_uri": str(path)})
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")
    posts_table(store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    said = backfill.run(store, SET, Settings(sandbox=SandboxSettings(seconds=20)))
    rows = features_table(store, SET).read().to_pylist()
    assert [row["post_id"] for row in rows] == sorted(post["post_id"] for post in posts)
    assert said.ok + said.partial + said.failed == MUTATIONS
    assert {row["reason"] for row in rows if row["status"] == "failed"} <= set(reasons())
    assert said.ok and said.failed
    print(f"{said.ok} ok, {said.partial} partial, {said.failed} failed in {said.wall_seconds:.0f} s")
    print(Counter((row["post_id"].partition("-")[2], row["status"], row["reason"]) for row in rows))
