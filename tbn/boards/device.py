"""A flashed board behind a serial line: what it is, what it answers, and what it says of its own self-test.

The computer asks, the board answers; PROTOCOL.md of pio_firmware describes the requests. A reply that is damaged, late or lost is asked for
again. Whatever arrives, a call ends within its time, with the answer or a ``BoardError``.
"""

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tbn.boards.frames import MOST_BYTES, Decoder, Frame, encode
from tbn.boards.line import BoardError, LineClosed, Stream, open_line

PROTOCOL = 2
INFO, INFER, SELF_TEST = 0x01, 0x02, 0x03
REPLY, ERROR_REPLY = 0x80, 0xFF  # a reply's type is its request's with the top bit set
DAMAGED = 1  # error number: the board got a frame with a wrong CRC
ERRORS = {
    2: "it does not know requests of type {}",
    3: "the payload has to be {} bytes long",
    4: "its model refused the input (status {})",
    5: "a self-test has at most {} inputs",
}
INFO_LAYOUT = struct.Struct("<BBBBIIIIIf")
HASH_CHARACTERS = 16
SELF_TEST_MOST = 1000  # inputs of one self-test; while the board computes it hears nothing
TICK_UNITS = ("clocks", "microseconds")
OUTPUT_TYPES = ("float32", "int32")

REPLY_SECONDS = 20.0  # for the first inference; the others have ``PATIENCE`` times as long as the last took, ``LEAST_SECONDS`` at least
PATIENCE, LEAST_SECONDS = 5.0, 3.0
SILENCE_SECONDS = 0.5  # a frame has no pause so long
BOOT_SECONDS = 10.0  # a board that resets when its port is opened may sit in its boot loader first
ATTEMPTS = 3
Outputs = npt.NDArray[Any]


class OtherProtocol(BoardError):
    """The board speaks another version of the protocol."""


@dataclass(frozen=True)
class Info:
    """What a board says about itself.

    Attributes:
        tick_unit: "clocks" or "microseconds".
        output_type: "float32", or "int32" of an integer model, whose float outputs are about ``output_scale`` times the integers.
    """

    board: str
    model_hash: str
    input_bytes: int
    outputs: int
    weight_bytes: int
    arena_bytes: int
    tick_unit: str
    ticks_per_second: int
    output_type: str
    output_scale: float


