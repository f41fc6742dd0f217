"""The weights on this machine: `<name>/<file>` and a manifest in the weights folder, which processes fill in turn."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from viral.errors import WeightsError
from viral.storage.local import aside
from viral.weights.catalogue import Known, KnownWeights
from viral.weights.manifest import MANIFEST, Manifest, file_digest


def weights_folder() -> Path:
    """Where weights are kept on this machine: `$VIRAL_WEIGHTS`, or the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("VIRAL_WEIGHTS", cache / "viral" / "weights"))


def find_here(known: Known) -> Path | None:
    """The folder of this machine that holds published weights; None where they are not here.

    They are looked for in the weights folder, by the name of the weights or that of the file, and in torch hub's cache.

    Raises:
        WeightsError: they are here, and are not what they are said to be.
    """
    folder = weights_folder() / known.name
    if folder.is_dir():
        return checked(known, folder)
    if isinstance(known, KnownWeights) and known.published[known.file]:
        return _loose(known)
    return None


def checked(known: Known, folder: Path) -> Path:
    """`folder`, if its files are those of its manifest. One without a manifest, copied there by hand, gets it now.

    Raises:
        WeightsError: a file is missing, or has other bytes.
    """
    again = f"delete {folder} and run `viral weights fetch {known.name}` or `viral weights put` again"
    try:
        written = Manifest.from_json((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
    except FileNotFoundError:
        written = Manifest.of(known, {file: folder / file for file in known.files}, str(folder))
        with suppress(OSError):  # of a folder that is not ours to write, only what is published can be checked
            write_manifest(folder, written)
        return folder
    fault = written.fault(folder) or _unpublished(known, written)
    if fault:
        raise WeightsError(f"{fault}: {again}")
    return folder


def keep(known: Known, paths: Mapping[str, Path], manifest: Manifest) -> Path:
    """Copy files into the weights folder, with their manifest last; where the same are already, nothing is done.

    Raises:
        WeightsError: others are there, or the folder cannot be written.
    """

    def fill(folder: Path) -> None:
        for file, path in paths.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / file)
        write_manifest(folder, manifest)

    folder = checked(known, made_once(weights_folder() / known.name, fill))
    refuse_others(manifest, read_manifest(folder), str(folder))
    return folder


def keep_object(uri: str, name: str, download: Callable[[Path], None]) -> Path:
    """One version of an object that is no known weights, copied once a machine; whole, or it is refused.

    Args:
        uri: its address.
        name: of its folder in the weights folder; another version has another.
        download: copies it to a path.

    Raises:
        WeightsError: the copy has other bytes than it had when it came, or cannot be written.
    """
    file = uri.rsplit("/", 1)[-1]

    def fill(folder: Path) -> None:
        download(folder / file)
        write_manifest(folder, Manifest.made(uri, {file: folder / file}, source=uri))

    folder = made_once(weights_folder() / name, fill)
    fault = read_manifest(folder).fault(folder)
    if fault:
        raise WeightsError(f"{fault}: delete {folder}")
    return folder / file


def refuse_others(new: Manifest, old: Manifest, where: str) -> None:
    """Refuse to put weights where others of that name are: feature tables may have been made with those.

    Raises:
        WeightsError: they are others.
    """
    if new.digest != old.digest:
        raise WeightsError(
            f"{where} holds {old.name} with other bytes (of {old.at}, from {old.source}): delete it first"
        )


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder."""
    return Manifest.from_json((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into its folder, whole or not at all."""
    with aside(folder / MANIFEST) as temporary:
        temporary.write_bytes(manifest.to_json())


def made_once(final: Path, fill: Callable[[Path], object]) -> Path:
    """The folder `final`, which `fill` is given aside to fill: it appears whole or not at all.

    Of several processes one fills it while the others wait; what one that was killed left is removed by the next.

    Raises:
        WeightsError: no space, no access.
    """
    if not final.is_dir():
        with staging(final) as unfinished:
            if not final.is_dir():
                fill(unfinished)
                _sync(unfinished)
                unfinished.rename(final)
    return final


@contextmanager
def staging(final: Path) -> Iterator[Path]:
    """An empty folder beside `final`, of one process at a time; what is left in it vanishes at the block's end.

    Raises:
        WeightsError: no space, no access.
    """
    folder = final.with_name(f".{final.name}.part")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with final.with_name(f".{final.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(folder, ignore_errors=True)
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


def _loose(known: KnownWeights) -> Path | None:
    """The file as it was kept before there were manifests, and as torch hub keeps it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    hub = Path(os.environ.get("TORCH_HOME", cache / "torch")) / "hub" / "checkpoints"
    folder = next((each for each in (weights_folder(), hub) if (each / known.file).is_file()), None)
    if folder and not file_digest(folder / known.file).startswith(known.published[known.file]):
        raise WeightsError(
            f"{folder / known.file} is not the published {known.name}: "
            f"delete it and run `viral weights fetch {known.name}`"
        )
    return folder


def _unpublished(known: Known, written: Manifest) -> str | None:
    """The first file whose hash in a manifest is not the published one, in words."""
    for file, begins in known.published.items():
        if file not in written.files or not written.files[file].sha256.startswith(begins):
            return f"{file} of {known.name} is not the published one"
    return None


def _sync(folder: Path) -> None:
    """Bring the files to the disk before the folder's name: a power cut must not leave empty ones under it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
