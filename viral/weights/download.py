"""The one place that goes to the network for weights, and only when `viral weights fetch` asks."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx

from viral.console.output import bar
from viral.errors import WeightsError
from viral.storage.store import one_line
from viral.weights.catalogue import HubModel, Known, KnownWeights
from viral.weights.manifest import file_digest

SECONDS = 30.0  # without a byte, before a download is given up


def bring(known: Known, folder: Path, source: str | None = None) -> str:
    """Download published weights into a folder.

    Args:
        known: what to bring.
        folder: where its files go.
        source: for a single file, another address (a mirror) or a file instead of the publisher's.

    Returns:
        Where they came from: the address, and of a repository the commit.

    Raises:
        WeightsError: they cannot be had, or what came is not what the hub announced.
    """
    where = source or known.source
    try:
        if isinstance(known, HubModel):
            if source:
                raise WeightsError(f"{known.name} has several files: bring them here and run `viral weights put`")
            return _from_hub(known, folder)
        _file(known, where, folder)
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        fix = f"bring the files here by hand and run `viral weights put {known.name} PATH`"
        raise WeightsError(f"{where} cannot be had ({one_line(error)}): {fix}") from error
    return where


def _file(known: KnownWeights, source: str, folder: Path) -> None:
    if source.startswith(("http://", "https://")):
        _download(source, folder / known.file)
    else:
        shutil.copyfile(source, folder / known.file)


def _download(url: str, to: Path) -> None:
    progress = bar(to.name, unit="B")
    with httpx.stream("GET", url, follow_redirects=True, timeout=SECONDS) as reply, to.open("wb") as file:
        reply.raise_for_status()
        total = int(reply.headers.get("content-length", 0))
        for chunk in reply.iter_bytes(1 << 20):
            file.write(chunk)
            progress(file.tell(), max(total, file.tell()))


def _from_hub(model: HubModel, folder: Path) -> str:
    """All files of one commit: the revision is settled by the first, so that a push in between mixes nothing."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    revision = model.revision
    for file in model.files:
        told = get_hf_file_metadata(hf_hub_url(model.repo, file, revision=revision), timeout=SECONDS)
        revision = told.commit_hash or revision
        hf_hub_download(model.repo, file, revision=revision, local_dir=folder)
        announced = told.etag or ""
        # Of large files the hub's ETag is the SHA-256; of small ones it is git's SHA-1, which has 40 digits.
        if len(announced) == 64 and file_digest(folder / file) != announced:
            raise WeightsError(f"{file} of {model.repo} came with other bytes than the hub announced: try again")
    return f"{model.source}/tree/{revision}"
