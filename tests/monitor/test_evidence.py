"""Evidence: written once, exported, verified anywhere, refused when it was changed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import Viral
from tests.monitor.tsa import make_certificates, stamping
from viral.errors import ConfigError, UsageError
from viral.monitor.archive import export_bundle, verify_archive
from viral.monitor.evidence import (
    MANIFEST,
    STAMP,
    EvidenceBundle,
    EvidenceFrame,
    add_stamp,
    bundle_prefix,
    delete_bundle,
    read_bundle,
    write_bundle,
)
from viral.monitor.provenance import c2pa_box, read_c2pa
from viral.monitor.timestamping import request_stamp
from viral.storage.store import Store
from viral.tables.sightings import POSSIBLE, SIGHTINGS, sighting_id, sightings_table

ID = sighting_id("flag", "7264386992404696363")
IMAGE = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
FRAMES = [EvidenceFrame(1.2, 0.9, IMAGE), EvidenceFrame(1.4, 0.8, 255 - IMAGE)]
EVIDENCE = EvidenceBundle(
    ID, {"target": "flag", "model": "flag/1"}, {"id": "7264386992404696363", "desc": "été 漢"}, FRAMES
)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def archive(folder_store: Store, tmp_path: Path) -> Path:
    write_bundle(folder_store, EVIDENCE)
    export_bundle(folder_store, ID, tmp_path / "evidence.zip")
    return tmp_path / "evidence.zip"


def record(store: Store, digest: str) -> None:
    """The sighting of the bundle, as the watch stores it."""
    row = {
        "sighting_id": ID,
        "target": "flag",
        "model": "flag/1",
        "post_id": "7264386992404696363",
        "confidence": 0.9,
        "start_seconds": 1.2,
        "peak_seconds": 1.2,
        "sha256": "0" * 64,
        "alert_id": ID,
        "evidence_sha256": digest,
        "retain_until": NOW + timedelta(days=1),
        "status": POSSIBLE,
        "detected_at": NOW,
        "updated_at": NOW,
    }
    sightings_table(store).append(pa.Table.from_pylist([row], schema=SIGHTINGS), 0)


def changed(archive: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """A copy of an archive with other files."""
    with zipfile.ZipFile(archive) as file:
        files = {name: file.read(name) for name in file.namelist()}
    change(files)
    with zipfile.ZipFile(archive.with_name("changed.zip"), "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return archive.with_name("changed.zip")


def rewrite(files: dict[str, bytes]) -> None:
    """Change a file and the manifest with it, as a careful forger does."""
    manifest = json.loads(files[MANIFEST])
    files["post.json"] = b"{}"
    manifest["files"]["post.json"]["sha256"] = hashlib.sha256(b"{}").hexdigest()
    files[MANIFEST] = json.dumps(manifest).encode()


def test_a_bundle_is_written_once_and_holds_the_frames(any_store: Store) -> None:
    digest = write_bundle(any_store, EVIDENCE)
    again = EvidenceBundle(ID, {"target": "flag", "model": "flag/2"}, {}, FRAMES[:1])
    assert write_bundle(any_store, again) == digest, "the first evidence stays"
    files = read_bundle(any_store, ID)
    manifest = json.loads(files[MANIFEST])
    assert [frame["seconds"] for frame in manifest["frames"]] == [1.2, 1.4]
    assert manifest["model"] == "flag/1" and manifest["notice"].startswith("Possible match, verify")
    from PIL import Image

    with any_store.open_input(f"{bundle_prefix(ID)}/{manifest['frames'][1]['file']}") as file:
        assert (np.asarray(Image.open(file)) == 255 - IMAGE).all()
    delete_bundle(any_store, ID)
    assert list(any_store.objects(bundle_prefix(ID))) == []
    with pytest.raises(UsageError, match="there is no evidence"):
        read_bundle(any_store, ID)


def test_an_interrupted_bundle_is_written_again(folder_store: Store) -> None:
    digest = write_bundle(folder_store, EVIDENCE)
    folder_store.delete([f"{bundle_prefix(ID)}/{MANIFEST}", f"{bundle_prefix(ID)}/post.json"])
    with pytest.raises(UsageError, match="there is no evidence"):
        read_bundle(folder_store, ID)
    assert write_bundle(folder_store, EVIDENCE) == digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.update({"post.json": b"{}"}), "post.json differs from its manifest"),
        (lambda files: files.pop("frames/00001.200.png"), "frames/00001.200.png is missing"),
        (lambda files: files.update({"more.txt": b"x"}), "more.txt is not in its manifest"),
        (lambda files: files.pop(MANIFEST), "is no evidence bundle"),
        (lambda files: files.update({MANIFEST: b"{"}), "its manifest is no JSON"),
        (lambda files: files.update({MANIFEST: b"{}"}), "its manifest lacks"),
    ],
)
def test_a_changed_bundle_is_refused(archive: Path, change: Callable[[dict[str, bytes]], object], message: str) -> None:
    summary = verify_archive(archive)
    assert (summary.sighting_id, summary.files, summary.trusted) == (ID, 3, "no time stamp")
    with pytest.raises(UsageError, match=message):
        verify_archive(changed(archive, change))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, archive: Path) -> None:
    content = archive.read_bytes()
    for name, data in (("text", b"hello"), ("half", content[: len(content) // 2])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match="damaged or no ZIP file"):
            verify_archive(tmp_path / name)


def test_a_new_manifest_is_caught_by_the_root_and_by_the_stamp(folder_store: Store, tmp_path: Path) -> None:
    certificates = tmp_path / "tsa"
    certificates.mkdir()
    make_certificates(certificates)
    digest = write_bundle(folder_store, EVIDENCE)
    export_bundle(folder_store, ID, tmp_path / "bare.zip")
    with stamping(certificates) as address:
        add_stamp(folder_store, ID, request_stamp(address, read_bundle(folder_store, ID)[MANIFEST]))
    export_bundle(folder_store, ID, tmp_path / "stamped.zip")
    root = certificates / "ca.pem"

    summary = verify_archive(tmp_path / "stamped.zip", root, folder_store)
    assert summary.stamped_at is not None and summary.recorded is False
    record(folder_store, digest)
    assert verify_archive(tmp_path / "stamped.zip", root, folder_store).recorded
    with pytest.raises(UsageError, match="belongs to another manifest"):
        verify_archive(changed(tmp_path / "stamped.zip", rewrite))
    # Without a stamp nothing in the file can show it: the root does.
    forged = changed(tmp_path / "bare.zip", rewrite)
    assert verify_archive(forged).trusted == "no time stamp"
    with pytest.raises(UsageError, match=r"differs from the one that .* recorded"):
        verify_archive(forged, store=folder_store)
    with pytest.raises(UsageError, match="has no time stamp that"):
        verify_archive(tmp_path / "bare.zip", root)
    with pytest.raises(UsageError, match="the time stamp cannot be read"):
        verify_archive(changed(tmp_path / "stamped.zip", lambda files: files.update({STAMP: b"x"})), root)
    other = tmp_path / "other"
    other.mkdir()
    make_certificates(other)
    with pytest.raises(UsageError, match="is not signed under"):
        verify_archive(tmp_path / "stamped.zip", other / "ca.pem")


def test_a_server_that_gives_no_stamp_is_named() -> None:
    with pytest.raises(ConfigError, match="gave no stamp"):
        request_stamp("http://127.0.0.1:1/", b"x")


def test_c2pa_data_is_taken_from_the_file_as_it_is(clips: list[Path], tmp_path: Path) -> None:
    assert c2pa_box(clips[0]) is None
    content, payload = clips[0].read_bytes(), b"\0\0\0\0manifest\0" + bytes(20)
    box = b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + payload
    path = tmp_path / "signed.mp4"
    path.write_bytes(content + (len(box) + 4).to_bytes(4, "big") + box)
    assert c2pa_box(path) == payload
    assert "error" in json.loads(read_c2pa(path) or "")  # what the box holds here is no manifest
    for damaged in (b"", b"\0\0\0", content[: len(content) // 2], b"\0\0\0\1uuid"):
        path.write_bytes(damaged)
        assert c2pa_box(path) is None


def test_the_commands(folder_store: Store, viral_here: Viral, tmp_path: Path) -> None:
    record(folder_store, write_bundle(folder_store, EVIDENCE))
    root, file = ("--root", folder_store.root), tmp_path / "out.zip"
    listed = viral_here("monitor", "sightings", *root)
    assert listed.stdout.startswith(f"{ID}  flag ") and " possible " in listed.stdout
    assert viral_here("monitor", "evidence", ID, "--export", file, *root).stdout == f"4 files in {file}\n"
    verified = json.loads(viral_here("monitor", "verify", file, *root, "--json").stdout)
    assert verified["recorded"] is True and verified["files"] == 3
    failed = viral_here("monitor", "verify", changed(file, rewrite), *root)
    assert failed.returncode == 2 and "it was changed" in failed.stderr
    assert "is rejected" in viral_here("monitor", "review", ID, "reject", *root).stdout
    assert json.loads(viral_here("monitor", "sightings", *root, "--json").stdout)["status"] == "rejected"
    assert viral_here("monitor", "review", "nobody", "confirm", *root).returncode == 2
    rows = viral_here("query", "SELECT status FROM sightings", *root, "--csv").stdout
    assert rows.splitlines() == ["status", "rejected"]
