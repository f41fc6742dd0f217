"""Formats of videos, pictures and sounds, recognised by their first bytes: names and Content-Type may be wrong."""

from __future__ import annotations

HEAD_BYTES = 512
"""Bytes that `container_extension` needs: its longest signature is two transport packets of 192 bytes."""

# Brands of images and audio in ISO containers.
_NOT_VIDEO_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1", b"msf1", b"M4A ", b"M4B ", b"crx ")
_PICTURE_BRANDS = {b"avif": "avif", b"avis": "avif", b"mif1": "heif"} | dict.fromkeys(
    (b"heic", b"heix", b"heif"), "heic"
)
_PART_SIGNATURES = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"ID3": "mp3",
    b"OggS": "ogg",
    b"fLaC": "flac",
    b"\x1aE\xdf\xa3": "webm",
}
_TS, _M2TS = 188, 192  # bytes per packet; an M2TS packet starts with a timestamp of 4 bytes


def container_extension(head: bytes) -> str | None:
    """File extension of the video container that starts with `head`: `mp4`, `webm`, …; None if it is not a video.

    Signatures: ISO/IEC 14496-12 (boxes), RFC 8794 (EBML), ISO/IEC 13818-1 (transport and program streams).
    """
    # The type of the first box, after its length of four bytes.
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp"):
        return _iso_extension(head)
    if head.startswith(b"\x1aE\xdf\xa3"):  # EBML
        return "webm" if b"webm" in head[:64] else "mkv"  # the DocType is near the start
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"FLV\x01"):
        return "flv"
    if head.startswith(b"OggS"):
        return "ogv"
    if head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"):  # ASF
        return "wmv"
    if head.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")):  # program stream, or a bare video stream
        return "mpg"
    return "ts" if _is_transport_stream(head) else None


def part_extension(head: bytes) -> str | None:
    """File extension of the picture or sound that starts with `head`; None if it is neither.

    Platforms serve sounds as MP3, AAC or in MP4. HEIC is fetched, too: the backfill names what it cannot decode.
    """
    if head[4:8] == b"ftyp":
        return _PICTURE_BRANDS.get(head[8:12], "m4a")
    if head.startswith(b"RIFF"):
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(head[8:12])
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0:  # sync word of MPEG audio; bits 1, 2: layer
        return "mp3" if head[1] & 0x06 else "aac"
    return next((extension for magic, extension in _PART_SIGNATURES.items() if head.startswith(magic)), None)


def _iso_extension(head: bytes) -> str | None:
    if head[4:8] != b"ftyp":
        return "mp4" if head[4:8] == b"styp" else "mov"  # QuickTime files older than ftyp
    brand = head[8:12]
    if brand in _NOT_VIDEO_BRANDS:
        return None
    if brand == b"qt  ":  # QuickTime
        return "mov"
    return "3gp" if brand.startswith((b"3gp", b"3g2")) else "mp4"


def _is_transport_stream(head: bytes) -> bool:
    starts = ((0, _TS), (4, 4 + _M2TS))  # of the first two packets, where the sync byte is 0x47
    return any(len(head) > second and head[first] == head[second] == 0x47 for first, second in starts)
