"""Pictures of photo sets."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

SIZE = (54, 96)
"""Width and height of a picture, unless said otherwise: a phone's, small."""
BROKEN = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(200)
"""A JPEG that ends after its start."""
HEIC = b"\x00\x00\x00\x18ftypheic" + bytes(64)
"""The head of a phone's picture."""


def write_picture(
    path: Path, colour: str = "red", size: tuple[int, int] = SIZE, *, sideways: bool = False, moves: bool = False
) -> str:
    """Write a picture of one colour; the suffix of the path decides how. Returns its name.

    One that lies `sideways` has its upper half black, and asks to be turned clockwise.
    """
    image = Image.new("RGB", size, colour)
    options: dict[str, object] = {}
    if sideways:
        image.paste("black", (0, 0, size[0], size[1] // 2))
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    if moves:
        options |= {"save_all": True, "append_images": [Image.new("RGB", size, "white")]}
    image.save(path, **options)
    return path.name
