"""What went over a line, in words: frames, lines of text, bytes, in the order in which they came."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.boards.device import ERROR_REPLY, INFER, INFO, REPLY, SELF_TEST, SILENCE_SECONDS
from tbn.boards.frames import Frame, encode
from tbn.boards.transcript import LINE_BYTES, MOST_ENTRIES, Transcript, frame_words, hexadecimal, plain

REPLY_OF_INFO = struct.pack("<BBBBIIIIIf", 2, 0, 0, 1, 16_000_000, 784, 3, 3316, 984, 0.5) + b"0123456789abcdefmega"
ANSWER = struct.pack("<I3i", 35_621, 12, -5, 1_000_000)


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(transcript: Transcript) -> list[tuple[str, str, str]]:
    return [(entry.direction, entry.kind, entry.words) for entry in transcript.entries()]


def test_a_conversation_in_words() -> None:
    transcript = Transcript()
    transcript.sent(encode(INFO, 1, b""))
    transcript.received(encode(INFO | REPLY, 1, REPLY_OF_INFO))
    transcript.sent(encode(INFER, 2, bytes(784)))
    transcript.received(encode(INFER | REPLY, 2, ANSWER))
    transcript.sent(encode(SELF_TEST, 3, struct.pack("<II", 1, 8)))
    transcript.received(encode(SELF_TEST | REPLY, 3, struct.pack("<II", 0xDEADBEEF, 7)))
    transcript.received(encode(ERROR_REPLY, 4, struct.pack("<BI", 3, 784)))
    assert [words for _, _, words in told(transcript)] == [
        "INFO 1",
        "INFO 1: mega, model 0123456789abcdef, 784 bytes in, 3 int32 out, weights 3,316 bytes, arena 984 bytes",
        "INFER 2: 784 bytes of input",
        "INFER 2: 35,621 ticks; 12, -5, 1,000,000",
        "SELF_TEST 3: 8 inputs of its own from seed 1",
        "SELF_TEST 3: CRC-32 of the outputs DEADBEEF, the last took 7 ticks",
        "ERROR 4: the payload has to be 784 bytes long",
    ]
    assert transcript.info is not None and transcript.info.board == "mega"


def test_an_answer_is_bytes_before_the_board_has_said_what_it_sends() -> None:
    assert frame_words(Frame(INFER | REPLY, 2, ANSWER)) == "INFER 2: 16 bytes"
    assert frame_words(Frame(0x42, 9, b"ab")) == "unknown type 0x42, sequence number 9, 2 bytes"


def test_lines_and_frames_keep_their_order() -> None:
    transcript = Transcript()
    transcript.received(
        b"rst:0x1 (POWERON_RESET)\r\nboot:" + encode(INFO | REPLY, 1, REPLY_OF_INFO) + b"\x00\xff\x80\n"
    )
    assert [kind for _, kind, _ in told(transcript)] == ["text", "text", "frame", "bytes"]
    assert [words for _, _, words in told(transcript)][:2] == ["rst:0x1 (POWERON_RESET)", "boot:"]
    assert "3" not in told(transcript)[0][2] and "00 FF 80" in told(transcript)[3][2]


def test_what_has_no_end_waits_for_silence() -> None:
    clock = Clock()
    transcript = Transcript(clock)
    transcript.received(b"no newline, then half a frame: " + encode(INFER, 1, bytes(100))[:50])
    clock.now += SILENCE_SECONDS / 2
    transcript.received(b"")
    assert told(transcript) == []
    clock.now += SILENCE_SECONDS
    transcript.received(b"")
    assert "".join(entry.data.decode("latin-1") for entry in transcript.entries()).startswith(
        "no newline, then half a frame: TB"
    )
    count = len(told(transcript))
    transcript.received(b"")
    assert len(told(transcript)) == count


@given(
    st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([encode(INFO, 1, b""), b"line\n", b"TB"])), max_size=8)
)
def test_no_byte_is_lost_and_none_is_shown_twice(pieces: list[bytes]) -> None:
    clock = Clock()
    transcript = Transcript(clock)
    for piece in pieces:
        transcript.received(piece)
    clock.now += 1
    transcript.received(b"")
    shown = b"".join(encode(INFO, 1, b"") if entry.kind == "frame" else entry.data for entry in transcript.entries())
    assert shown == b"".join(pieces)


def test_a_long_line_is_cut_and_old_entries_go() -> None:
    transcript = Transcript()
    transcript.received(b"x" * (LINE_BYTES + 5) + b"\n")
    assert [len(entry.data) for entry in transcript.entries()] == [LINE_BYTES, 6]
    for _ in range(2 * MOST_ENTRIES):
        transcript.note("again")
    kept = transcript.entries()
    assert len(kept) == MOST_ENTRIES and kept[-1].number == 2 * MOST_ENTRIES + 2


def test_an_entry_as_a_line() -> None:
    clock = Clock()
    transcript = Transcript(clock)
    clock.now += 1.25
    transcript.sent(b"hello\n")
    (entry,) = transcript.entries()
    assert entry.line() == "   1.250  -> hello"
    assert entry.line(with_bytes=True).splitlines()[1].strip() == "68 65 6C 6C 6F 0A"
    assert hexadecimal(bytes(200)).splitlines()[-1] == "and 72 more"


@pytest.mark.parametrize(
    ("data", "kind"), [(b"ok\r\n", "text"), (b"", "text"), (b"\xc3\xa4\n", "text"), (b"\x01\x02", "bytes")]
)
def test_text_or_bytes(data: bytes, kind: str) -> None:
    assert plain(data)[0] == kind


def test_float_outputs_are_told_as_such() -> None:
    transcript = Transcript()
    transcript.received(
        encode(
            INFO | REPLY,
            1,
            REPLY_OF_INFO.replace(struct.pack("<BBBB", 2, 0, 0, 1), struct.pack("<BBBB", 2, 0, 0, 0), 1),
        )
    )
    transcript.received(encode(INFER | REPLY, 2, struct.pack("<I", 9) + np.array([0.5, -1.25, 3e-7], "<f4").tobytes()))
    assert told(transcript)[1][2] == "INFER 2: 9 ticks; 0.5, -1.25, 3e-07"
