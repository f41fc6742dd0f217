"""What `pyarrow.fs` does not offer of S3: parallel listing, HEAD, conditional put, presigned URLs, multipart copies."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viral.errors import StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import DeleteTypeDef, GetObjectOutputTypeDef

BODIES = 4  # times that a body that breaks off is asked for
LISTING_THREADS = 16  # a listing answers 1,000 keys in about 100 ms; more threads gain little and invite SlowDown
DENIED = {
    *("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"),
    *("NoCredentialsError", "PartialCredentialsError"),
}
MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}


@dataclass(frozen=True)
class ObjectInfo:
    """One object below the root: its key, its size in bytes, and its ETag where the storage has one."""

    key: str
    size: int
    etag: str | None = None


def client() -> S3Client:
    """The process's S3 client; endpoint, region and credentials come from the environment, as boto3 reads them."""
    return _client(tuple(sorted(pair for pair in os.environ.items() if pair[0].startswith("AWS_"))))


@functools.lru_cache(maxsize=4)
def _client(environment: tuple[tuple[str, str], ...]) -> S3Client:  # noqa: ARG001 - it is the cache's key
    """One client for each state of the environment: a changed endpoint or key must not meet an old connection."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "max_attempts": 6}
    # A session of its own: boto3's default one would keep the first credentials that it saw.
    session = boto3.session.Session()
    return session.client("s3", config=Config(retries=retries, connect_timeout=10, read_timeout=30))


def split(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` as (`bucket`, `some/key`); a slash at the end belongs to the key: a folder's mark."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key.lstrip("/")


def head(uri: str) -> ObjectInfo | None:
    """Size and ETag of the object at `uri`; None where there is none.

    Raises:
        botocore.exceptions.ClientError: the storage refused or failed.
    """
    from botocore.exceptions import ClientError

    bucket, key = split(uri)
    try:
        answer = client().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code(error) in MISSING:
            return None
        raise
    return ObjectInfo(key, answer["ContentLength"], answer["ETag"])


def answer(uri: str) -> GetObjectOutputTypeDef:
    """The storage's answer to a request for the object at `uri`: its length, and its body to be read.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the storage refused or failed.
    """
    from botocore.exceptions import ConnectionClosedError
    from urllib3.exceptions import HTTPError

    bucket, key = split(uri)
    try:
        return client().get_object(Bucket=bucket, Key=key)
    except HTTPError as error:  # the words of a refusal broke off: botocore lets that through as it is
        raise ConnectionClosedError(error=error, endpoint_url=uri) from error


def get(uri: str) -> bytes:
    """The object at `uri`, whole: in one request, so never half of one and half of what replaced it meanwhile.

    Raises:
        FileNotFoundError: there is none.
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the storage refused or failed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    for attempt in range(1, BODIES + 1):
        try:
            body: bytes = answer(uri)["Body"].read()
        except ClientError as error:
            if code(error) in MISSING:
                raise FileNotFoundError(uri) from error
            raise
        except BotoCoreError:  # the body broke off: boto3 tries requests again, not bodies
            if attempt == BODIES:
                raise
        else:
            return body
    raise AssertionError("the last attempt returns or raises")


def code(error: Exception) -> str:
    """The error code of a botocore ClientError (`NoSuchKey`, `403`, …), or the name of any other error's class."""
    response: dict[str, dict[str, str]] = getattr(error, "response", None) or {}  # None where no answer came
    return str(response.get("Error", {}).get("Code", type(error).__name__))


def stems(uri: str, beginning: str, delimiter: str) -> list[str]:
    """How the names below `uri` that begin so go on up to a delimiter, each once: S3 names no object for it."""
    bucket, prefix = split(uri.rstrip("/"))
    pages = (
        client()
        .get_paginator("list_objects_v2")
        .paginate(Bucket=bucket, Prefix=f"{prefix}/{beginning}", Delimiter=delimiter)
    )
    return [entry["Prefix"][len(prefix) + 1 :] for page in pages for entry in page.get("CommonPrefixes", [])]


def listing(uri: str, beginning: str = "") -> Iterator[ObjectInfo]:
    """Every object below `uri` whose name there begins so; its sub-prefixes are listed in parallel."""
    bucket, prefix = split(uri.rstrip("/"))
    prefix = f"{prefix}/{beginning}" if prefix else beginning
    folders: list[str] = []
    for page in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
        folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        yield from _infos(page)
    with ThreadPoolExecutor(LISTING_THREADS) as pool:
        for start in range(0, len(folders), 4 * LISTING_THREADS):
            for infos in pool.map(functools.partial(_below, bucket), folders[start : start + 4 * LISTING_THREADS]):
                yield from infos


def _below(bucket: str, prefix: str) -> list[ObjectInfo]:
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [info for page in pages for info in _infos(page)]


def _infos(page: Any) -> list[ObjectInfo]:
    return [ObjectInfo(entry["Key"], entry["Size"], entry["ETag"]) for entry in page.get("Contents", [])]


def delete(uris: list[str]) -> None:
    """Delete the objects at `uris`, all of one bucket, a thousand a request; it is no error if some are gone.

    Raises:
        StorageError: some could not be deleted: S3 says so in an answer that is no error by itself.
    """
    for start in range(0, len(uris), 1000):
        batch = [split(uri) for uri in uris[start : start + 1000]]
        bucket = batch[0][0]
        wanted: DeleteTypeDef = {"Objects": [{"Key": key} for _, key in batch], "Quiet": True}
        answer = client().delete_objects(Bucket=bucket, Delete=wanted)
        if errors := answer.get("Errors"):
            first = errors[0]
            raise StorageError(f"s3://{bucket}/{first.get('Key')} cannot be deleted: {first.get('Message')}")


def put_new(uri: str, data: bytes) -> bool:
    """Write `data` unless there is an object at `uri` already; says whether it was written."""
    from botocore.exceptions import ClientError

    bucket, key = split(uri)
    try:
        client().put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
    except ClientError as error:
        if code(error) in {"412", "PreconditionFailed"}:
            return False
        raise
    return True


def upload(local: Path, uri: str) -> None:
    """Copy a local file to `uri`, in parts where it is large.

    Raises:
        StorageError: the storage refused or failed.
    """
    from boto3.exceptions import S3UploadFailedError

    bucket, key = split(uri)
    try:
        client().upload_file(str(local), bucket, key)
    except S3UploadFailedError as error:  # it is none of botocore's errors, and wraps one
        raise StorageError(f"{uri}: {error}") from error


def download(uri: str, local: Path) -> None:
    """Copy the object at `uri` to a local file, in parts where it is large.

    Raises:
        FileNotFoundError: there is none.
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the storage refused or failed.
    """
    from botocore.exceptions import ClientError

    bucket, key = split(uri)
    try:
        client().download_file(bucket, key, str(local))
    except ClientError as error:
        if code(error) in MISSING:
            raise FileNotFoundError(uri) from error
        raise


def presigned(uri: str, seconds: int) -> str:
    """An HTTP address that reads the object at `uri` for that many seconds without credentials."""
    bucket, key = split(uri)
    return client().generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds)
