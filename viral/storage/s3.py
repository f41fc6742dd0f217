"""S3 operations that `pyarrow.fs` lacks: parallel listing, HEAD, conditional put, multipart copies."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viral.errors import StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import DeleteTypeDef, GetObjectOutputTypeDef

READ_ATTEMPTS = 4  # boto3 retries a request that fails, but not a body that breaks off
LISTING_THREADS = 16  # a request lists 1,000 keys in about 100 ms; more threads gain little and provoke SlowDown
# Errors of botocore and codes of S3 that are about the caller, whatever the object.
CREDENTIAL_CODES = {
    *("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed"),
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "AccountProblem"),
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "UnauthorizedSSOTokenError"),
    *("SSOTokenLoadError", "TokenRetrievalError", "MetadataRetrievalError"),
}
REGION_CODES = {"301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
DENIED_CODES = {"403", "AccessDenied", "AllAccessDisabled", *CREDENTIAL_CODES}
MISSING_CODES = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}


@dataclass(frozen=True)
class ObjectInfo:
    """Key, size in bytes and, on S3, ETag of one object."""

    key: str
    size: int
    etag: str | None = None


def client() -> S3Client:
    """Return the S3 client of this process; endpoint, region and credentials come from the environment."""
    # Credentials in the environment may change during a run, for example when they are renewed.
    return _client(tuple(sorted(pair for pair in os.environ.items() if pair[0].startswith("AWS_"))))


@functools.lru_cache(maxsize=4)
def _client(environment: tuple[tuple[str, str], ...]) -> S3Client:  # noqa: ARG001 - the cache's key
    """Create one client per state of the environment, so that a changed endpoint or key takes effect."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "max_attempts": 6}  # their backoff adds up to at most 31 s
    session = boto3.session.Session()  # boto3's default session caches the first credentials
    # Below botocore's 60 s, so that six attempts at a dead endpoint end within minutes.
    return session.client("s3", config=Config(retries=retries, connect_timeout=10, read_timeout=30))


