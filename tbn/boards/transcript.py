"""What went over a serial line, in words: frames by what they mean, everything else as lines of text or as bytes."""

from __future__ import annotations

import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from tbn.boards.device import ERROR_REPLY, INFER, INFO, REPLY, SELF_TEST, SILENCE_SECONDS, Info, read_info, reason_of
from tbn.boards.frames import Decoder, Frame
from tbn.boards.line import BoardError, Stream

MOST_ENTRIES = 400
LINE_BYTES = 200  # a line without an end is cut there
SHOWN_OUTPUTS, SHOWN_BYTES = 10, 32
NAMES = {INFO: "INFO", INFER: "INFER", SELF_TEST: "SELF_TEST"}


@dataclass(frozen=True)
class Entry:
    """One thing that was sent, received or noted.

    Attributes:
        number: from 1 on.
        seconds: since the transcript began.
        direction: "sent", "received" or "note".
        kind: "frame", "text", "bytes" or "note".
        data: as it was on the line.
    """

    number: int
    seconds: float
    direction: str
    kind: str
    words: str
    data: bytes = b""

    def line(self, with_bytes: bool = False) -> str:
        """``  1.204  <- INFER 3: 36,181 ticks``, and below it the bytes in hexadecimal."""
        sign = {"sent": "->", "received": "<-"}.get(self.direction, "--")
        first = f"{self.seconds:8.3f}  {sign} {self.words}"
        return f"{first}\n{hexadecimal(self.data, ' ' * 13)}" if with_bytes and self.data else first


class Transcript:
    """Both directions of a line as entries, the last ``MOST_ENTRIES`` of them. Several threads may use it.

    Attributes:
        info: what the board said about itself last, or None.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.info: Info | None = None
        self._clock, self._begun = clock, clock()
        self._heard = self._begun
        self._guard = threading.RLock()
        self._entries: deque[Entry] = deque(maxlen=MOST_ENTRIES)
        self._count = 0
        self._rest = bytearray()
        self._decoder = Decoder(self._rest.extend)

    def entries(self) -> list[Entry]:
        """What there is, the oldest first."""
        with self._guard:
            return list(self._entries)

    def note(self, words: str) -> None:
        """Write down what happened to the line itself."""
        with self._guard:
            self._add("note", "note", words)

    def sent(self, data: bytes) -> None:
        """What the computer wrote at once."""
        with self._guard:
            rest = bytearray()
            for frame in Decoder(rest.extend).feed(data):
                self._add("sent", "frame", frame_words(frame), data)
            if rest:
                self._add("sent", *plain(bytes(rest)), bytes(rest))

    def received(self, data: bytes) -> None:
        """What the board sent, in whatever pieces; nothing, for a while, ends a line and drops half a frame."""
        with self._guard:
            if data:
                self._heard = self._clock()
                self._take(data)
            elif self._clock() - self._heard >= SILENCE_SECONDS:
                while self._decoder.kept:
                    self._frames(self._decoder.skip())
                self._lines(whole=True)

    def _take(self, data: bytes) -> None:
        self._frames(self._decoder.feed(data))
        self._lines(whole=False)

    def _frames(self, found: Iterable[Frame]) -> None:
        for frame in found:
            self._lines(whole=True)  # it came before the frame
            if frame.kind == INFO | REPLY:
                self.info = _info(frame) or self.info
            self._add("received", "frame", frame_words(frame, self.info), frame.payload)

    def _lines(self, whole: bool) -> None:
        """Entries of the text so far; what has no end yet waits, unless ``whole``."""
        while (end := self._rest.find(b"\n")) >= 0 or len(self._rest) >= LINE_BYTES or (whole and self._rest):
            cut = min(LINE_BYTES, end + 1 if end >= 0 else len(self._rest))
            line = bytes(self._rest[:cut])
            del self._rest[:cut]
            self._add("received", *plain(line), line)

    def _add(self, direction: str, kind: str, words: str, data: bytes = b"") -> None:
        self._count += 1
        self._entries.append(Entry(self._count, self._clock() - self._begun, direction, kind, words, data))


class Tap:
    """A ``Stream`` whose traffic is written down."""

    def __init__(self, stream: Stream, transcript: Transcript) -> None:
        self.stream, self.transcript = stream, transcript

    def read(self, seconds: float) -> bytes:
        data = self.stream.read(seconds)
        self.transcript.received(data)
        return data

    def write(self, data: bytes) -> None:
        self.transcript.sent(data)
        self.stream.write(data)

    def close(self) -> None:
        self.stream.close()


def frame_words(frame: Frame, info: Info | None = None) -> str:
    """What a frame says. ``info`` tells how the board's outputs are to be read."""
    asked = NAMES.get(frame.kind & ~REPLY, "")
    payload, head = frame.payload, f"{asked or 'ERROR'} {frame.sequence}"
    if frame.kind == ERROR_REPLY:
        return f"{head}: {reason_of(payload)}"
    if not asked:
        return f"unknown type 0x{frame.kind:02X}, sequence number {frame.sequence}, {len(payload):,} bytes"
    if frame.kind == SELF_TEST and len(payload) == 8:
        seed, count = struct.unpack("<II", payload)
        return f"{head}: {count:,} inputs of its own from seed {seed}"
    if not frame.kind & REPLY:
        return f"{head}: {len(payload):,} bytes of input" if payload else head
    return f"{head}: {_reply_words(frame, info)}"


