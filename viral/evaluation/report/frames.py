"""Preview frames of posts for a scorecard."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from viral.config import Settings
from viral.errors import ViralError
from viral.features.posts import DecodedPost, ExtractionRequest
from viral.features.reader import MediaReader
from viral.media.requests import Frames
from viral.storage.store import Store

WIDTH, HEIGHT = 160, 288  # limits of a preview, in the shape of an upright phone video
_QUALITY = 70  # of the JPEG: previews are small, and the page embeds a dozen
_SECONDS = 20.0  # to decode one file: previews are optional, so a slow file is skipped
# A key frame near the middle: the cheapest picture that is not the opening.
_REQUEST = Frames(size=(WIDTH, WIDTH), count=1, choice="key", fit="inside")


def preview_frames(store: Store, videos: Mapping[str, str | None], settings: Settings) -> dict[str, str]:
    """Return one frame per video as a JPEG data URI, by post id; unreadable videos are left out, without an error.

    Args:
        store: the root, for keys relative to it.
        videos: the `video_uri` of each post, by post id.
        settings: limits of media and of the sandbox that decodes it.
    """
    box = settings.sandbox.model_copy(update={"seconds": min(_SECONDS, settings.sandbox.seconds)})
    reader = MediaReader((_REQUEST,), store, settings.model_copy(update={"sandbox": box}))
    images: dict[str, str] = {}
    try:
        for decoded in reader.read(ExtractionRequest(post, uri) for post, uri in videos.items() if uri):
            if (picture := _picture(decoded)) is not None:
                images[decoded.request.post_id] = as_data_uri(picture)
    except (ViralError, OSError):
        pass  # no child process or no disk space: the scorecard is useful without previews
    finally:
        reader.close()
    return images


def as_data_uri(picture: npt.NDArray[np.uint8]) -> str:
    """Encode a picture (H, W, 3) as a JPEG of at most `WIDTH` by `HEIGHT`, keeping its aspect ratio."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((WIDTH, HEIGHT))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _picture(decoded: DecodedPost) -> npt.NDArray[np.uint8] | None:
    frames = decoded.media.frames(_REQUEST) if decoded.media else None
    return frames.data[0] if frames is not None and len(frames.data) else None