def split_uri(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/some/key` into (`bucket`, `some/key`); a trailing slash stays in the key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key.lstrip("/")


def head(uri: str) -> ObjectInfo | None:
    """Get the size and ETag of the object at `uri`; None if it does not exist.

    Raises:
        botocore.exceptions.ClientError: the storage denied the request or failed.
    """
    from botocore.exceptions import ClientError

    bucket, key = split_uri(uri)
    try:
        response = client().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in MISSING_CODES:
            return None
        raise
    return ObjectInfo(key, response["ContentLength"], response["ETag"])


def get_object(uri: str) -> GetObjectOutputTypeDef:
    """Request the object at `uri`; the response has the length and a stream of the content.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the storage denied the request or failed.
    """
    from botocore.exceptions import ConnectionClosedError
    from urllib3.exceptions import HTTPError

    bucket, key = split_uri(uri)
    try:
        return client().get_object(Bucket=bucket, Key=key)
    except HTTPError as error:  # botocore does not wrap an error response that breaks off
        raise ConnectionClosedError(error=error, endpoint_url=uri) from error


def get(uri: str) -> bytes:
    """Read the whole object at `uri` in one request, so that a concurrent replacement cannot mix two versions.

    Raises:
        FileNotFoundError: there is no such object.
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the storage denied the request or failed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    for attempt in range(1, READ_ATTEMPTS + 1):
        try:
            body: bytes = get_object(uri)["Body"].read()
            return body
        except ClientError as error:
            if error_code(error) in MISSING_CODES:
                raise FileNotFoundError(uri) from error
            raise
        except BotoCoreError:
            if attempt == READ_ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def error_code(error: Exception) -> str:
    """Return the code of a botocore ClientError (`NoSuchKey`, `403`, …), or the class name of any other error."""
    response: dict[str, dict[str, str]] = getattr(error, "response", None) or {}  # None if there was no response
    return str(response.get("Error", {}).get("Code", type(error).__name__))


def common_prefixes(uri: str, name_prefix: str, delimiter: str) -> list[str]:
    """List the distinct names below `uri`, cut after the first `delimiter` behind `name_prefix`."""
    bucket, prefix = split_uri(uri.rstrip("/"))
    pages = _pages(bucket, f"{prefix}/{name_prefix}", Delimiter=delimiter)
    return [entry["Prefix"][len(prefix) + 1 :] for page in pages for entry in page.get("CommonPrefixes", [])]


def list_objects(uri: str, name_prefix: str = "") -> Iterator[ObjectInfo]:
    """List all objects in the folder `uri` whose names start with `name_prefix`; list subfolders in parallel."""
    bucket, prefix = split_uri(uri.rstrip("/"))
    prefix = f"{prefix}/{name_prefix}" if prefix else name_prefix
    folders: list[str] = []
    for page in _pages(bucket, prefix, Delimiter="/"):
        folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        yield from _infos(page)
    with ThreadPoolExecutor(LISTING_THREADS) as pool:
        # In chunks, because `map` submits all calls at once, and their results would pile up ahead of a slow reader.
        for start in range(0, len(folders), 4 * LISTING_THREADS):
            for infos in pool.map(functools.partial(_list_below, bucket), folders[start : start + 4 * LISTING_THREADS]):
                yield from infos


def _list_below(bucket: str, prefix: str) -> list[ObjectInfo]:
    return [info for page in _pages(bucket, prefix) for info in _infos(page)]


def _pages(bucket: str, prefix: str, **options: Any) -> Iterable[Any]:
    return client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **options)


def _infos(page: Any) -> list[ObjectInfo]:
    return [ObjectInfo(entry["Key"], entry["Size"], entry["ETag"]) for entry in page.get("Contents", [])]


def delete(uris: list[str]) -> None:
    """Delete the objects at `uris`, which are in one bucket; ignore missing objects.

    Raises:
        StorageError: an object could not be deleted; S3 reports this in a successful response.
    """
    for start in range(0, len(uris), 1000):  # S3's limit of keys per request
        batch = [split_uri(uri) for uri in uris[start : start + 1000]]
        bucket = batch[0][0]
        request: DeleteTypeDef = {"Objects": [{"Key": key} for _, key in batch], "Quiet": True}
        if errors := client().delete_objects(Bucket=bucket, Delete=request).get("Errors"):
            first = errors[0]
            raise StorageError(f"s3://{bucket}/{first.get('Key')} cannot be deleted: {first.get('Message')}")


def put_new(uri: str, data: bytes) -> bool:
    """Write `data` to `uri` unless an object exists there; return whether it was written."""
    from botocore.exceptions import ClientError

    bucket, key = split_uri(uri)
    try:
        client().put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
    except ClientError as error:
        if error_code(error) in {"412", "PreconditionFailed"}:
            return False
        raise
    return True


def upload(local: Path, uri: str) -> None:
    """Copy a local file to `uri`, large files as a multipart upload.

    Raises:
        StorageError: the storage denied the request or failed.
    """
    from boto3.exceptions import S3UploadFailedError

    bucket, key = split_uri(uri)
    try:
        client().upload_file(str(local), bucket, key)
    except S3UploadFailedError as error:  # wraps a botocore error
        raise StorageError(f"{uri}: {error}") from error


def download(uri: str, local: Path) -> None:
    """Copy the object at `uri` to a local file, large objects in parallel ranges.

    Raises:
        FileNotFoundError: there is no such object.
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the storage denied the request or failed.
    """
    from botocore.exceptions import ClientError

    bucket, key = split_uri(uri)
    try:
        client().download_file(bucket, key, str(local))
    except ClientError as error:
        if error_code(error) in MISSING_CODES:
            raise FileNotFoundError(uri) from error
        raise
