"""One root through the same calls, on a folder and on S3."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from tests.conftest import ODD_NAME
from viral.errors import RootError, StorageError
from viral.storage.store import Store, open_uri, read_json

MIB = 1 << 20
SILENT_ENDPOINT = "http://127.0.0.1:9"


def keys(store: Store, prefix: str = "") -> list[str]:
    return sorted(info.key for info in store.objects(prefix))


def test_what_is_written_is_read(any_store: Store) -> None:
    any_store.write("a/b.bin", b"first")
    any_store.write("a/b.bin", pa.py_buffer(b"second"))
    assert any_store.read("a/b.bin") == b"second"
    with any_store.open_input("a/b.bin") as stream:
        stream.seek(3)
        assert stream.read() == b"ond"
    any_store.write("empty", b"")
    assert any_store.read("empty") == b""


def test_what_is_missing(any_store: Store) -> None:
    any_store.write("a/b", b"")
    assert any_store.exists("a/b")
    assert not any_store.exists("a")
    assert not any_store.exists("a/c")
    for read in (any_store.read, any_store.open_input):
        with pytest.raises(FileNotFoundError):
            read("a/c")
    assert read_json(any_store, "a/c") is None
    assert list(any_store.objects("nothing/here")) == []
    any_store.delete(["a/c"])
    any_store.delete([])
    any_store.delete_below("nothing/here")


@pytest.mark.parametrize("name", ["with space", "ümlaut-Ẽ-字", "a+b&c=d", "100%", "#1?", "it's"])
def test_any_name_is_a_key(any_store: Store, name: str) -> None:
    any_store.write(f"folder/{name}", b"1")
    assert any_store.read(f"folder/{name}") == b"1"
    assert any_store.exists(f"folder/{name}")
    assert keys(any_store) == [f"folder/{name}"]
    any_store.delete([f"folder/{name}"])
    assert keys(any_store) == []


def test_objects_below_a_prefix(any_store: Store) -> None:
    for key in ("posts/1", "posts/deep/2", "posts2/3", "top", "posts/deep/.hidden"):
        any_store.write(key, b"123")
    assert keys(any_store, "posts") == ["posts/1", "posts/deep/.hidden", "posts/deep/2"]
    assert keys(any_store) == ["posts/1", "posts/deep/.hidden", "posts/deep/2", "posts2/3", "top"]
    assert {info.size for info in any_store.objects("")} == {3}


def test_objects_by_how_their_names_begin(any_store: Store) -> None:
    for key in ("posts/part-01-a", "posts/part-02-a", "posts/part-02-b", "posts/par", "posts/_set", "posts2/part-03-a"):
        any_store.write(key, b"123")
    infos = [info.key for info in any_store.objects("posts", "part-02-")]
    assert sorted(infos) == ["posts/part-02-a", "posts/part-02-b"]
    assert any_store.common_prefixes("posts", "part-", "-") == ["part-01-", "part-02-"]
    assert any_store.common_prefixes("nothing", "part-", "-") == []


def test_delete_below_spares_neighbours(any_store: Store) -> None:
    for key in ("posts/1", "posts/deep/2", "posts2/3", "posts/deep/file.tmp"):
        any_store.write(key, b"")
    any_store.delete_below("posts")
    assert keys(any_store) == ["posts2/3"]
    any_store.delete_below("posts2/3")  # an object is not what lies below it
    assert keys(any_store) == ["posts2/3"]


def test_write_new_only_once(any_store: Store) -> None:
    assert any_store.write_new("claims/1", b"first")
    assert not any_store.write_new("claims/1", b"second")
    assert any_store.read("claims/1") == b"first"
    assert keys(any_store) == ["claims/1"]


def test_of_two_writers_at_once_one_wins(any_store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        for claim in range(5):
            won = list(pool.map(lambda me, key=f"claims/{claim}": any_store.write_new(key, str(me).encode()), range(8)))
            assert won.count(True) == 1
            assert any_store.read(f"claims/{claim}") == str(won.index(True)).encode()


def test_upload_of_a_large_file(any_store: Store, tmp_path: Path) -> None:
    local = tmp_path / "large"
    content = os.urandom(MIB) * 17 + b"end"  # several parts of boto3's 8 MiB
    local.write_bytes(content)
    any_store.upload(local, "videos/large.mp4")
    assert any_store.read("videos/large.mp4") == content
    assert [info.size for info in any_store.objects("videos")] == [len(content)]


def test_upload_of_nothing_there(any_store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        any_store.upload(tmp_path / "nothing", "a")
    assert keys(any_store) == []


def test_a_store_travels(any_store: Store) -> None:
    any_store.write("a", b"1")
    assert any_store.filesystem is any_store.filesystem
    copy = pickle.loads(pickle.dumps(any_store))
    assert copy.root == any_store.root
    assert copy.read("a") == b"1"


def test_open_any_reads_by_address(any_store: Store) -> None:
    any_store.write("a/dump.json", b"{}")
    with open_uri(any_store.uri("a/dump.json")) as file:
        assert file.read() == b"{}"
    with pytest.raises(FileNotFoundError):
        open_uri(any_store.uri("a/nothing.json"))


def test_a_bucket_without_prefix_is_a_root(s3_root: str) -> None:
    store = Store.open(s3_root.removesuffix(f"/{ODD_NAME}") + "/")
    store.write("a/b", b"1")
    assert keys(store) == keys(store, "a") == ["a/b"]
    store.delete(keys(store))
    assert keys(store) == []


def test_roots_that_are_none(tmp_path: Path, s3_server: str) -> None:
    (tmp_path / "file").touch()
    for root, message in {
        str(tmp_path / "missing"): r"missing does not exist: create it \(mkdir -p\)",
        str(tmp_path / "file"): "file is not a folder",
        "gs://bucket/prefix": "neither a folder nor s3://",
        "s3://there-is-no-such-bucket/prefix": "there is no bucket there-is-no-such-bucket",
        "s3://": "cannot be reached",
    }.items():
        with pytest.raises(RootError, match=message) as caught:
            Store.open(root)
        assert "\n" not in str(caught.value)


def test_an_endpoint_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, s3_root: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", SILENT_ENDPOINT)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(RootError, match="cannot be reached: Could not connect"):
        Store.open(s3_root)


def test_a_bucket_that_vanished(s3_server: str, tmp_path: Path) -> None:
    store = Store("s3://there-is-no-such-bucket/prefix")
    (tmp_path / "file").write_bytes(b"1")
    for call in (
        lambda: store.write("a", b"1"),
        lambda: store.write_new("a", b"1"),
        lambda: store.upload(tmp_path / "file", "a"),
        lambda: list(store.objects("a")),
        lambda: store.delete(["a"]),
    ):
        with pytest.raises(StorageError, match="there-is-no-such-bucket") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.fixture
def refused(s3_root: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose server refuses the credentials in the environment."""
    Store(s3_root).write("there", b"1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    httpx.post(f"{s3_server}/moto-api/reset-auth", content=b"0").raise_for_status()
    yield Store(s3_root)
    httpx.post(f"{s3_server}/moto-api/reset-auth", content=b"inf").raise_for_status()


def test_wrong_credentials(refused: Store) -> None:
    with pytest.raises(RootError, match="is not accessible with the credentials in the environment"):
        Store.open(refused.root)
    for call in (lambda: refused.read("there"), lambda: refused.write("a", b""), lambda: refused.write_new("a", b"")):
        with pytest.raises(StorageError, match=re.escape(refused.root)) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_no_credentials_at_all(s3_root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(RootError, match="is not accessible with the credentials in the environment"):
        Store.open(s3_root)
    with pytest.raises(StorageError, match="Unable to locate credentials"):
        Store(s3_root).read("a")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(tiny_disk: Path, tmp_path: Path) -> None:
    store = Store.open(tiny_disk)
    store.write("kept", b"old")
    large = tmp_path / "large"
    large.write_bytes(bytes(2 * MIB))
    for call in (
        lambda: store.write("a/new", bytes(2 * MIB)),
        lambda: store.write("kept", bytes(2 * MIB)),
        lambda: store.write_new("a/new", bytes(2 * MIB)),
        lambda: store.upload(large, "a/new"),
    ):
        with pytest.raises(StorageError, match=r"^no space left on the device while writing .*: free some"):
            call()
        assert [path for path in tiny_disk.rglob("*") if path.is_file()] == [tiny_disk / "kept"]
    assert store.read("kept") == b"old"


WRITER = """
import sys
from viral.storage.store import Store
store, content = Store(sys.argv[1]), bytes(64 << 20)
print("ready", flush=True)
while True:
    store.write("half", content)
    store.delete(["half"])
"""


def test_a_killed_writer_leaves_nothing_half(any_store: Store) -> None:
    for delay in (0.0, 0.05, 0.1):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, any_store.root], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert {info.size for info in any_store.objects("")} <= {64 * MIB}
        assert not any_store.exists("half") or len(any_store.read("half")) == 64 * MIB
    any_store.write("half", b"whole")
    assert any_store.read("half") == b"whole"


def test_a_listing_survives_files_that_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(50):
        store.write(f"a/{number}", b"")
    infos = store.objects("a")
    first = next(infos)
    store.delete([f"a/{number}" for number in range(50)])
    assert [first, *infos] == [first]
