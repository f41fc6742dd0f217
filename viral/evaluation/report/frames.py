"""A small picture of a post, where its video can be had."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from viral.config import Settings
from viral.errors import ViralError
from viral.features.reader import Decoded, Job, Reader
from viral.media.requests import Frames
from viral.storage.store import Store

WIDTH, HEIGHT = 160, 288
"""The largest picture: a phone's, upright."""
_QUALITY = 70
_SECONDS = 20.0
"""Of decoding a file. A scorecard shows a dozen pictures, and can do without any."""
_REQUEST = Frames(size=(WIDTH, WIDTH), count=1, choice="key", fit="inside")


def frames_of(store: Store, videos: Mapping[str, str | None], settings: Settings) -> dict[str, str]:
    """A frame of each video as a data URI of a JPEG, by post; posts whose video cannot be had or decoded are left out.

    It never raises for want of a picture. The files are decoded in a sandbox.

    Args:
        store: where keys below the root are read from.
        videos: the `video_uri` of each post, by post id.
        settings: limits of media and sandbox.
    """
    box = settings.sandbox.model_copy(update={"seconds": min(_SECONDS, settings.sandbox.seconds)})
    reader = Reader((_REQUEST,), store, settings.model_copy(update={"sandbox": box}))
    found: dict[str, str] = {}
    try:
        for decoded in reader.run(Job(post, uri) for post, uri in videos.items() if uri):
            if (picture := _picture(decoded)) is not None:
                found[decoded.job.post_id] = as_data_uri(picture)
    except (ViralError, OSError):
        pass  # no child process, no room for a copy: the figures are worth having without pictures
    finally:
        reader.close()
    return found


def as_data_uri(picture: npt.NDArray[np.uint8]) -> str:
    """A picture (H, W, 3) as a JPEG of at most `WIDTH` by `HEIGHT`, its sides in proportion."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((WIDTH, HEIGHT))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _picture(decoded: Decoded) -> npt.NDArray[np.uint8] | None:
    frames = decoded.media.frames(_REQUEST) if decoded.media else None
    return frames.data[0] if frames is not None and len(frames.data) else None
