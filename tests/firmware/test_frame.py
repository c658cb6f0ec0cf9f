"""The board's frame reader, compiled for this computer: CRC, damage, garbage, frames inside frames."""

import ctypes
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.boards.frames import encode
from tbn.export import firmware_root
from tbn.export.host import compilers

LIBRARY = firmware_root() / "lib" / "tbn_frame"
CAPACITY = 12 + 20
PENDING, READY, DAMAGED = 0, 1, 2


class Reader(ctypes.Structure):
    """tbn_frame_reader."""

    _fields_ = [
        ("buffer", ctypes.c_void_p),
        *((name, ctypes.c_uint32) for name in ("capacity", "count", "consumed", "wanted")),
    ]


class Frame(ctypes.Structure):
    """tbn_frame."""

    _fields_ = [
        ("type", ctypes.c_uint8),
        ("sequence", ctypes.c_uint8),
        ("length", ctypes.c_uint16),
        ("payload", ctypes.c_void_p),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("frame") / "frame.so"
    sources = map(str, sorted((LIBRARY / "src").glob("*.c")))
    flags = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wconversion",
        "-O1",
        "-shared",
        "-fPIC",
        f"-I{LIBRARY / 'include'}",
    ]
    subprocess.run([*compilers()[0], *flags, *sources, "-o", str(path)], check=True, timeout=120)
    return ctypes.CDLL(str(path))


def read(library: ctypes.CDLL, data: bytes, step: int = 1) -> Iterator[tuple[int, int, int, bytes]]:
    """What the reader makes of a stream that comes ``step`` bytes at a time: (event, type, sequence, payload)."""
    buffer = (ctypes.c_uint8 * CAPACITY)()
    reader, frame = Reader(), Frame()
    library.tbn_frame_reader_init(ctypes.byref(reader), buffer, CAPACITY)
    library.tbn_frame_room.restype = ctypes.c_void_p
    room = ctypes.c_uint32()
    while data:
        to = library.tbn_frame_room(ctypes.byref(reader), ctypes.byref(room))
        part, data = data[: min(room.value, step)], data[min(room.value, step) :]
        ctypes.memmove(to, part, len(part))
        library.tbn_frame_added(ctypes.byref(reader), len(part))
        while event := library.tbn_frame_next(ctypes.byref(reader), ctypes.byref(frame)):
            content = ctypes.string_at(frame.payload, frame.length) if event == READY else b""
            yield event, frame.type, frame.sequence, content
        assert reader.count < reader.wanted <= CAPACITY


def good(library: ctypes.CDLL, data: bytes) -> list[tuple[int, int, bytes]]:
    """The good frames, which do not depend on how the stream is cut."""
    events = list(read(library, data))
    assert all(list(read(library, data, step)) == events for step in (3, 1000))
    return [(kind, sequence, payload) for event, kind, sequence, payload in events if event == READY]


@given(st.binary(max_size=200))
def test_crc_is_zlibs(library: ctypes.CDLL, data: bytes) -> None:
    library.tbn_crc32.restype = ctypes.c_uint32
    assert library.tbn_crc32(0, data, len(data)) == zlib.crc32(data)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=20)), max_size=5))
def test_frames_come_through(library: ctypes.CDLL, frames: list[tuple[int, int, bytes]]) -> None:
    assert good(library, b"".join(encode(*frame) for frame in frames)) == frames


@given(st.binary(max_size=100), st.binary(max_size=20))
def test_found_again_after_any_garbage(library: ctypes.CDLL, garbage: bytes, payload: bytes) -> None:
    """At most one longest frame of silence-free bytes later; here the silence is bytes that begin no frame."""
    found = good(library, garbage + encode(2, 7, payload) + bytes(CAPACITY))
    assert (2, 7, payload) in found


@given(st.binary(min_size=1, max_size=20), st.data())
def test_any_flipped_bit_is_noticed(library: ctypes.CDLL, payload: bytes, data: st.DataObject) -> None:
    frame = bytearray(encode(2, 9, payload))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    assert good(library, bytes(frame) + bytes(CAPACITY)) == []


def test_damaged_frame_is_reported_with_its_number(library: ctypes.CDLL) -> None:
    frame = bytearray(encode(2, 9, b"hello"))
    frame[-1] ^= 1
    assert [event[:3] for event in read(library, bytes(frame))] == [(DAMAGED, 2, 9)]


def test_frame_swallowed_by_a_wrong_length_is_found(library: ctypes.CDLL) -> None:
    """The header of a frame that never came, then two good ones: the first is inside what the header claims."""
    header = b"TB" + struct.pack("<BBBBH", 1, 2, 5, 0, 20)
    data = header + encode(1, 6, b"") + encode(1, 7, b"") + encode(1, 8, b"")
    assert good(library, data) == [(1, 6, b""), (1, 7, b""), (1, 8, b"")]


def test_frame_longer_than_the_buffer_is_not_waited_for(library: ctypes.CDLL) -> None:
    assert good(library, encode(2, 1, bytes(21)) + encode(2, 2, bytes(20))) == [(2, 2, bytes(20))]


def test_sent_frames_are_the_same_bytes(library: ctypes.CDLL) -> None:
    sent = bytearray()
    writer = ctypes.CFUNCTYPE(None, ctypes.c_uint8)(sent.append)
    library.tbn_frame_send(writer, 0x82, 3, b"\x01\x02\x03", 3)
    assert bytes(sent) == encode(0x82, 3, b"\x01\x02\x03")


@pytest.mark.skipif(shutil.which("gcc") is None or os.name == "nt", reason="needs gcc's sanitisers")
def test_no_memory_error_on_a_long_random_stream(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        '#include <stdlib.h>\n#include "tbn_frame.h"\n'
        "int main(void) {\n"
        "    uint8_t *buffer = malloc(32); tbn_frame_reader r; tbn_frame f; uint32_t s = 1, seen = 0;\n"
        "    static const char letters[] = \"TB\\1\\0\\0\\0\\4\";\n"
        "    tbn_frame_reader_init(&r, buffer, 32);\n"
        "    for (long i = 0; i < 2000000; i++) {\n"
        "        s = s * 1664525u + 1013904223u;\n"
        "        uint32_t room; *tbn_frame_room(&r, &room) = (uint8_t)letters[(s >> 24) % 7];\n"
        "        tbn_frame_added(&r, 1);\n"
        "        while (tbn_frame_next(&r, &f) != TBN_FRAME_PENDING) seen++;\n"
        "    }\n"
        "    free(buffer);\n    return seen == 0;\n}\n"
    )  # fmt: skip
    argv = [
        "gcc",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover",
        f"-I{LIBRARY / 'include'}",
        str(tmp_path / "main.c"),
    ]
    subprocess.run(
        [*argv, *map(str, sorted((LIBRARY / "src").glob("*.c"))), "-o", str(tmp_path / "a.out")],
        check=True,
        timeout=120,
    )
    assert subprocess.run([str(tmp_path / "a.out")], timeout=60).returncode == 0
