"""Weights that lie below a root, a fine-tuned backbone say: named with their hash, and copied to a machine once."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from viral.errors import WeightsError
from viral.extractors.weights import file_digest, local_file, weights_folder
from viral.store import Store, aside

SCHEME = "root:"
"""Weights that begin so are a key below the root: `root:models/video/0001/backbone.safetensors`."""
_MARK = "#sha256="
_DIGEST = re.compile(r"[0-9a-f]{64}")


def reference(uri: str, digest: str) -> str:
    """The name of a file of weights that says what is in it: `uri#sha256=digest`."""
    return f"{uri}{_MARK}{digest}"


def split_reference(name: str) -> tuple[str, str | None]:
    """The address in the name of a file of weights, and the SHA-256 where the name has it.

    Raises:
        WeightsError: what stands for the hash is none.
    """
    uri, mark, digest = name.partition(_MARK)
    if mark and not _DIGEST.fullmatch(digest):
        raise WeightsError(f"{name} ends in no SHA-256: write {uri}{_MARK} and 64 hexadecimal digits")
    return uri, digest if mark else None


@dataclass(frozen=True)
class StoredWeights:
    """The resolver of feature sets whose weights may lie below a root; it can be sent to any worker.

    What a folder holds is read in place; an object is copied to the weights folder of the machine by the first process
    that needs it. There the name must have its hash, since two nodes could find two contents at one address.
    """

    store: Store

    def __call__(self, name: str) -> Path:
        """The local file. Raises WeightsError: there is none, or its content is another."""
        uri, digest = split_reference(name)
        uri = self.store.uri(uri.removeprefix(SCHEME)) if uri.startswith(SCHEME) else uri
        if not uri.startswith("s3://"):
            return _checked(local_file(uri), digest)
        if digest is None:
            raise WeightsError(f"name the content of {uri} too: write {name}{_MARK} and its SHA-256")
        path = weights_folder() / f"sha256-{digest}{Path(uri).suffix}"
        with _alone(path):
            if not (path.is_file() and file_digest(path) == digest):
                _copy(uri, digest, path)
        return path


def _copy(uri: str, digest: str, path: Path) -> None:
    folder, _, key = uri.rpartition("/")
    with aside(path) as temporary:
        try:
            temporary.write_bytes(Store(folder).read(key))
        except FileNotFoundError as error:
            raise WeightsError(f"there are no weights at {uri}") from error
        if file_digest(temporary) != digest:
            raise _other(uri, digest)


def _checked(path: Path, digest: str | None) -> Path:
    if digest and file_digest(path) != digest:
        raise _other(str(path), digest)
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process of a machine at a time: the others find what the first has copied."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _other(where: str, digest: str) -> WeightsError:
    return WeightsError(f"the weights at {where} are not those of SHA-256 {digest[:12]}…: bring back the file")
