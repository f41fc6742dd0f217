"""Local cache of weights: a folder per name, with the files and a manifest. One process writes it at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from viral.errors import WeightsError
from viral.storage.local import atomic_write
from viral.weights.catalogue import PretrainedWeights, WeightsFile
from viral.weights.manifest import MANIFEST, Manifest, file_digest
from viral.weights.packaged import find_packaged


def weights_folder() -> Path:
    """Weights folder of this machine: `$VIRAL_WEIGHTS`, or by default a folder in the user's cache."""
    return Path(os.environ.get("VIRAL_WEIGHTS", _user_cache() / "viral" / "weights"))


def find_local(weights: PretrainedWeights) -> Path | None:
    """Search the weights folder, then torch hub's cache or the weights' package; return their folder, or None.

    Raises:
        WeightsError: the files differ from the published ones or from their manifest.
    """
    folder = weights_folder() / weights.name
    if folder.is_dir():
        return verify(weights, folder)
    if isinstance(weights, WeightsFile):
        # Without a published hash, nothing tells a loose file from another one of the same name.
        return _find_loose_file(weights) if weights.published[weights.file] else None
    # Last: what the user put into the weights folder goes before an installed package.
    return find_packaged(weights)


def verify(weights: PretrainedWeights, folder: Path) -> Path:
    """Compare the files of `folder` with its manifest and return `folder`. Files copied by hand get a manifest.

    Raises:
        WeightsError: a file is missing or has changed.
    """
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        # Copied by hand: checked against the published hashes, and from now on against these files.
        manifest = Manifest.from_published(weights, {file: folder / file for file in weights.files}, str(folder))
        with suppress(OSError):  # in a read-only folder only the published hashes can be verified
            write_manifest(folder, manifest)
        return folder
    if fault := manifest.mismatch(folder) or _unpublished(weights, manifest):
        raise WeightsError(
            f"{fault}: delete {folder} and run `viral weights fetch {weights.name}` or `viral weights put` again"
        )
    return folder


def add_to_cache(weights: PretrainedWeights, paths: Mapping[str, Path], manifest: Manifest) -> Path:
    """Copy files, then their manifest, into the weights folder; do nothing if it has the same content.

    Raises:
        WeightsError: the folder has different content, or cannot be written.
    """

    def fill(folder: Path) -> None:
        """Copy the files into an empty folder, with their manifest."""
        for file, path in paths.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / file)
        write_manifest(folder, manifest)

    # A folder that is there already is not replaced: it must hold the same files.
    folder = verify(weights, fill_once(weights_folder() / weights.name, fill))
    check_same_content(manifest, read_manifest(folder), str(folder))
    return folder


def cache_object(uri: str, name: str, download: Callable[[Path], None]) -> Path:
    """Return the local copy of an object outside the catalogue, after downloading it once per machine and version.

    Args:
        uri: address of the object.
        name: folder of this version, below the weights folder.
        download: downloads the object to a path.

    Raises:
        WeightsError: the copy has changed since its download, or cannot be written.
    """
    file = uri.rsplit("/", 1)[-1]  # with the suffix, which selects the format

    def fill(folder: Path) -> None:
        """Download the file into an empty folder, with its manifest."""
        download(folder / file)
        write_manifest(folder, Manifest.from_files(uri, {file: folder / file}, source=uri))

    folder = fill_once(weights_folder() / name, fill)
    if fault := read_manifest(folder).mismatch(folder):
        raise WeightsError(f"{fault}: delete {folder}")
    return folder / file


def check_same_content(new: Manifest, old: Manifest, location: str) -> None:
    """Raise WeightsError if `new` would replace different weights of that name: feature tables may depend on them."""
    if new.digest != old.digest:
        origin = f"{old.created_at}, from {old.source}"
        raise WeightsError(f"{location} holds a different {old.name} (of {origin}): delete it first")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder."""
    return Manifest.from_json((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder atomically."""
    with atomic_write(folder / MANIFEST) as temporary:
        temporary.write_bytes(manifest.to_json())


def fill_once(final: Path, fill: Callable[[Path], object]) -> Path:
    """Return the folder `final`. If it does not exist, call `fill` with a staging folder and rename that to `final`.

    One process fills the folder while the others wait.

    Raises:
        WeightsError: the folder cannot be written, or the disk is full.
    """
    if not final.is_dir():
        with staging_folder(final) as folder:  # waits for the lock
            if not final.is_dir():  # another process may have filled it meanwhile
                fill(folder)
                for path in folder.rglob("*"):  # flush all files first: a power cut must not leave empty ones
                    if path.is_file():
                        with path.open("rb") as file:
                            os.fsync(file.fileno())
                # The rename comes last and is atomic: `final` is complete, or it is not there.
                folder.rename(final)
    return final


@contextmanager
def staging_folder(final: Path) -> Iterator[Path]:
    """Create an empty folder next to `final`, lock it for one process, and delete it at the end of the block.

    Raises:
        WeightsError: the folder cannot be written, or the disk is full.
    """
    folder = final.with_name(f".{final.name}.part")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with final.with_name(f".{final.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(folder, ignore_errors=True)  # left by a killed process
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(
            f"cannot write {error.filename or final} ({reason}): free some space, or set another VIRAL_WEIGHTS"
        ) from error


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))


def _find_loose_file(weights: WeightsFile) -> Path | None:
    """Search for the file without a manifest, as torch hub stores it and `viral` did before it had manifests."""
    # Files that torchvision has downloaded before are used as they are.
    hub = Path(os.environ.get("TORCH_HOME", _user_cache() / "torch")) / "hub" / "checkpoints"
    folder = next((folder for folder in (weights_folder(), hub) if (folder / weights.file).is_file()), None)
    if folder and not file_digest(folder / weights.file).startswith(weights.published[weights.file]):
        raise WeightsError(
            f"{folder / weights.file} differs from the published {weights.name}: "
            f"delete it and run `viral weights fetch {weights.name}`"
        )
    return folder


def _unpublished(weights: PretrainedWeights, manifest: Manifest) -> str | None:
    """Describe the first file whose hash in the manifest differs from the published hash."""
    for file, digest in weights.published.items():
        if file not in manifest.files or not manifest.files[file].sha256.startswith(digest):
            return f"{file} of {weights.name} differs from the published file"
    return None
