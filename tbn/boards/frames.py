"""Frames on a serial line: 'T' 'B', version, type, sequence number, 0, length, payload, CRC-32. PROTOCOL.md of pio_firmware describes them.

The `Decoder` finds the frames in whatever arrives. Like the board's reader (pio_firmware/lib/tbn_frame) it searches a damaged frame again
from its second byte, so that a good frame which a wrong length swallowed is found.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

VERSION, HEADER_BYTES, CRC_BYTES, MOST_BYTES = 1, 8, 4, 65535
SYNC = b"TB"


@dataclass(frozen=True)
class Frame:
    """A good frame."""

    kind: int
    sequence: int
    payload: bytes


def encode(kind: int, sequence: int, payload: bytes) -> bytes:
    """One frame; at most ``MOST_BYTES`` of payload."""
    body = struct.pack("<BBBBH", VERSION, kind, sequence, 0, len(payload)) + payload
    return SYNC + body + struct.pack("<I", zlib.crc32(body))


class Decoder:
    """Takes bytes as they come, gives the good frames among them.

    Args:
        noise: is given the bytes that belong to no frame, in their order.
    """

    def __init__(self, noise: Callable[[bytes], None] | None = None) -> None:
        self._data = bytearray()
        self._noise = noise

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes; everything else is skipped."""
        self._data += data
        return self._frames()

    def skip(self) -> Iterator[Frame]:
        """Nothing came for a while: what looks like the beginning of a frame is none. The frames behind it."""
        self._drop(1)
        return self._frames()

    @property
    def kept(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._data)

    def clear(self) -> None:
        """Forget what has come."""
        self._data.clear()

    def _frames(self) -> Iterator[Frame]:
        data = self._data
        while (start := data.find(SYNC)) >= 0:
            self._drop(start)
            if len(data) < HEADER_BYTES:
                return
            version, kind, sequence, zero, length = struct.unpack_from("<BBBBH", data, len(SYNC))
            end = HEADER_BYTES + length
            plausible = version == VERSION and zero == 0
            if plausible and len(data) < end + CRC_BYTES:
                return
            if not plausible or struct.unpack_from("<I", data, end)[0] != zlib.crc32(data[len(SYNC) : end]):
                self._drop(1)
                continue
            payload = bytes(data[HEADER_BYTES:end])
            del data[: end + CRC_BYTES]
            yield Frame(kind, sequence, payload)
        self._drop(len(data) - data.endswith(SYNC[:1]))  # no frame begins in the rest

    def _drop(self, count: int) -> None:
        """Bytes at the beginning that belong to no frame."""
        if self._noise is not None and count and self._data:
            self._noise(bytes(self._data[:count]))
        del self._data[:count]
