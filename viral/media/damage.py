"""Damage to coded pictures that shows without decoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext

# Offset, in the codec's header, of the byte whose two low bits are the size of a length field, less one.
_LENGTH_SIZE_AT = {"h264": 4, "hevc": 21}
# A coded picture that starts with this many zero bytes is none: formats start with a marker or a header.
_ZERO_BYTES = 16


class DamageCheck:
    """Checks the structure of the packets of one video track.

    In MP4 and Matroska, a packet of H.264 or HEVC is a chain of units, each with its length before it. Overwritten data
    break the chain. Of other codecs, only packets of zeros are recognised.
    """

    def __init__(self, decoder: VideoCodecContext) -> None:
        header, at = decoder.extradata or b"", _LENGTH_SIZE_AT.get(decoder.codec.canonical_name)
        self._raw = decoder.codec.canonical_name == "rawvideo"
        has_lengths = at is not None and len(header) > at and header[0] == 1  # not a start code
        self._length_size = (header[at] & 3) + 1 if at is not None and has_lengths else 0

    def __call__(self, packet: Packet[Stream]) -> bool:
        """Whether a packet is damaged."""
        data = memoryview(packet)
        # Raw pixels have no structure, and black ones may be zeros.
        if self._raw:
            return False
        if not self._length_size:
            return len(data) >= _ZERO_BYTES and not any(data[:_ZERO_BYTES])
        # From unit to unit, by the length before each; a length that leaves the packet breaks the chain.
        position = 0
        while position + self._length_size <= len(data):
            start = position + self._length_size
            length = int.from_bytes(data[position:start], "big")
            if length == 0 or start + length > len(data):
                return not (position and length == 0)  # zeros may follow the last unit
            position = start + length
        return False
