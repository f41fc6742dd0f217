"""Video containers, recognised by their first bytes: file names and Content-Type headers may be wrong."""

from __future__ import annotations

HEAD_BYTES = 512
"""Bytes that `container_extension` needs: its longest signature is two transport packets of 192 bytes."""

# Brands of images and audio in ISO containers.
_NOT_VIDEO_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1", b"msf1", b"M4A ", b"M4B ", b"crx ")
_TS, _M2TS = 188, 192  # bytes per packet; an M2TS packet starts with a timestamp of 4 bytes


def container_extension(head: bytes) -> str | None:
    """File extension of the video container that starts with `head`: `mp4`, `webm`, …; None if it is not a video.

    Signatures: ISO/IEC 14496-12 (boxes), RFC 8794 (EBML), ISO/IEC 13818-1 (transport and program streams).
    """
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
