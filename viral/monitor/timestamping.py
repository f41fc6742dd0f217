"""Time stamps by RFC 3161: a server signs that a digest existed at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx

from viral.errors import ConfigError, UsageError
from viral.storage.store import one_line

_SECONDS = 20.0  # a server answers in less than one; an alert must not wait long for it
_TYPE = "application/timestamp-query"  # RFC 3161, section 3.4


def request_stamp(url: str, data: bytes) -> bytes:
    """Ask the time-stamping server at `url` to sign the SHA-256 of `data`; return its response, DER.

    Raises:
        ConfigError: the package is missing, or the server does not grant a stamp.
    """
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response
    except ImportError as error:
        raise ConfigError("time stamps need rfc3161-client: pip install 'viral[monitor]'") from error
    request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        answer = httpx.post(url, content=request.as_bytes(), headers={"Content-Type": _TYPE}, timeout=_SECONDS)
        answer.raise_for_status()
        response = decode_timestamp_response(answer.content)
    except (httpx.HTTPError, ValueError) as error:
        raise ConfigError(f"the time-stamping server {url} gave no stamp: {one_line(error)}") from error
    if response.status not in (0, 1):  # granted, with or without changes
        raise ConfigError(f"the time-stamping server {url} refused with status {response.status}")
    if response.tst_info.nonce != request.nonce:
        raise ConfigError(f"the time-stamping server {url} answered another request: its nonce differs")
    return answer.content


def verify_stamp(response: bytes, data: bytes, certificate: Path | None) -> str:
    """Check that a response stamps `data`; return the time, ISO 8601.

    Args:
        response: of the server, DER.
        data: what was stamped.
        certificate: root certificates to trust, PEM; without it only the digest is compared, not the signature.

    Raises:
        UsageError: it stamps something else, or is not signed under `certificate`.
    """
    try:
        from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
    except ImportError as error:
        raise ConfigError("time stamps need rfc3161-client: pip install 'viral[monitor]'") from error
    try:
        decoded = decode_timestamp_response(response)
        imprint = decoded.tst_info.message_imprint.message
    except ValueError as error:
        raise UsageError(f"the time stamp cannot be read: {one_line(error)}") from error
    if imprint != hashlib.sha256(data).digest():
        raise UsageError("the time stamp belongs to another manifest: the bundle was changed after it was made")
    if certificate is not None:
        builder = VerifierBuilder()
        for root in _certificates(certificate):
            builder = builder.add_root_certificate(root)
        try:
            builder.build().verify_message(decoded, data)
        except VerificationError as error:
            raise UsageError(
                f"the time stamp is not signed under {certificate}: {one_line(error)}; "
                "give the root certificate of the server that the bundle names"
            ) from error
    return str(decoded.tst_info.gen_time.isoformat())


def _certificates(path: Path) -> list[Any]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read certificates from {path} (PEM): {one_line(error)}") from error
