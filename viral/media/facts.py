"""Facts of a probed file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from viral.media.media import Facts
from viral.media.probe import Probe


def collect_facts(path: str, probe: Probe, decoder: str | None) -> Facts:
    """Collect the facts of a probed file. Reads the file again to hash it."""
    # A second read of the file, mostly from the page cache of the first.
    size, sha256 = size_and_sha256(path)
    return Facts(
        container=probe.container,
        video_codec=probe.video_codec,
        audio_codec=probe.audio_codec,
        width=probe.geometry.width,
        height=probe.geometry.height,
        rotation=probe.geometry.orientation.rotation,
        transfer=probe.colour.transfer,
        hdr=probe.colour.hdr,
        fps=probe.fps,
        declared_seconds=probe.declared_seconds,
        seen_seconds=probe.seen_seconds,
        decoder=decoder,
        bytes=size,
        sha256=sha256,
    )


def size_and_sha256(path: str) -> tuple[int, str]:
    """Return the size of a file in bytes and its SHA-256."""
    with Path(path).open("rb") as file:
        return Path(path).stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
