"""A post's video as a local file, wherever it lies."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from viral.errors import MissingObjectError, PostError, ReadError, StorageError, TooLargeError
from viral.media.locate import DOWNLOAD_ATTEMPTS, is_readable, local_video
from viral.storage import s3
from viral.storage.store import Store

MIB = 1 << 20


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, to see what is left in it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def refusal(store: Store, uri: str | None, max_bytes: int = MIB) -> PostError:
    with pytest.raises(PostError) as caught, local_video(store, uri, max_bytes):
        pytest.fail("there is nothing to open")
    assert "\n" not in str(caught.value)
    return caught.value


def test_by_key_and_by_address(any_store: Store, scratch: Path) -> None:
    any_store.write("videos/a b#1.mp4", b"content")
    for uri in ("videos/a b#1.mp4", any_store.uri("videos/a b#1.mp4")):
        with local_video(any_store, uri, MIB) as path:
            assert path.read_bytes() == b"content"
            assert path.suffix == ".mp4"
            assert path.is_relative_to(scratch) == any_store.on_s3
        assert list(scratch.iterdir()) == []
    assert any_store.read("videos/a b#1.mp4") == b"content"


@pytest.mark.parametrize("uri", ["file://clip [id].mp4", "file://[/a.mp4", "file://"])
def test_what_is_no_file_address(tmp_path: Path, uri: str) -> None:
    """As yt-dlp names files, with two slashes."""
    assert refusal(Store(tmp_path), uri).reason == "missing_object"


def test_a_file_address(tmp_path: Path) -> None:
    path = tmp_path / "100 % a.mp4"
    path.write_bytes(b"1")
    for uri in (path.as_uri(), str(path)):
        with local_video(Store("s3://unused/prefix"), uri, MIB) as local:
            assert local == path


def test_the_copy_goes_even_if_its_user_fails(s3_root: str, scratch: Path) -> None:
    store = Store(s3_root)
    store.write("a.mp4", b"1")
    with pytest.raises(ZeroDivisionError), local_video(store, "a.mp4", MIB):
        raise ZeroDivisionError
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("uri", [None, "", "videos/none.mp4", "/there/is/none.mp4", "a\0b", "x" * 300, "videos"])
def test_what_is_not_there(any_store: Store, uri: str | None, scratch: Path) -> None:
    any_store.write("videos/a.mp4", b"1")
    assert isinstance(refusal(any_store, uri), MissingObjectError)
    assert list(scratch.iterdir()) == []


def test_what_is_not_fetched(tmp_path: Path) -> None:
    error = refusal(Store(tmp_path), "https://example.org/a.mp4")
    assert isinstance(error, MissingObjectError)
    assert str(error) == "https://example.org/a.mp4 is not in the store: fetch it first"


@pytest.mark.parametrize("uri", ["s3://there-is-no-such-bucket/a.mp4", "s3://Not_A_Bucket!/a.mp4", "s3://"])
def test_no_bucket(s3_server: str, uri: str, tmp_path: Path) -> None:
    assert isinstance(refusal(Store(tmp_path), uri), MissingObjectError)


def test_the_size_limit_is_exact(any_store: Store, scratch: Path) -> None:
    any_store.write("a.mp4", bytes(1000))
    with local_video(any_store, "a.mp4", 1000) as path:
        assert path.stat().st_size == 1000
    error = refusal(any_store, "a.mp4", 999)
    assert isinstance(error, TooLargeError)
    assert "has 1000 bytes, more than media.max_bytes = 999" in str(error)
    assert list(scratch.iterdir()) == []


def test_a_key_that_the_storage_does_not_know_stops_the_run(
    s3_root: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(s3_root)
    store.write("a.mp4", b"1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    httpx.post(f"{s3_server}/moto-api/reset-auth", content=b"0").raise_for_status()
    try:
        message = r"InvalidAccessKeyId: renew the credentials"
        with pytest.raises(StorageError, match=message) as caught, local_video(store, "a.mp4", MIB):
            pytest.fail("there is nothing to open")
        assert "\n" not in str(caught.value)
        assert not is_readable(store, "a.mp4")
    finally:
        httpx.post(f"{s3_server}/moto-api/reset-auth", content=b"inf").raise_for_status()
    assert is_readable(store, "a.mp4")


def test_no_credentials_stop_the_run(s3_root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StorageError, match="NoCredentialsError: renew"), local_video(Store(s3_root), "a.mp4", MIB):
        pytest.fail("there is nothing to open")


def test_a_bucket_that_is_gone_stops_the_run_if_it_is_the_roots(s3_root: str, tmp_path: Path) -> None:
    bucket = s3.split_uri(s3_root)[0]
    s3.client().delete_bucket(Bucket=bucket)
    assert isinstance(refusal(Store(tmp_path), f"s3://{bucket}/a.mp4"), MissingObjectError)
    gone = pytest.raises(StorageError, match=f"there is no bucket {bucket} any more")
    with gone, local_video(Store(s3_root), "a.mp4", MIB):
        pytest.fail("there is nothing to open")


READER = """
import os, sys
from pathlib import Path
from viral.media.locate import local_video
from viral.storage.store import Store
from viral.errors import PostError
os.setuid(65534)
try:
    with local_video(Store(sys.argv[1]), sys.argv[2], 1000):
        print("open")
except PostError as error:
    print(error.reason)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can try to read as somebody else")
def test_a_file_of_somebody_else() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # pytest's own folders are closed to others anyway
        Path(folder).chmod(0o755)
        Path(folder, "closed.mp4").touch(0o600)
        Path(folder, "locked").mkdir(0o700)
        Path(folder, "locked", "a.mp4").touch()
        Path(folder, "open.mp4").touch(0o644)
        for name, outcome in {
            "closed.mp4": "access_denied",
            "locked/a.mp4": "access_denied",
            "open.mp4": "open",
        }.items():
            command = [sys.executable, "-c", READER, folder, name]
            assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == outcome


class Flaky(BaseHTTPRequestHandler):
    """Breaks off in the middle of the first answers."""

    content = bytes(range(256)) * 1000
    breaks = 0
    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        whole = self.requests > self.breaks
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content if whole else self.content[:1000])

    def log_message(self, *_: object) -> None:
        """Not on the test's output."""


@pytest.fixture
def flaky(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Flaky]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(Flaky, "requests", 0)
    with closing(s3.client()):
        yield Flaky
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_that_breaks_off_is_asked_for_again(flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flaky, "breaks", DOWNLOAD_ATTEMPTS - 1)
    with local_video(Store("s3://bucket/prefix"), "a.mp4", MIB) as path:
        assert path.read_bytes() == flaky.content
    assert flaky.requests == DOWNLOAD_ATTEMPTS


def test_an_answer_that_always_breaks_off(flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    monkeypatch.setattr(flaky, "breaks", 100)
    assert isinstance(refusal(Store("s3://bucket/prefix"), "a.mp4"), ReadError)
    assert list(scratch.iterdir()) == []
