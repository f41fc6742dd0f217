"""The known weights as `viral weights list` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from viral.errors import WeightsError
from viral.storage.store import Store
from viral.weights.cache import find_here
from viral.weights.catalogue import KNOWN_WEIGHTS, Known
from viral.weights.manifest import Manifest, digest_of, file_digest
from viral.weights.root import RootWeights

ABSENT, WHOLE = "absent", "there"


@dataclass(frozen=True)
class Listed:
    """One line of the list.

    Attributes:
        name: of the weights.
        size: in bytes; None where neither the publisher nor a manifest tells.
        licence: its name; `commercial` says whether it allows commercial use, `stated` where it is written.
        note: what else binds the user.
        sha256: over all files; None where it is not known yet.
        trust: `published`: the hash is the publisher's; `first use`: it is what came first, and is checked since.
        files: the SHA-256 of each file, as far as it is known.
        places: `root` and `machine`, each `there`, `absent`, or what is wrong with it.
    """

    name: str
    size: int | None
    licence: str
    commercial: bool
    stated: str
    note: str
    sha256: str | None
    trust: str
    files: Mapping[str, str]
    places: Mapping[str, str]


def listed(store: Store | None) -> Iterator[Listed]:
    """All known weights; those of a root by its manifests, those of this machine by their bytes."""
    return (_listed(known, RootWeights(store) if store else None) for known in KNOWN_WEIGHTS.values())


def lines(rows: list[Listed]) -> Iterator[str]:
    """The list for people, with the notes that several share below it."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        terms = row.licence if row.commercial else f"{row.licence} (no commercial use)"
        where = ", ".join(place if said == WHOLE else f"{place}: {said}" for place, said in _told(row.places))
        yield f"{row.name:<{width}}  {_size(row.size):>7}  {terms:<18} {_hash(row):<24} {where or '-'}"
    yield from dict.fromkeys(f"{row.licence} ({row.stated}): {row.note}" for row in rows if row.note)
    if any(row.trust != "published" for row in rows):
        yield "first use: no hash is published; what is fetched or put first is noted in a manifest and checked since"


def _told(places: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(place, said) for place, said in places.items() if said != ABSENT]


def _size(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size} B"


def _hash(row: Listed) -> str:
    short = row.sha256[:12] if row.sha256 else "-"
    return short if row.trust == "published" else f"{short} ({row.trust})"


def _listed(known: Known, root: RootWeights | None) -> Listed:
    places, found = {}, None
    if root:
        places["root"], found = _in_root(known, root)
    places["machine"], here = _here(known)
    files = {file: digest for file, digest in known.published.items() if digest} | (found or here)
    whole = all(len(files.get(file, "")) == 64 for file in known.files)
    return Listed(
        name=known.name,
        size=known.size,
        licence=known.licence.name,
        commercial=known.licence.commercial,
        stated=known.licence.stated,
        note=known.licence.note,
        sha256=digest_of({file: files[file] for file in known.files}) if whole else None,
        trust="published" if all(known.published.values()) else "first use",
        files=files,
        places=places,
    )


def _in_root(known: Known, root: RootWeights) -> tuple[str, dict[str, str]]:
    try:
        manifest: Manifest | None = root.manifest(known)
    except WeightsError as error:
        return str(error), {}
    if manifest is None:
        return ABSENT, {}
    return root.fault(known, manifest) or WHOLE, {file: entry.sha256 for file, entry in manifest.files.items()}


def _here(known: Known) -> tuple[str, dict[str, str]]:
    try:
        folder = find_here(known)
    except WeightsError as error:
        return str(error), {}
    if folder is None:
        return ABSENT, {}
    return WHOLE, {file: file_digest(folder / file) for file in known.files}
