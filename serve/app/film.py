"""Pictures of a visitor's video, and what tells it from others: decoded in a child process, as any untrusted file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import streamlit as st

from serve.app.setup import current
from viral.duplicates.perceptual_hash import KEY_FRAMES, LATE, OPENING, perceptual_hash
from viral.features.posts import ExtractionRequest
from viral.features.reader import MediaReader
from viral.media.media import FrameBatch, Media
from viral.media.requests import Frames
from viral.storage.store import Store

FRAMES = 7  # as many as fit beside each other on a phone
_STRIP = Frames(count=FRAMES, size=(96, 96), fit="inside")
_QUALITY = 70  # of JPEG: a strip of 20 KB


@dataclass(frozen=True)
class Film:
    """Frames of a video with their times, its length, and its identity; all empty if it cannot be decoded here."""

    frames: tuple[npt.NDArray[np.uint8], ...] = ()
    times: tuple[float, ...] = ()
    seconds: float | None = None
    sha256: str | None = None
    video_hash: bytes | None = None
    images: tuple[str, ...] = field(default=(), repr=False)


@st.cache_resource(show_spinner=False, on_release=MediaReader.close)
def _reader() -> MediaReader:
    spec = current()
    return MediaReader((_STRIP, OPENING, LATE, KEY_FRAMES), Store.open(spec.root), spec.settings)


def film(path: Path) -> Film:
    """Read the pictures of a video. The endpoint says what is wrong with a bad one; here it has none."""
    (post,) = _reader().read([ExtractionRequest("draft", str(path))])
    return Film() if post.media is None else _film(post.media)


def _film(media: Media) -> Film:
    batch = media.frames(_STRIP) or FrameBatch(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0))
    return Film(
        frames=tuple(batch.data),
        times=tuple(float(time) for time in batch.pts_seconds),
        seconds=media.facts.seen_seconds,
        sha256=media.facts.sha256,
        video_hash=perceptual_hash(media),
        images=tuple(map(_data_url, batch.data)),
    )


def _data_url(frame: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
