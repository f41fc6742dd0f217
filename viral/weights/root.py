"""The weights of a root, `weights/<name>/<file>` and a manifest, as every node that works on the root finds them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from viral.errors import WeightsError
from viral.storage import s3
from viral.storage.store import Store, failures_of
from viral.weights.cache import (
    checked,
    find_here,
    keep_object,
    made_once,
    refuse_others,
    weights_folder,
    write_manifest,
)
from viral.weights.catalogue import Known
from viral.weights.manifest import MANIFEST, Manifest
from viral.weights.pinned import as_pinned, split_pinned
from viral.weights.resolve import absent, local_file

SCHEME = "root:"
"""Weights that begin so are a key below the root: `root:models/video/0001/backbone.safetensors`."""


@dataclass(frozen=True)
class RootWeights:
    """Finds weights for whoever works on a root. It is the `Resolve` of a feature set there, and can be pickled.

    Known weights that the root holds are those of the root on every node: a copy on the machine is taken if its bytes
    are the same, else a root in a folder is read in place, and from S3 they are copied once a machine. Weights that
    the root does not hold may be on the machine (`viral weights fetch` without `--root`).
    """

    store: Store

    def __call__(self, wanted: str | Known) -> Path:
        """The local file of known weights (of a hub model the folder), of a path or URI, or of a key below the root.

        Raises:
            WeightsError: they are nowhere, or have other bytes than they had when they came.
            StorageError: the storage refused or failed.
        """
        if not isinstance(wanted, str):
            manifest = self.manifest(wanted)
            return wanted.inside(self._folder(wanted, manifest) if manifest else self._only_here(wanted))
        uri, digest = split_pinned(wanted)
        return as_pinned(self._at(self.store.uri(_key(uri)) if uri.startswith(SCHEME) else uri, uri), digest)

    def uri(self, known: Known) -> str:
        """Where the root keeps known weights."""
        return self.store.uri(_prefix(known))

    def manifest(self, known: Known) -> Manifest | None:
        """What the root holds of known weights; None where it does not hold them, or not all of them yet."""
        key = f"{_prefix(known)}/{MANIFEST}"
        try:
            return Manifest.from_json(self.store.read(key), self.store.uri(key))
        except FileNotFoundError:
            return None

    def digest(self, known: Known) -> str | None:
        """What the root says that known weights are: their bytes are checked against it when they are read."""
        manifest = self.manifest(known)
        return manifest.digest if manifest else None

    def put(self, known: Known, paths: Mapping[str, Path], manifest: Manifest) -> str:
        """Copy files into the root, with their manifest last; where the same are already, nothing is done.

        Raises:
            WeightsError: others are there. StorageError: the storage refused or failed.
        """
        where, there = self.uri(known), self.manifest(known)
        if there:
            refuse_others(manifest, there, where)
        if not there or self.fault(known, there):
            for file, path in paths.items():
                self.store.upload(path, f"{_prefix(known)}/{file}")
            self.store.write(f"{_prefix(known)}/{MANIFEST}", manifest.to_json())
        return where

    def fault(self, known: Known, manifest: Manifest) -> str | None:
        """The first file of the root that is missing or has another size than in its manifest, without reading any."""
        sizes = {info.key: info.size for info in self.store.objects(_prefix(known))}
        for file, entry in manifest.files.items():
            key = f"{_prefix(known)}/{file}"
            if sizes.get(key) != entry.size:
                return f"{self.store.uri(key)} {'has another size than it had' if key in sizes else 'is missing'}"
        return None

    def _folder(self, known: Known, manifest: Manifest) -> Path:
        here = _same_here(known, manifest)
        if here:
            return here
        if not self.store.on_s3:
            return checked(known, Path(self.store.path(_prefix(known))))
        final = weights_folder() / f"{known.name}@{manifest.digest[:16]}"
        return checked(known, made_once(final, lambda folder: self._copy(known, manifest, folder)))

    def _copy(self, known: Known, manifest: Manifest, folder: Path) -> None:
        for file in manifest.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                self.store.download(f"{_prefix(known)}/{file}", folder / file)
            except FileNotFoundError as error:
                raise WeightsError(f"{self.uri(known)} lacks {file}: fetch or put it again") from error
        if manifest.fault(folder):
            where = self.uri(known)
            raise WeightsError(f"{where} has other bytes than its manifest says: delete it, and fetch or put it again")
        write_manifest(folder, manifest)

    def _only_here(self, known: Known) -> Path:
        found = find_here(known)
        if found is None:
            raise absent(known, f"in {self.store.root}, nor on this machine", f" --root {self.store.root}")
        return found

    def _at(self, uri: str, wanted: str) -> Path:
        if not uri.startswith("s3://"):
            return local_file(uri)
        with failures_of(uri):
            info = s3.head(uri)
        if info is None:
            raise WeightsError(f"there are no weights at {wanted}: correct the address")
        version = hashlib.sha256(f"{uri}\n{info.etag}".encode()).hexdigest()[:32]
        return keep_object(uri, f"object-{version}", lambda path: _download(uri, info, path))


def _prefix(known: Known) -> str:
    return f"weights/{known.name}"


def _key(uri: str) -> str:
    key = uri.removeprefix(SCHEME)
    if not key or key.startswith("/") or ".." in key.split("/"):
        raise WeightsError(f"{uri} is no key below the root: write {SCHEME}folder/file")
    return key


def _same_here(known: Known, manifest: Manifest) -> Path | None:
    try:
        folder = find_here(known)
    except WeightsError:  # what this machine has is no good; what the root has is
        return None
    return folder if folder and not manifest.fault(folder) else None


def _download(uri: str, info: s3.ObjectInfo, path: Path) -> None:
    try:
        with failures_of(uri):
            s3.download(uri, path)
            after = s3.head(uri)
    except FileNotFoundError:
        after = None
    if after != info or path.stat().st_size != info.size:
        raise WeightsError(f"{uri} changed while it was read: run it again")
