"""Evidence of a sighting: a bundle of files in the root, with a manifest of their hashes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from viral.errors import UsageError
from viral.storage.store import Store

MANIFEST, STAMP = "manifest.json", "manifest.tsr"
NOTICE = "Possible match, verify: a program found this, and nobody has confirmed it."
FORMAT = 1  # of the manifest; a reader refuses a newer one


@dataclass(frozen=True)
class EvidenceFrame:
    """A frame of a sighting: uint8 RGB `image` (H, W, 3) as displayed, its time in the video and its score."""

    seconds: float
    score: float
    image: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EvidenceBundle:
    """What is known of a sighting.

    Attributes:
        sighting_id: see `viral.tables.sightings`.
        about: facts for the manifest: target, model, decision, times, hashes of the video.
        post: the post as it was scraped.
        frames: those of the decision, in order of time.
        attachments: further files by name, such as C2PA data.
    """

    sighting_id: str
    about: Mapping[str, Any]
    post: Mapping[str, Any]
    frames: Sequence[EvidenceFrame]
    attachments: Mapping[str, bytes] = field(default_factory=dict)


def bundle_prefix(sighting_id: str) -> str:
    """Prefix of a bundle below the root."""
    return f"monitor/evidence/{sighting_id}"


def write_bundle(store: Store, bundle: EvidenceBundle) -> str:
    """Write a bundle unless it exists; return the SHA-256 of its manifest.

    The manifest is written last, and never replaced: a bundle that was interrupted has none and is written again.
    """
    prefix = bundle_prefix(bundle.sighting_id)
    if store.exists(f"{prefix}/{MANIFEST}"):
        return hashlib.sha256(store.read(f"{prefix}/{MANIFEST}")).hexdigest()
    files = {f"frames/{frame.seconds:09.3f}.png": _png(frame.image) for frame in bundle.frames}
    files |= {"post.json": to_json(bundle.post)} | dict(bundle.attachments)
    for name, content in files.items():
        store.write(f"{prefix}/{name}", content)
    manifest = to_json(
        {
            "format": FORMAT,
            "notice": NOTICE,
            "sighting_id": bundle.sighting_id,
            **bundle.about,
            "frames": [
                {"file": name, "seconds": round(frame.seconds, 3), "score": round(frame.score, 4)}
                for name, frame in zip(files, bundle.frames, strict=False)
            ],
            "files": {name: _facts(content) for name, content in sorted(files.items())},
        }
    )
    store.write_new(f"{prefix}/{MANIFEST}", manifest)
    return hashlib.sha256(store.read(f"{prefix}/{MANIFEST}")).hexdigest()


def add_stamp(store: Store, sighting_id: str, stamp: bytes) -> None:
    """Add the time stamp of a bundle's manifest."""
    store.write_new(f"{bundle_prefix(sighting_id)}/{STAMP}", stamp)


def read_bundle(store: Store, sighting_id: str) -> dict[str, bytes]:
    """Read the files of a bundle by name.

    Raises:
        UsageError: there is none, or it was deleted at the end of its retention time.
    """
    prefix = bundle_prefix(sighting_id)
    files = {info.key.removeprefix(f"{prefix}/"): store.read(info.key) for info in store.objects(prefix)}
    if MANIFEST not in files:
        raise UsageError(
            f"there is no evidence {sighting_id} in {store.root}: `viral monitor sightings` lists the ids; "
            "bundles are deleted at the end of their retention time"
        )
    return files


def delete_bundle(store: Store, sighting_id: str) -> None:
    """Delete a bundle, its manifest first, so that what is left is never read as one."""
    store.delete([f"{bundle_prefix(sighting_id)}/{MANIFEST}"])
    store.delete_below(bundle_prefix(sighting_id))


def to_json(values: Mapping[str, Any]) -> bytes:
    """Serialise values so that equal ones have equal bytes."""
    return json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")  # lossless: the frame as it was decoded
    return file.getvalue()
