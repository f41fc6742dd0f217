"""Download of pretrained weights for `viral weights fetch`, the only command that opens a connection for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx

from viral.errors import WeightsError
from viral.storage.store import one_line
from viral.weights.catalogue import HubModel, PretrainedWeights
from viral.weights.manifest import file_digest

TIMEOUT_SECONDS = 30.0  # without a byte: ample for a live connection, and a dead one fails in time
_CHUNK_BYTES = 1 << 20  # one progress update per MiB: about 100 to 500 per file


def download(
    weights: PretrainedWeights,
    folder: Path,
    source: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> str:
    """Download published weights into a folder; return the address of the file or of the repository's commit.

    Args:
        weights: weights to download.
        folder: receives the files.
        source: for a single file, a mirror or a local path to use instead of the publisher.
        progress: for a single file, called with the bytes so far and in total; the hub's client has its own bar.

    Raises:
        WeightsError: the download failed, or a file differs from the hash that the hub announced.
    """
    address = source or weights.source
    try:
        if isinstance(weights, HubModel):
            # A mirror address is that of one file, and a hub model has several.
            if source:
                raise WeightsError(
                    f"{weights.name} has several files: copy them to this machine and run `viral weights put`"
                )
            return _from_hub(weights, folder)
        if address.startswith(("http://", "https://")):
            _from_web(address, folder / weights.file, progress)
        else:
            shutil.copyfile(address, folder / weights.file)
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        fix = f"copy the files to this machine and run `viral weights put {weights.name} PATH`"
        raise WeightsError(f"cannot download {address} ({one_line(error)}): {fix}") from error
    return address


def _from_web(url: str, path: Path, progress: Callable[[int, int], None]) -> None:
    with httpx.stream("GET", url, follow_redirects=True, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as file:
        response.raise_for_status()
        total = int(response.headers.get("content-length", 0))
        for chunk in response.iter_bytes(_CHUNK_BYTES):
            file.write(chunk)
            # The announced size may be missing, or that of a compressed body.
            progress(file.tell(), max(total, file.tell()))


def _from_hub(model: HubModel, folder: Path) -> str:
    """Download all files of one commit: the first file fixes the revision, so a later push cannot mix versions."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    revision = model.revision
    for file in model.files:
        metadata = get_hf_file_metadata(hf_hub_url(model.repo, file, revision=revision), timeout=TIMEOUT_SECONDS)
        revision = metadata.commit_hash or revision
        hf_hub_download(model.repo, file, revision=revision, local_dir=folder)
        etag = metadata.etag or ""
        # The hub's ETag is the SHA-256 for large files; for small ones it is git's SHA-1, with 40 digits.
        if len(etag) == 64 and file_digest(folder / file) != etag:
            raise WeightsError(f"{file} of {model.repo} differs from what the hub announced: try again")
    return f"{model.source}/tree/{revision}"
