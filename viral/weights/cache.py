"""Local cache of weights, `<name>/<file>` with a manifest, written by one process at a time."""

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


def weights_folder() -> Path:
    """Weights folder of this machine: `$VIRAL_WEIGHTS`, or one in the user's cache."""
    return Path(os.environ.get("VIRAL_WEIGHTS", _user_cache() / "viral" / "weights"))


def find_local(weights: PretrainedWeights) -> Path | None:
    """Folder of this machine that holds published weights; None if there is none.

    Searches the weights folder, by the name of the weights and of the file, and torch hub's cache.

    Raises:
        WeightsError: the files differ from the published ones or from their manifest.
    """
    folder = weights_folder() / weights.name
    if folder.is_dir():
        return verify(weights, folder)
    if isinstance(weights, WeightsFile) and weights.published[weights.file]:
        return _find_loose_file(weights)
    return None


def verify(weights: PretrainedWeights, folder: Path) -> Path:
    """Return `folder` after comparing its files with its manifest; write the manifest if files were copied by hand.

    Raises:
        WeightsError: a file is missing or has changed.
    """
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        manifest = Manifest.from_published(weights, {file: folder / file for file in weights.files}, str(folder))
        with suppress(OSError):  # in a read-only folder only the published hashes can be verified
            write_manifest(folder, manifest)
        return folder
    fault = manifest.mismatch(folder) or _unpublished(weights, manifest)
    if fault:
        raise WeightsError(
            f"{fault}: delete {folder} and run `viral weights fetch {weights.name}` or `viral weights put` again"
        )
    return folder


def add_to_cache(weights: PretrainedWeights, paths: Mapping[str, Path], manifest: Manifest) -> Path:
    """Copy files, then their manifest, into the weights folder; a no-op if the same content is there already.

    Raises:
        WeightsError: the folder has other content, or cannot be written.
    """

    def fill(folder: Path) -> None:
        for file, path in paths.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / file)
        write_manifest(folder, manifest)

    folder = verify(weights, fill_once(weights_folder() / weights.name, fill))
    check_same_content(manifest, read_manifest(folder), str(folder))
    return folder


def cache_object(uri: str, name: str, download: Callable[[Path], None]) -> Path:
    """Local copy of one version of an object outside the catalogue, downloaded once per machine.

    Args:
        uri: its address.
        name: its folder below the weights folder; unique per version.
        download: copies it to a path.

    Raises:
        WeightsError: the copy has changed since its download, or cannot be written.
    """
    file = uri.rsplit("/", 1)[-1]  # keeps the suffix, which selects the format

    def fill(folder: Path) -> None:
        download(folder / file)
        write_manifest(folder, Manifest.from_files(uri, {file: folder / file}, source=uri))

    folder = fill_once(weights_folder() / name, fill)
    fault = read_manifest(folder).mismatch(folder)
    if fault:
        raise WeightsError(f"{fault}: delete {folder}")
    return folder / file


def check_same_content(new: Manifest, old: Manifest, location: str) -> None:
    """Refuse to replace weights of the same name by others: feature tables may depend on them. Raises WeightsError."""
    if new.digest != old.digest:
        raise WeightsError(
            f"{location} holds another {old.name} (of {old.created_at}, from {old.source}): delete it first"
        )


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder."""
    return Manifest.from_json((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder atomically."""
    with atomic_write(folder / MANIFEST) as temporary:
        temporary.write_bytes(manifest.to_json())


def fill_once(final: Path, fill: Callable[[Path], object]) -> Path:
    """Return the folder `final`; if it does not exist, `fill` fills a staging folder that is then renamed to it.

    One process fills it while the others wait; the leftovers of a killed process are removed by the next.

    Raises:
        WeightsError: no space, no access.
    """
    if not final.is_dir():
        with staging_folder(final) as unfinished:  # waits for the lock
            if not final.is_dir():  # another process may have filled it
                fill(unfinished)
                _sync(unfinished)
                unfinished.rename(final)
    return final


@contextmanager
def staging_folder(final: Path) -> Iterator[Path]:
    """An empty folder next to `final`, locked for one process and deleted at the end of the block.

    Raises:
        WeightsError: no space, no access.
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
    """Folder with the file but no manifest: the layout before manifests existed, and that of torch hub."""
    hub = Path(os.environ.get("TORCH_HOME", _user_cache() / "torch")) / "hub" / "checkpoints"
    folder = next((folder for folder in (weights_folder(), hub) if (folder / weights.file).is_file()), None)
    if folder and not file_digest(folder / weights.file).startswith(weights.published[weights.file]):
        raise WeightsError(
            f"{folder / weights.file} is not the published {weights.name}: "
            f"delete it and run `viral weights fetch {weights.name}`"
        )
    return folder


def _unpublished(weights: PretrainedWeights, manifest: Manifest) -> str | None:
    """Describe the first file whose hash in the manifest is not the published one."""
    for file, digest in weights.published.items():
        if file not in manifest.files or not manifest.files[file].sha256.startswith(digest):
            return f"{file} of {weights.name} is not the published one"
    return None


def _sync(folder: Path) -> None:
    """Flush the files to disk before the folder is renamed, so that a power cut leaves no empty files in it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
