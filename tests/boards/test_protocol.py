"""The conversation: both sides given any bytes, the firmware's C under sanitisers, replies that are late, lost, damaged or nonsense."""

import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.boards import device as client
from tbn.boards.device import INFER, INFO, SELF_TEST, BoardError, Device, Info, connect, read_info
from tbn.boards.frames import Decoder, Frame, encode
from tbn.boards.selftest import STREAM_INPUTS, STREAM_SEED, evaluate, self_test, stream_crc, stream_inputs
from tbn.export import firmware_root
from tbn.export.host import compile_model, run_library
from tbn.export.report import PRECISIONS, ExportReport
from tbn.export.run import export_run
from tests.boards.host_board import SANITIZERS, HostBoard, compile_board

PAGE = (firmware_root() / "PROTOCOL.md").read_text()
INFO_REPLY = struct.pack("<BBBBIIIIIf", 2, 0, 1, 1, 1_000_000, 784, 10, 3000, 4000, 0.5) + b"0123456789abcdefboard"
frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40))
noise = st.lists(
    st.one_of(st.binary(max_size=20), st.sampled_from([b"T", b"TB", b"TB\x01\x81\x01\x00\xff\xff"])), max_size=5
)


# bytes -----------------------------------------------------------------------------------------------------------------------
def decode(data: bytes, step: int) -> list[Frame]:
    decoder = Decoder()
    found = [frame for start in range(0, len(data), step) for frame in decoder.feed(data[start : start + step])]
    for _ in data:
        found += decoder.skip()
    return found


@given(st.lists(frames, max_size=5), st.integers(1, 100))
def test_frames_come_through(sent: list[Frame], step: int) -> None:
    assert decode(b"".join(encode(f.kind, f.sequence, f.payload) for f in sent), step) == sent


@given(noise, frames, noise, st.integers(1, 50))
def test_a_frame_is_found_in_any_noise(before: list[bytes], frame: Frame, after: list[bytes], step: int) -> None:
    """Once nothing more comes, at the latest; and however the bytes come."""
    data = b"".join(before) + encode(frame.kind, frame.sequence, frame.payload) + b"".join(after)
    found = decode(data, step)
    assert frame in found and found == decode(data, 1)


