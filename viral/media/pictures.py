"""Pictures of photo sets: read with Pillow, upright, as RGB."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from viral.errors import PostError, TooLargeError, UnreadableError, UnsupportedCodecError
from viral.media.resize import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

# What platforms and phones store. Pillow knows more, for some of which it starts other programs (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP")
# Brands of an ISO base media file (bytes 8 to 12) whose pictures this installation may have no decoder for.
_UNREAD = {
    b"avif": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"heim": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
}
_SIDEWAYS = 5  # values of the EXIF tag from here on exchange width and height
_STILLS = "MPO"  # a JPEG with further pictures, for depth or brightness, which are not shown


@dataclass(frozen=True)
class PictureHeader:
    """Size of an upright picture, its format in lower case, and whether it moves."""

    width: int
    height: int
    format: str
    animated: bool


def read_header(path: str, max_pixels: int) -> PictureHeader:
    """Read the header of a picture.

    Raises:
        UnreadableError, UnsupportedCodecError, TooLargeError: the picture cannot be used.
    """
    with _opened(path, max_pixels) as image:
        width, height = image.size if _orientation(image) < _SIDEWAYS else image.size[::-1]
        name = image.format or ""
        animated = bool(getattr(image, "is_animated", False)) and name != _STILLS
        return PictureHeader(width, height, "jpeg" if name == _STILLS else name.lower(), animated)


def read_picture(path: str, max_pixels: int) -> Image:
    """Decode a picture to RGB (H, W, 3), upright; of one that moves the first picture. What is transparent is black.

    Raises:
        UnreadableError, UnsupportedCodecError, TooLargeError: the picture cannot be used.
    """
    from PIL import Image as Pillow
    from PIL import ImageOps

    with _opened(path, max_pixels) as image:
        image.load()
        upright = ImageOps.exif_transpose(image) if _orientation(image) > 1 else image
        # Onto black, as `_fit` fills the frame.
        if upright.has_transparency_data:
            black = Pillow.new("RGBA", upright.size, (0, 0, 0, 255))
            upright = Pillow.alpha_composite(black, upright.convert("RGBA"))
        elif upright.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
            upright = Pillow.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        return np.array(upright.convert("RGB"), np.uint8)


@contextmanager
def _opened(path: str, max_pixels: int) -> Iterator[PillowImage]:
    """Open a picture; turn whatever Pillow raises for a damaged one into an error of the post."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    Pillow.init()  # loads the formats, once
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a size beyond Pillow's own limit
            image = Pillow.open(path, formats=[name for name in FORMATS if name in Pillow.OPEN])
        with image:
            if image.width * image.height > max_pixels:
                raise TooLargeError(_too_large(f"{image.width} x {image.height}", max_pixels))
            yield image
    # These come from the block of the caller, too, and must arrive as they are.
    except (PostError, MemoryError):
        raise
    except Pillow.DecompressionBombError:
        raise TooLargeError(_too_large("far too many", max_pixels)) from None
    except UnidentifiedImageError:
        raise _unidentified(path) from None
    except Exception as error:  # decoders raise anything on a damaged file; it costs one post
        raise UnreadableError(f"the picture is damaged ({type(error).__name__}: {error})") from error


def _too_large(pixels: str, max_pixels: int) -> str:
    return f"the picture has {pixels} pixels, more than media.max_pixels = {max_pixels}"


def _unidentified(path: str) -> PostError:
    with Path(path).open("rb") as file:
        head = file.read(12)
    if not head:
        return UnreadableError("the file is empty")
    if head[4:8] == b"ftyp" and (name := _UNREAD.get(head[8:12])):
        return UnsupportedCodecError(f"the picture is {name}, for which there is no decoder: convert it to JPEG")
    return UnreadableError(f"the file is damaged, or no picture of a known format ({', '.join(FORMATS)})")


def _orientation(image: PillowImage) -> int:
    """Value of the EXIF tag; 1, upright, if it cannot be read, as in a browser."""
    try:
        value: Any = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - as above
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