def _reply_words(frame: Frame, info: Info | None) -> str:
    payload = frame.payload
    if frame.kind == INFO | REPLY and (known := _info(frame)) is not None:
        return (
            f"{known.board}, model {known.model_hash}, {known.input_bytes:,} bytes in, {known.outputs} {known.output_type} out, "
            f"weights {known.weight_bytes:,} bytes, arena {known.arena_bytes:,} bytes"
        )
    if frame.kind == SELF_TEST | REPLY and len(payload) == 8:
        crc, ticks = struct.unpack("<II", payload)
        return f"CRC-32 of the outputs {crc:08X}, the last took {ticks:,} ticks"
    if frame.kind == INFER | REPLY and info is not None and len(payload) == 4 + 4 * info.outputs:
        found = np.frombuffer(payload, np.dtype(info.output_type).newbyteorder("<"), offset=4)
        shown = ", ".join(
            f"{value:,}" if found.dtype.kind == "i" else f"{value:.4g}" for value in found[:SHOWN_OUTPUTS]
        )
        more = f" and {len(found) - SHOWN_OUTPUTS:,} more" if len(found) > SHOWN_OUTPUTS else ""
        return f"{struct.unpack_from('<I', payload)[0]:,} ticks; {shown}{more}"
    return f"{len(payload):,} bytes"


def _info(frame: Frame) -> Info | None:
    try:
        return read_info(frame.payload)
    except BoardError:
        return None


def plain(data: bytes) -> tuple[str, str]:
    """(kind, words) of bytes that are no frame: a line of text, or how many bytes."""
    text = data.decode("utf-8", "replace").rstrip("\r\n")
    if (
        all(character.isprintable() or character == "\t" for character in text)
        and "\N{REPLACEMENT CHARACTER}" not in text
    ):
        return "text", text
    return (
        "bytes",
        f"{len(data)} bytes that are no text: {data[:SHOWN_BYTES].hex(' ').upper()}{' ...' * (len(data) > SHOWN_BYTES)}",
    )


def hexadecimal(data: bytes, margin: str = "", most: int = 128) -> str:
    """Bytes in rows of 16, at most ``most`` of them."""
    rows = [margin + data[start : start + 16].hex(" ").upper() for start in range(0, min(len(data), most), 16)]
    return "\n".join([*rows, *[f"{margin}and {len(data) - most:,} more"] * (len(data) > most)])
