"""`viral.storage.s3` against an S3 server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ODD_NAME
from viral.errors import StorageError
from viral.storage import s3
from viral.storage.s3 import ObjectInfo


@pytest.fixture
def bucket(s3_root: str) -> str:
    """An empty bucket's address."""
    return s3_root.removesuffix(f"/{ODD_NAME}")


def put(uri: str, data: bytes = b"x") -> None:
    bucket, key = s3.split_uri(uri)
    s3.client().put_object(Bucket=bucket, Key=key, Body=data)


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a/b.txt", ("bucket", "a/b.txt")),
        ("s3://bucket/a/b/", ("bucket", "a/b/")),
    ],
)
def test_split(uri: str, parts: tuple[str, str]) -> None:
    assert s3.split_uri(uri) == parts


def test_head_says_size_and_etag(bucket: str) -> None:
    put(f"{bucket}/a/b", b"12345")
    etag = f'"{hashlib.md5(b"12345").hexdigest()}"'
    assert s3.head(f"{bucket}/a/b") == ObjectInfo("a/b", 5, etag)
    assert s3.head(f"{bucket}/a/c") is None


def test_head_of_a_missing_bucket_is_none(s3_server: str) -> None:
    assert s3.head("s3://there-is-no-such-bucket/a") is None


def test_listing_finds_all_levels_and_nothing_beside(bucket: str) -> None:
    keys = ["a/1", "a/b/2", "a/b/c/3", "a/d/4"]
    for key in [*keys, "ab/5", "z"]:
        put(f"{bucket}/{key}")
    assert sorted(info.key for info in s3.list_objects(f"{bucket}/a")) == keys
    assert sorted(info.key for info in s3.list_objects(bucket)) == [*keys, "ab/5", "z"]
    assert list(s3.list_objects(f"{bucket}/nothing")) == []


def test_listing_goes_beyond_a_page(bucket: str) -> None:
    keys = [f"many/{number % 2}/{number:04d}" for number in range(220)] + [f"many/{number:04d}" for number in range(5)]
    for key in keys:
        put(f"{bucket}/{key}", b"")
    assert sorted(info.key for info in s3.list_objects(f"{bucket}/many")) == sorted(keys)


def test_delete_takes_more_than_a_request_holds(bucket: str) -> None:
    put(f"{bucket}/first")
    put(f"{bucket}/last")
    gone = [f"{bucket}/gone/{number:04d}" for number in range(1500)]
    s3.delete([f"{bucket}/first", *gone, f"{bucket}/last"])
    assert list(s3.list_objects(bucket)) == []


def test_delete_that_is_refused_is_an_error(bucket: str) -> None:
    put(f"{bucket}/kept")
    name, _ = s3.split_uri(bucket)
    refused = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{name}/*"}
    s3.client().put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [refused]}))
    with pytest.raises(StorageError, match=f"^{bucket}/kept cannot be deleted: Access Denied$"):
        s3.delete([f"{bucket}/kept"])
    assert s3.head(f"{bucket}/kept")


def test_delete_of_nothing_and_of_what_is_gone(bucket: str) -> None:
    s3.delete([])
    s3.delete([f"{bucket}/never/there"])


def test_put_new_is_refused_the_second_time(bucket: str) -> None:
    assert s3.put_new(f"{bucket}/once", b"first")
    assert not s3.put_new(f"{bucket}/once", b"second")
    name, key = s3.split_uri(f"{bucket}/once")
    assert s3.client().get_object(Bucket=name, Key=key)["Body"].read() == b"first"


def test_one_client_while_the_environment_stays(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = s3.client()
    assert s3.client() is client
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert s3.client().meta.endpoint_url == "http://127.0.0.1:9"
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    assert s3.client() is client


def test_child_processes_find_the_server(bucket: str) -> None:
    put(f"{bucket}/seen", b"")
    code = f"from viral.storage import s3; print([info.key for info in s3.list_objects({bucket!r})])"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['seen']"
