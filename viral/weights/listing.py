"""Rows of `viral weights list`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from viral.errors import WeightsError
from viral.storage.store import Store
from viral.weights.cache import find_local
from viral.weights.catalogue import CATALOGUE, PretrainedWeights
from viral.weights.manifest import combined_digest, file_digest
from viral.weights.root import RootWeights

ABSENT, PRESENT = "absent", "there"  # values in `--json`


@dataclass(frozen=True)
class WeightsRow:
    """One row of the list; the fields are the keys of `--json`.

    Attributes:
        name: name of the weights.
        size: size in bytes; None if it is not published.
        licence: name of the licence.
        commercial: whether the licence allows commercial use.
        stated: page that states the licence.
        note: further conditions of use.
        sha256: SHA-256 over all files; None if a file has neither a published hash nor a copy.
        trust: `published` if the publisher's hash is verified, `first use` if that of the first copy is.
        files: SHA-256 per file, without those that are unknown.
        places: `root` and `machine` → `there`, `absent`, or a description of the damage.
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


def weights_rows(store: Store | None) -> Iterator[WeightsRow]:
    """Yield a row per catalogued weights. In a root only the manifests are read, on this machine the files."""
    return (_row(weights, RootWeights(store) if store else None) for weights in CATALOGUE.values())


def format_rows(rows: list[WeightsRow]) -> Iterator[str]:
    """Format the rows as aligned lines, followed by the notes on licences."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        terms = row.licence if row.commercial else f"{row.licence} (no commercial use)"
        states = [(name, state) for name, state in row.places.items() if state != ABSENT]
        locations = ", ".join(name if state == PRESENT else f"{name}: {state}" for name, state in states)
        yield f"{row.name:<{width}}  {_size(row.size):>7}  {terms:<18} {_hash(row):<24} {locations or '-'}"
    yield from dict.fromkeys(f"{row.licence} ({row.stated}): {row.note}" for row in rows if row.note)
    if any(row.trust != "published" for row in rows):
        yield "first use: no hash is published; the first fetch or put records one in a manifest, later reads verify it"


def _size(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size} B"


def _hash(row: WeightsRow) -> str:
    short = row.sha256[:12] if row.sha256 else "-"  # enough to compare by eye
    return short if row.trust == "published" else f"{short} ({row.trust})"


def _row(weights: PretrainedWeights, root: RootWeights | None) -> WeightsRow:
    locations, root_files = {}, dict[str, str]()
    if root:
        locations["root"], root_files = _root_state(weights, root)
    locations["machine"], local_files = _local_state(weights)
    files = {file: digest for file, digest in weights.published.items() if digest} | (root_files or local_files)
    complete = all(len(files.get(file, "")) == 64 for file in weights.files)  # hex digits of a full SHA-256
    return WeightsRow(
        name=weights.name,
        size=weights.size,
        licence=weights.licence.name,
        commercial=weights.licence.commercial,
        stated=weights.licence.url,
        note=weights.licence.note,
        sha256=combined_digest({file: files[file] for file in weights.files}) if complete else None,
        trust="published" if all(weights.published.values()) else "first use",
        files=files,
        places=locations,
    )


def _root_state(weights: PretrainedWeights, root: RootWeights) -> tuple[str, dict[str, str]]:
    try:
        manifest = root.manifest(weights)
    except WeightsError as error:
        return str(error), {}
    if manifest is None:
        return ABSENT, {}
    state = root.mismatch(weights, manifest) or PRESENT
    return state, {file: entry.sha256 for file, entry in manifest.files.items()}


def _local_state(weights: PretrainedWeights) -> tuple[str, dict[str, str]]:
    try:
        folder = find_local(weights)
    except WeightsError as error:
        return str(error), {}
    if folder is None:
        return ABSENT, {}
    return PRESENT, {file: file_digest(folder / file) for file in weights.files}
