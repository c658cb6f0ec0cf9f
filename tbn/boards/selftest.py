"""The computer's side of the conversation with a flashed board, and the self-test: known images in, the packed model's answers back.

Frames are described in pio_firmware/lib/tbn_frame/include/tbn_frame.h, their content in pio_firmware/src/device.h.
"""

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tbn.boards.line import BoardError, LineClosed, Stream, open_line

VERSION, HEADER_BYTES, CRC_BYTES = 1, 8, 4
INFO, INFER, INFO_REPLY, INFER_REPLY, ERROR_REPLY = 0x01, 0x02, 0x81, 0x82, 0xFF
DAMAGED = 1  # error number: the board got a frame with a wrong CRC
TOLERANCE = 1e-5  # largest difference from the packed model, relative to the image's largest logit
REPLY_SECONDS = 20.0  # for one inference
BOOT_SECONDS = 10.0  # a board that resets when its port is opened may sit in its boot loader first
ATTEMPTS = 3


@dataclass(frozen=True)
class Info:
    """What a board says about itself. ``tick_unit`` is "clocks" or "microseconds"."""

    board: str
    model_hash: str
    input_bytes: int
    outputs: int
    weight_bytes: int
    arena_bytes: int
    tick_unit: str
    ticks_per_second: int


@dataclass(frozen=True)
class SelfTest:
    """Outcome of the self-test: largest difference is relative to each image's largest logit; ticks are the mean of one inference."""

    passed: int
    total: int
    max_difference: float
    ticks: int

    @property
    def ok(self) -> bool:
        return self.passed == self.total


def encode(kind: int, sequence: int, payload: bytes) -> bytes:
    """One frame."""
    body = struct.pack("<BBBBH", VERSION, kind, sequence, 0, len(payload)) + payload
    return b"TB" + body + struct.pack("<I", zlib.crc32(body))


class Device:
    """A board behind an open serial line."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.sequence = 0
        self.pending = bytearray()

    def info(self, seconds: float = REPLY_SECONDS) -> Info:
        reply = self.request(INFO, b"", INFO_REPLY, seconds)
        version, input_type, unit, _, rate, inputs, outputs, weights, arena = struct.unpack_from("<BBBBIIIII", reply)
        if version != VERSION or input_type != 0:
            raise BoardError(f"the board speaks version {version} of the protocol, not {VERSION}", "flash it again")
        name = reply[40:].decode("ascii", "replace")
        return Info(
            name,
            reply[24:40].decode("ascii", "replace"),
            inputs,
            outputs,
            weights,
            arena,
            ("clocks", "microseconds")[unit],
            rate,
        )

    def infer(
        self, image: npt.NDArray[np.uint8], seconds: float = REPLY_SECONDS
    ) -> tuple[npt.NDArray[np.float32], int]:
        """Logits (outputs,) float32 and ticks of one raw input."""
        reply = self.request(INFER, np.ascontiguousarray(image, np.uint8).tobytes(), INFER_REPLY, seconds)
        return np.frombuffer(reply, "<f4", offset=4).astype(np.float32), int(struct.unpack_from("<I", reply)[0])

    def request(self, kind: int, payload: bytes, expected: int, seconds: float = REPLY_SECONDS) -> bytes:
        """Send a request until its reply comes; returns the reply's payload."""
        for _ in range(ATTEMPTS):
            self.sequence = self.sequence % 255 + 1
            self.stream.write(encode(kind, self.sequence, payload))
            for reply, sequence, content in self._frames(seconds):
                if sequence == self.sequence and reply == expected:
                    return content
                if reply == ERROR_REPLY and content[:1] == bytes([DAMAGED]):
                    break  # ask again
                if reply == ERROR_REPLY and sequence == self.sequence:
                    number = struct.unpack_from("<I", content, 1)[0]
                    raise BoardError(
                        f"the board refused the request (error {content[0]}, {number})",
                        "flash the run's firmware again",
                    )
        raise BoardError(
            f"the board did not answer within {seconds:g} s, {ATTEMPTS} times",
            "is this the right port, and is the board flashed? press its reset button and try again",
        )

    def _frames(self, seconds: float) -> Iterator[tuple[int, int, bytes]]:
        """Frames that arrive within the time: (type, sequence, payload). Bytes that are none are skipped."""
        until = time.monotonic() + seconds
        while True:
            yield from self._parse()
            left = until - time.monotonic()
            if left <= 0:
                return
            self.pending += self.stream.read(min(left, 0.5))

    def _parse(self) -> Iterator[tuple[int, int, bytes]]:
        data = self.pending
        while (start := data.find(b"TB")) >= 0:
            del data[:start]
            if len(data) < HEADER_BYTES:
                return
            version, kind, sequence, zero, length = struct.unpack_from("<BBBBH", data, 2)
            end = HEADER_BYTES + length
            if version == VERSION and zero == 0 and len(data) < end + CRC_BYTES:
                return
            if version != VERSION or zero != 0 or struct.unpack_from("<I", data, end)[0] != zlib.crc32(data[2:end]):
                del data[:1]
                continue
            payload = bytes(data[HEADER_BYTES:end])
            del data[: end + CRC_BYTES]
            yield kind, sequence, payload
        del data[: len(data) - data.endswith(b"T")]  # no frame begins in the rest


@contextmanager
def connect(url: str, boot_seconds: float = BOOT_SECONDS) -> Iterator[tuple[Device, Info]]:
    """Open a serial port (or socket:// url), wait until the board answers, close it at the end."""
    stream = _open(url, boot_seconds)
    try:
        device = Device(stream)
        yield device, _first_answer(device, boot_seconds)
    finally:
        stream.close()


def _open(url: str, seconds: float) -> Stream:
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
        except LineClosed:
            raise
        except BoardError:
            if time.monotonic() > until:
                raise


def relative_difference(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(images,) largest |found - expected| of each image over its largest |expected|. Inputs (images, outputs)."""
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(axis=1)
    result: npt.NDArray[np.float64] = difference / np.maximum(np.abs(expected.astype(np.float64)).max(axis=1), 1e-30)
    return np.where(np.isfinite(result), result, np.inf)


def evaluate(device: Device, inputs: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Logits (images, outputs) and ticks (images,) for raw inputs (images, ...)."""
    answers = [device.infer(image) for image in inputs]
    return np.stack([logits for logits, _ in answers]), np.array([ticks for _, ticks in answers], np.int64)


def self_test(device: Device, info: Info, reference: Path, model_hash: str) -> SelfTest:
    """Send the images of ``reference`` (.npz: inputs uint8, logits float32) and compare the answers."""
    with np.load(reference) as stored:
        inputs, expected = stored["inputs"], stored["logits"]
    if info.model_hash != model_hash:
        raise BoardError(f"the board runs model {info.model_hash}, not {model_hash}", "flash this run's firmware")
    found, ticks = evaluate(device, inputs)
    difference = relative_difference(found, expected)
    return SelfTest(
        int((difference <= TOLERANCE).sum()), len(inputs), float(difference.max()), round(float(ticks.mean()))
    )