@given(frames, st.data())
def test_no_flipped_bit_gives_another_frame(frame: Frame, data: st.DataObject) -> None:
    sent = bytearray(encode(frame.kind, frame.sequence, frame.payload))
    bit = data.draw(st.integers(0, 8 * len(sent) - 1))
    sent[bit // 8] ^= 1 << bit % 8
    assert decode(bytes(sent), 7) == []


def test_the_page_is_right() -> None:
    shown = [bytes.fromhex(line) for line in re.findall(r"^    ((?:[0-9A-F]{2} ?)+)$", PAGE, re.MULTILINE)]
    assert shown == [encode(INFO, 1, b""), stream_inputs(1, 1, 8).tobytes()]
    header = (firmware_root() / "src" / "device.h").read_text()
    numbers = {name: int(value) for name, value in re.findall(r"DEVICE_(\w+) = (\d+)", header)}
    assert numbers["PROTOCOL"] == client.PROTOCOL and f"\nVersion {client.PROTOCOL}." in PAGE
    assert numbers["SELF_TEST_MOST"] == client.SELF_TEST_MOST and f"at most {client.SELF_TEST_MOST})" in PAGE
    assert {numbers[f"ERROR_{name}"] for name in ("TYPE", "LENGTH", "MODEL", "COUNT")} == set(client.ERRORS)


@pytest.mark.parametrize("size", [1, 4, 7, 784])
def test_stream(size: int) -> None:
    """A new step for each input; another seed, other inputs."""
    two = stream_inputs(9, 2, size)
    assert two.shape == (2, size) and np.array_equal(two[:1], stream_inputs(9, 1, size))
    padded = stream_inputs(9, 2, -(-size // 4) * 4)
    assert np.array_equal(padded[:, :size], two)
    assert not np.array_equal(stream_inputs(10, 2, size), two)
    assert stream_crc(np.array([[1, -1]], ">i4")) == zlib.crc32(bytes([1, 0, 0, 0, 255, 255, 255, 255]))


# the computer's side -----------------------------------------------------------------------------------------------------------
class Tape:
    """A line that plays back bytes, some at each read, and keeps what was written."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks, self.written = list(chunks), b""

    def read(self, seconds: float) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        pass


@given(st.lists(st.one_of(st.binary(max_size=60), frames.map(lambda f: encode(f.kind, f.sequence, f.payload)),
    st.builds(encode, st.sampled_from([0x81, 0x82, 0x83, 0xFF]), st.integers(1, 9), st.binary(max_size=60)),
    st.builds(encode, st.just(0x81), st.integers(1, 9), st.just(INFO_REPLY)))))  # fmt: skip
def test_any_reply_ends_in_an_answer_or_an_error(chunks: list[bytes]) -> None:
    device = Device(Tape(chunks))
    for call in (
        device.info,
        lambda limit: device.infer(np.zeros(4, np.uint8), limit),
        lambda limit: device.self_test(1, 2, limit),
    ):
        try:
            assert call(0.002) is not None
        except BoardError as error:
            assert error.message and error.fix


@given(st.one_of(st.binary(max_size=80), st.tuples(st.just(b"\2"), st.binary(max_size=80)).map(b"".join)))
def test_any_description_is_read_or_refused(reply: bytes) -> None:
    try:
        info = read_info(reply)
    except BoardError as error:
        assert error.fix
    else:
        assert info.input_bytes > 0 and info.outputs > 0 and info.ticks_per_second > 0


def test_description() -> None:
    assert read_info(INFO_REPLY) == Info(
        "board", "0123456789abcdef", 784, 10, 3000, 4000, "microseconds", 1_000_000, "int32", 0.5
    )
    with pytest.raises(BoardError, match="speaks version 1 of the protocol, not 2; flash it again"):
        read_info(b"\1" + INFO_REPLY[1:])


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (encode(0xFF, 1, struct.pack("<BI", 2, 66)), "does not know requests of type 66"),
        (encode(0xFF, 1, struct.pack("<BI", 3, 784)), "has to be 784 bytes long"),
        (encode(0xFF, 1, struct.pack("<BI", 4, 3)), r"refused the input \(status 3\)"),
        (encode(0xFF, 1, struct.pack("<BI", 9, 3)), "error 0903000000"),
        (encode(0xFF, 1, b""), "error without a number"),
        (encode(0x81, 2, INFO_REPLY), "did not answer within 0.002 s, 3 times"),
        (encode(0x82, 1, INFO_REPLY), "did not answer"),
    ],
)
def test_refusals(reply: bytes, words: str) -> None:
    with pytest.raises(BoardError, match=words):
        Device(Tape([reply])).request(INFO, b"", 0.002)


def test_a_damaged_request_is_sent_again() -> None:
    tape = Tape([encode(0xFF, 0, struct.pack("<BI", 1, 0)), encode(0x81, 2, INFO_REPLY)])
    assert Device(tape).info().outputs == 10
    assert tape.written == encode(INFO, 1, b"") + encode(INFO, 2, b"")


def test_a_header_that_never_ends_does_not_hide_the_reply() -> None:
    """It claims 65,535 bytes; after a silence it is none."""
    tape = Tape([b"TB\x01\x81\x01\x00\xff\xff" + encode(0x81, 1, INFO_REPLY)])
    assert Device(tape).info().outputs == 10
    assert tape.written == encode(INFO, 1, b"")


# the board's side, sanitised ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module", params=PRECISIONS)
def export(trained: dict[str, Path], request: pytest.FixtureRequest) -> ExportReport:
    return export_run(trained["tiled"], precision=request.param)


@pytest.fixture(scope="module")
def board(export: ExportReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ends with its input; a memory error or undefined behaviour ends it with another status."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc's sanitisers")
    return compile_board(export, tmp_path_factory.mktemp("board") / "board", *SANITIZERS, compiler=["gcc"])


def converse(board: Path, data: bytes) -> list[Frame]:
    """What the board says to these bytes; it has to live until they end."""
    done = subprocess.run([board], input=data, capture_output=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    decoder = Decoder()
    found = list(decoder.feed(done.stdout))
    assert b"".join(encode(f.kind, f.sequence, f.payload) for f in found) == done.stdout  # nothing but frames
    return found


requests = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([encode(INFO, 5, b""), encode(INFER, 6, bytes(range(196)) * 4), b"TB\x01\x02\x05\x00\x10\x03"]),
    st.builds(encode, st.integers(0, 4), st.integers(0, 255), st.binary(max_size=20)),
    st.builds(lambda seed, count: encode(SELF_TEST, 8, struct.pack("<II", seed, count)), st.integers(0, 2**32 - 1),
              st.sampled_from([0, 1, 2, 1001, 2**32 - 1])),
    st.builds(lambda frame, at: frame[:at] + b"?" + frame[at + 1 :], st.just(encode(INFER, 7, bytes(784))), st.integers(0, 795)),
)  # fmt: skip


@given(st.lists(requests, max_size=8))
def test_the_board_survives_anything(board: Path, export: ExportReport, parts: list[bytes]) -> None:
    """And answers what comes after as many bytes as a longest request, none of which begins one."""
    found = converse(board, b"".join(parts) + bytes(12 + export.input_bytes) + encode(INFO, 99, b""))
    assert found[-1].sequence == 99 and read_info(found[-1].payload).model_hash == export.model_hash


def test_a_long_random_conversation(board: Path) -> None:
    """Two million bytes made of pieces of frames."""
    random = np.random.default_rng(1)
    pieces = [
        b"T",
        b"B",
        b"TB\x01",
        b"\x00",
        b"\x03\x08\x00\x08\x00",
        bytes(8),
        encode(INFO, 3, b""),
        encode(3, 4, bytes(8)),
    ]
    assert converse(board, b"".join(pieces[i] for i in random.integers(0, len(pieces), 400_000)))


def test_requests_that_do_not_fit(board: Path, export: ExportReport) -> None:
    asked = [encode(66, 1, b""), encode(INFO, 2, b"x"), encode(INFER, 3, bytes(9)), encode(SELF_TEST, 4, bytes(9)),
             encode(SELF_TEST, 5, struct.pack("<II", 1, 1001)), encode(INFER, 6, bytes(784))[:-1] + b"?"]  # fmt: skip
    found = converse(board, b"".join(asked) + bytes(12 + export.input_bytes))
    said = [(f.sequence, *struct.unpack("<BI", f.payload)) for f in found]
    assert said == [(1, 2, 66), (2, 3, 0), (3, 3, 784), (4, 3, 8), (5, 5, 1000), (6, 1, 0)]


def test_the_self_test_is_the_inferences(board: Path, export: ExportReport) -> None:
    """Its CRC is that of INFER's replies to the same inputs, and of the same C here."""
    inputs = stream_inputs(7, 3, export.input_bytes)
    answers = converse(board, b"".join(encode(INFER, i, image.tobytes()) for i, image in enumerate(inputs)))
    outputs = b"".join(answer.payload[4:] for answer in answers)
    expected = run_library(compile_model(export), export, inputs)
    assert outputs == expected.tobytes()
    [told, none] = converse(board, encode(SELF_TEST, 9, struct.pack("<II", 7, 3)) + encode(SELF_TEST, 9, bytes(8)))
    assert struct.unpack("<II", told.payload)[0] == zlib.crc32(outputs) == stream_crc(expected)
    assert none.payload == bytes(8)


# both sides, over a serial port ------------------------------------------------------------------------------------------------
@pytest.fixture
def plugged(export: ExportReport, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostBoard]:
    program = tmp_path_factory.getbasetemp() / f"host-{export.precision}"
    if not program.exists():
        compile_board(export, program, "-DSTAY")
    found = HostBoard(program, tmp_path / "port")
    yield found
    if found.port.exists():
        found.unplug()


def test_self_test_and_evaluation(plugged: HostBoard, export: ExportReport) -> None:
    with connect(str(plugged.port)) as (device, info):
        assert (info.board, info.output_type) == ("host", export.output_type.name)
        assert info.output_scale == np.float32(export.output_scale) and info.arena_bytes == export.arena_bytes
        assert device.self_test(STREAM_SEED, 0)[0] == 0
        test = self_test(device, info, export)
    assert test.ok and (test.passed, test.total) == (32, 32)
    assert test.stream_inputs == (STREAM_INPUTS if export.precision == "integer" else 0)
    inputs = stream_inputs(3, 20, export.input_bytes)
    told: list[float] = []
    outputs, ticks = evaluate(
        lambda: connect(str(plugged.port)), export, inputs, lambda fraction, _: told.append(fraction)
    )
    assert np.array_equal(outputs, run_library(compile_model(export), export, inputs)) and ticks.shape == (20,)
    assert told == [(i + 1) / 20 for i in range(20)]


def test_wrong_answers_fail_the_self_test(plugged: HostBoard, export: ExportReport, tmp_path: Path) -> None:
    other = replace(export, folder=Path(shutil.copytree(export.folder, tmp_path / "model")))
    with np.load(export.reference) as stored:
        arrays = {name: stored[name].copy() for name in stored}
    arrays["outputs" if export.precision == "integer" else "logits"][3, 0] += 1
    np.savez(other.reference, **arrays)
    with connect(str(plugged.port)) as (device, info):
        test = self_test(device, info, other)
        assert (test.passed, test.total, test.ok, test.stream_agrees) == (31, 32, False, True)
        with pytest.raises(BoardError, match=r"runs model .* not 0000"):
            self_test(device, info, replace(export, model_hash="0000"))
        with pytest.raises(BoardError, match="takes 784 bytes and gives 10 outputs, not 784 and 9"):
            self_test(device, info, replace(export, outputs=9))
