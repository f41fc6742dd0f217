"""Weights in a root, shared by all nodes: `weights/<name>/<file>`, with a manifest per name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from viral.errors import WeightsError
from viral.storage import s3
from viral.storage.store import Store, storage_errors
from viral.weights.cache import (
    cache_object,
    check_same_content,
    fill_once,
    find_local,
    verify,
    weights_folder,
    write_manifest,
)
from viral.weights.catalogue import PretrainedWeights
from viral.weights.manifest import MANIFEST, Manifest
from viral.weights.pinned import check_pinned, split_pinned
from viral.weights.resolve import missing_weights_error, resolve_local

SCHEME = "root:"
"""URI scheme of a key below the root: `root:models/video/0001/backbone.safetensors`."""


@dataclass(frozen=True)
class RootWeights:
    """Resolver of weights for work on a root: the `resolve` of its feature sets. Picklable.

    Every node uses the weights of the root. If the machine has a copy of the same content, that is used; otherwise a
    root in a folder is read in place, and a root on S3 is downloaded once per machine. Weights that the root lacks are
    taken from the machine (`viral weights fetch` without `--root`).
    """

    store: Store

    def __call__(self, weights: str | PretrainedWeights) -> Path:
        """Resolve catalogued weights, a path, a URI or a key below the root to a local file, or a hub model's folder.

        Raises:
            WeightsError: the weights are missing, or their content has changed.
            StorageError: the storage refused or failed.
        """
        if not isinstance(weights, str):
            manifest = self.manifest(weights)
            return weights.path_in(self._folder(weights, manifest) if manifest else self._local_copy(weights))
        uri, digest = split_pinned(weights)
        resolved = self.store.uri(_root_key(uri)) if uri.startswith(SCHEME) else uri
        return check_pinned(self._resolve_uri(resolved, uri), digest)

    def uri(self, weights: PretrainedWeights) -> str:
        """Address of catalogued weights in the root."""
        return self.store.uri(_prefix(weights))

    def manifest(self, weights: PretrainedWeights) -> Manifest | None:
        """Manifest of weights in the root; None if the root lacks the weights, or their upload is unfinished."""
        key = f"{_prefix(weights)}/{MANIFEST}"
        try:
            return Manifest.from_json(self.store.read(key), self.store.uri(key))
        except FileNotFoundError:
            return None

    def digest(self, weights: PretrainedWeights) -> str | None:
        """One SHA-256 over all files, from the root's manifest; None if the root lacks the weights."""
        manifest = self.manifest(weights)
        return manifest.digest if manifest else None

    def put(self, weights: PretrainedWeights, paths: Mapping[str, Path], manifest: Manifest) -> str:
        """Upload files, then their manifest, unless the root has them; return their address in the root.

        Raises:
            WeightsError: the root has different content. StorageError: the storage refused or failed.
        """
        uri, existing = self.uri(weights), self.manifest(weights)
        if existing:
            check_same_content(manifest, existing, uri)
        # Same content, but perhaps an object is gone: upload again.
        if not existing or self.mismatch(weights, existing):
            for file, path in paths.items():
                self.store.upload(path, f"{_prefix(weights)}/{file}")
            # Last, because it marks the upload as complete.
            self.store.write(f"{_prefix(weights)}/{MANIFEST}", manifest.to_json())
        return uri

    def mismatch(self, weights: PretrainedWeights, manifest: Manifest) -> str | None:
        """Describe the first file that is missing or whose size differs from the manifest; None if all sizes match."""
        # Sizes only: one listing, where hashes would download everything. Readers compare the hashes.
        sizes = {info.key: info.size for info in self.store.objects(_prefix(weights))}
        for file, entry in manifest.files.items():
            key = f"{_prefix(weights)}/{file}"
            if sizes.get(key) != entry.size:
                return f"{self.store.uri(key)} {'has changed in size' if key in sizes else 'is missing'}"
        return None

    def _folder(self, weights: PretrainedWeights, manifest: Manifest) -> Path:
        # The root decides which content; the machine's copy only saves the download.
        if local := _same_local_copy(weights, manifest):
            return local
        if not self.store.on_s3:
            return verify(weights, Path(self.store.path(_prefix(weights))))
        final = weights_folder() / f"{weights.name}@{manifest.digest[:16]}"  # new content gets a new folder
        return verify(weights, fill_once(final, lambda folder: self._copy(weights, manifest, folder)))

    def _copy(self, weights: PretrainedWeights, manifest: Manifest, folder: Path) -> None:
        for file in manifest.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                self.store.download(f"{_prefix(weights)}/{file}", folder / file)
            except FileNotFoundError as error:
                raise WeightsError(f"{self.uri(weights)} lacks {file}: fetch or put it again") from error
        if manifest.mismatch(folder):
            raise WeightsError(f"{self.uri(weights)} differs from its manifest: delete it, and fetch or put it again")
        write_manifest(folder, manifest)

    def _local_copy(self, weights: PretrainedWeights) -> Path:
        folder = find_local(weights)
        if folder is None:
            root = self.store.root
            raise missing_weights_error(weights, f"in {root}, nor on this machine", f" --root {root}")
        return folder

    def _resolve_uri(self, uri: str, name: str) -> Path:
        if not uri.startswith("s3://"):
            return resolve_local(uri)
        with storage_errors(uri):
            info = s3.head(uri)
        if info is None:
            raise WeightsError(f"there are no weights at {name}: correct the address")
        # A new name per version of the object.
        version = hashlib.sha256(f"{uri}\n{info.etag}".encode()).hexdigest()[:32]
        return cache_object(uri, f"object-{version}", lambda path: _download(uri, info, path))


def _prefix(weights: PretrainedWeights) -> str:
    return f"weights/{weights.name}"


def _root_key(uri: str) -> str:
    key = uri.removeprefix(SCHEME)
    if not key or key.startswith("/") or ".." in key.split("/"):
        raise WeightsError(f"{uri} is not a key below the root: write {SCHEME}folder/file")
    return key


def _same_local_copy(weights: PretrainedWeights, manifest: Manifest) -> Path | None:
    try:
        folder = find_local(weights)
    except WeightsError:  # the machine's copy is damaged
        return None
    return folder if folder and not manifest.mismatch(folder) else None


def _download(uri: str, info: s3.ObjectInfo, path: Path) -> None:
    try:
        with storage_errors(uri):
            s3.download(uri, path)
            after = s3.head(uri)
    except FileNotFoundError:
        after = None
    if after != info or path.stat().st_size != info.size:  # replaced during the download
        raise WeightsError(f"{uri} changed while it was read: run the command again")