def read_info(reply: bytes) -> Info:
    """Take an INFO reply apart.

    Raises:
        OtherProtocol: another version of it.
        BoardError: no such reply at all.
    """
    if reply[:1] != bytes([PROTOCOL]):
        said = f"version {reply[0]}" if reply else "no version"
        raise OtherProtocol(f"the board speaks {said} of the protocol, not {PROTOCOL}", "flash it again")
    strange = BoardError("the board's description of itself makes no sense", "flash it again")
    if len(reply) < INFO_LAYOUT.size + HASH_CHARACTERS:
        raise strange
    _, input_type, unit, kind, rate, inputs, outputs, weights, arena, scale = INFO_LAYOUT.unpack_from(reply)
    if input_type != 0 or unit >= len(TICK_UNITS) or kind >= len(OUTPUT_TYPES) or not np.isfinite(scale):
        raise strange
    if not (rate > 0 and 0 < inputs <= MOST_BYTES and 0 < outputs <= (MOST_BYTES - 4) // 4):
        raise strange
    text = reply[INFO_LAYOUT.size :].decode("ascii", "replace")
    return Info(
        text[HASH_CHARACTERS:], text[:HASH_CHARACTERS], inputs, outputs, weights, arena, TICK_UNITS[unit], rate, OUTPUT_TYPES[kind], scale
    )  # fmt: skip


class Device:
    """A board behind an open serial line."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._decoder = Decoder()
        self._sequence = 0
        self._info: Info | None = None
        self._seconds = REPLY_SECONDS

    def info(self, seconds: float = REPLY_SECONDS) -> Info:
        self._info = read_info(self.request(INFO, b"", seconds))
        return self._info

    def infer(self, image: npt.NDArray[np.uint8], seconds: float | None = None) -> tuple[Outputs, int]:
        """Outputs (outputs,) float32 or int32, and ticks, of one raw input.

        Args:
            image: uint8, as many as the model takes, in any shape.
            seconds: how long to wait for a reply, at most; by default what the last one suggests.
        """
        known = self._info or self.info(REPLY_SECONDS if seconds is None else seconds)
        payload = np.ascontiguousarray(image, np.uint8).tobytes()
        started = time.monotonic()
        reply = self.request(INFER, payload, self._seconds if seconds is None else seconds)
        self._seconds = max(LEAST_SECONDS, PATIENCE * (time.monotonic() - started))
        if len(reply) != 4 + 4 * known.outputs:
            raise BoardError(
                f"the board sent {len(reply)} bytes instead of {known.outputs} outputs",
                "flash the run's firmware again",
            )
        found = np.frombuffer(reply, np.dtype(known.output_type).newbyteorder("<"), offset=4)
        return found.astype(known.output_type), int(struct.unpack_from("<I", reply)[0])

    def self_test(self, seed: int, count: int, seconds: float | None = None) -> tuple[int, int]:
        """CRC-32 of all outputs of ``count`` inputs that the board makes itself (`tbn.boards.selftest.stream_inputs`), ticks of the last.

        Args:
            seconds: how long to wait; by default what the last inference suggests.
        """
        if not 0 <= count <= SELF_TEST_MOST:
            raise BoardError(f"{count} inputs are no self-test", f"use at most {SELF_TEST_MOST}")
        limit = max(REPLY_SECONDS, self._seconds * count) if seconds is None else seconds
        reply = self.request(SELF_TEST, struct.pack("<II", seed, count), limit)
        if len(reply) != 8:
            raise BoardError(f"the board sent {len(reply)} bytes as its self-test", "flash the run's firmware again")
        crc, ticks = struct.unpack("<II", reply)
        return crc, ticks

    def request(self, kind: int, payload: bytes, seconds: float = REPLY_SECONDS) -> bytes:
        """Send a request until its reply comes; returns the reply's payload.

        Raises:
            BoardError: the board refuses, or does not answer ``ATTEMPTS`` times.
            LineClosed: the line broke.
        """
        if len(payload) > MOST_BYTES:
            raise BoardError(f"an input of {len(payload):,} bytes is too long", f"a frame carries {MOST_BYTES:,}")
        for _ in range(ATTEMPTS):
            self._sequence = self._sequence % 255 + 1
            self._decoder.clear()
            self.stream.write(encode(kind, self._sequence, payload))
            for frame in self._frames(seconds):
                if frame.kind == ERROR_REPLY and frame.payload[:1] == bytes([DAMAGED]):
                    break  # ask again
                if frame.sequence != self._sequence:
                    continue  # an answer to an earlier attempt
                if frame.kind == kind | REPLY:
                    return frame.payload
                if frame.kind == ERROR_REPLY:
                    raise BoardError(f"the board refused: {reason_of(frame.payload)}", "flash the run's firmware again")
        raise BoardError(
            f"the board did not answer within {seconds:.3g} s, {ATTEMPTS} times",
            "is this the right port, and is the board flashed? press its reset button and try again",
        )

    def _frames(self, seconds: float) -> Iterator[Frame]:
        """Frames that arrive within the time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            data = self.stream.read(min(left, SILENCE_SECONDS))
            yield from self._decoder.feed(data) if data else self._decoder.skip()


def reason_of(payload: bytes) -> str:
    """An ERROR reply in words."""
    if len(payload) != 5 or payload[0] not in ERRORS:
        return f"error {payload.hex() or 'without a number'}"
    return ERRORS[payload[0]].format(struct.unpack_from("<I", payload, 1)[0])


@contextmanager
def connect(url: str, boot_seconds: float = BOOT_SECONDS) -> Iterator[tuple[Device, Info]]:
    """Open a serial port (or socket:// url), wait until the board answers, close it at the end.

    Args:
        boot_seconds: how long a port may be away and a board silent.
    """
    stream = open_port(url, boot_seconds)
    try:
        device = Device(stream)
        yield device, _first_answer(device, boot_seconds)
    finally:
        stream.close()


def open_port(url: str, seconds: float) -> Stream:
    """After an upload a USB port may be away for a moment."""
    until = time.monotonic() + seconds
    while True:
        try:
            return open_line(url)
        except BoardError:
            if url.startswith("socket://") or time.monotonic() > until:
                raise
            time.sleep(0.2)


def _first_answer(device: Device, seconds: float) -> Info:
    until = time.monotonic() + seconds
    while True:
        try:
            return device.info(min(1.0, seconds))
        except (LineClosed, OtherProtocol):
            raise
        except BoardError:
            if time.monotonic() > until:
                raise
