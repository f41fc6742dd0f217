"""The store and its tables behind a proxy with faults; tests/cluster/test_local_cluster.py runs jobs behind it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from jobs import backfill
from tests.shared_ray import free_port
from viral.config import Settings
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import features_table
from viral.media.locate import local_video
from viral.storage import s3
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

SET = FeatureSet.from_dict({"name": "mini", "extractors": ["metadata", "craft"]})  # without torch: it starts sooner
SCHEMA = pa.schema([pa.field("post_id", pa.string(), nullable=False), pa.field("version", pa.int64())])


@pytest.fixture
def faulty(
    s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """The S3 server through the proxy; the file that names the faults that were dealt out, one request in ten."""
    s3.client().create_bucket(Bucket=(bucket := f"faulty-{uuid.uuid4().hex[:8]}"))
    port = free_port()
    log, every = tmp_path / "faults.log", str(getattr(request, "param", 10))
    command = [sys.executable, "-m", "cluster.local.fault_proxy", f"127.0.0.1:{port}", urlsplit(s3_server).netloc]
    command += [every, str(tmp_path / "denied")]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output) as proxy:
        try:
            _wait(port)
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("FAULTY_BUCKET", bucket)
            yield log
        finally:
            proxy.terminate()


WITHOUT_FAULTS = pytest.mark.parametrize("faulty", [10**9], indirect=True)


@pytest.fixture
def root(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty root behind the proxy."""
    return f"s3://{os.environ['FAULTY_BUCKET']}/root"


@pytest.mark.slow
def test_tables_are_right_whatever_goes_wrong(root: str, faulty: Path) -> None:
    table = BucketedTable(Store.open(root), "posts", SCHEMA, key="post_id", newest_by="version")
    expected = {}
    for version in range(25):
        rows = {f"post {number}": version for number in range(version, version + 40)}
        expected |= rows
        new = pa.table({"post_id": list(rows), "version": list(rows.values())}, schema=SCHEMA)
        if version % 2:
            table.append(new, 0)
        else:
            table.merge(new, 0, 0)
    assert dict(zip(*table.read().to_pydict().values(), strict=True)) == expected
    assert len(faulty.read_text().splitlines()) >= 10


def test_objects_come_whole_or_not_at_all(root: str, faulty: Path, tmp_path: Path) -> None:
    store, big = Store.open(root), tmp_path / "big"
    big.write_bytes(bytes(range(256)) * 50_000)
    store.upload(big, "big")
    for number in range(10):
        store.write(f"small/{number}", bytes([number]) * 1000)
        with local_video(store, "big", 1 << 30) as path:
            assert path.read_bytes() == big.read_bytes()
    assert sorted(info.key for info in store.objects("small")) == sorted(f"small/{number}" for number in range(10))
    assert all(store.read(f"small/{number}") == bytes([number]) * 1000 for number in range(10))
    assert any("GET" in line for line in faulty.read_text().splitlines())


def _wait(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the proxy does not answer")


@pytest.mark.slow
@WITHOUT_FAULTS
def test_credentials_that_expire_stop_a_backfill_and_mark_no_post(
    ray_session: None, root: str, faulty: Path, tmp_path: Path, clips: list[Path]
) -> None:
    store, denied = Store.open(root), tmp_path / "denied"
    (tmp_path / "set.yaml").write_text(json.dumps(SET.to_dict()))
    for number, video in enumerate(clips[:4]):
        store.upload(video, f"videos/{number}.mp4")
    posts = [
        {"post_id": f"{number}", "source": "test", "video_uri": f"videos/{number % 4}.mp4"} for number in range(48)
    ]
    posts_table(store).append(pa.Table.from_pylist(posts, schema=POSTS), 0)
    command = [str(Path(sys.executable).with_name("viral")), "backfill", "--root", store.root, "--json"]
    command += ["--feature-set", str(tmp_path / "set.yaml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        until = time.monotonic() + 280
        while features_table(store, SET).stored_rows() < 4 and time.monotonic() < until:
            time.sleep(0.1)
        denied.write_text("AccessDenied")  # the least that a storage says; tests of `local_video` have other codes
        output, errors = running.communicate(timeout=200)
    denied.unlink()
    assert (running.returncode, output) == (2, ""), errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1, errors
    assert "renew the credentials" in errors
    rows = features_table(store, SET).read()
    print(f"{rows.num_rows} of 48 posts were done when the storage began to deny")
    assert 4 <= rows.num_rows < 48
    assert set(rows["status"].to_pylist()) == {"ok"}
    again = backfill.run(store, SET, Settings())
    assert (again.ok, again.done_before) == (48 - rows.num_rows, rows.num_rows)
