"""What can go wrong between a computer and a board: each ends in words that help, within its time, and the next try works.

Serial ports are pseudo-terminals with the firmware's own C behind them; uploads go through real `pio run` into the emulated board.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tbn.boards import emulator, evaluate_on_board, flash
from tbn.boards.device import BoardError, connect
from tbn.boards.line import LineClosed, SerialStream, open_line
from tbn.boards.selftest import RECONNECTS, evaluate, stream_inputs
from tbn.errors import TBNError
from tbn.export.host import compile_model, evaluate_on_host, run_library
from tbn.export.report import ExportReport
from tbn.export.run import export_run
from tests.boards.flashed_run import Flashed, copy_of
from tests.boards.host_board import HostBoard, compile_board

Images = np.ndarray
NOISE = [bytes(300), b"T" * 99, b"TB\x01\x82\x05\x00\xff\xff", np.random.default_rng(1).bytes(3000)]


@pytest.fixture(scope="module")
def export(trained: dict[str, Path]) -> ExportReport:
    return export_run(trained["tiled"], precision="integer")


@pytest.fixture(scope="module")
def program(export: ExportReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_board(export, tmp_path_factory.mktemp("board") / "board", "-DSTAY")


@pytest.fixture
def board(program: Path, tmp_path: Path) -> Iterator[HostBoard]:
    found = HostBoard(program, tmp_path / "port")
    yield found
    if found.port.is_symlink():
        found.unplug()


@pytest.fixture(scope="module")
def inputs(export: ExportReport) -> Images:
    return stream_inputs(5, 30, export.input_bytes)


@pytest.fixture(scope="module")
def expected(export: ExportReport, inputs: Images) -> Images:
    return run_library(compile_model(export), export, inputs)


def at_image(number: int, event: Callable[[], None]) -> Callable[[float, str], None]:
    """A listener that lets something happen once, after so many of 30 images."""
    waiting = [event]

    def listen(fraction: float, message: str) -> None:
        if waiting and round(fraction * 30) == number:
            waiting.pop()()

    return listen


# in mid-evaluation ---------------------------------------------------------------------------------------------------------------
def test_unplugged_and_plugged_in_again(
    board: HostBoard, export: ExportReport, inputs: Images, expected: Images
) -> None:
    """Every image has its answer, and the listener was told."""
    told: list[str] = []
    leave = at_image(7, board.unplug)

    def listen(fraction: float, message: str) -> None:
        told.append(message)
        leave(fraction, message)
        if "gone" in message:
            board.plug_in()

    outputs, _ = evaluate(lambda: connect(str(board.port)), export, inputs, listen)
    assert np.array_equal(outputs, expected)
    assert "the board is gone after 7 of 30 images: plug it in again" in told


def test_unplugged_for_good(board: HostBoard, export: ExportReport, inputs: Images) -> None:
    with pytest.raises(BoardError, match=r"port .* is not there; plug the board in"):
        evaluate(lambda: connect(str(board.port), boot_seconds=0.5), export, inputs, at_image(7, board.unplug))


def test_a_loose_cable_is_given_up(board: HostBoard, export: ExportReport, inputs: Images) -> None:
    losses: list[str] = []

    def listen(fraction: float, message: str) -> None:
        if "gone" in message:
            losses.append(message)
            board.plug_in()
        else:
            board.unplug()

    with pytest.raises(LineClosed, match="is the board still plugged in"):
        evaluate(lambda: connect(str(board.port)), export, inputs, listen)
    assert len(losses) == RECONNECTS
    board.plug_in()


def test_another_board_comes_back(
    board: HostBoard, trained: dict[str, Path], export: ExportReport, inputs: Images, tmp_path: Path
) -> None:
    """It runs another model: nothing of it gets among the answers."""
    other = compile_board(export_run(trained["binary"], precision="integer"), tmp_path / "other", "-DSTAY")

    def listen(fraction: float, message: str) -> None:
        if "gone" in message:
            board.program = other
            board.plug_in()
        elif round(fraction * 30) == 7:
            board.unplug()

    with pytest.raises(BoardError, match="the board runs model .*; flash this run's firmware"):
        evaluate(lambda: connect(str(board.port)), export, inputs, listen)


def test_reset(board: HostBoard, export: ExportReport, inputs: Images, expected: Images) -> None:
    """While a request is under way: it is sent again."""
    first = board.process
    outputs, _ = evaluate(lambda: connect(str(board.port)), export, inputs, at_image(9, board.reset))
    assert np.array_equal(outputs, expected)
    assert board.process is not first


def test_board_falls_silent(board: HostBoard, export: ExportReport) -> None:
    with connect(str(board.port)) as (device, _):
        device.infer(np.zeros(784, np.uint8))
        board.power_off()
        with pytest.raises(BoardError, match="did not answer within 0.1 s, 3 times; is this the right port"):
            device.infer(np.zeros(784, np.uint8), seconds=0.1)
        board.power_on()
        assert device.infer(np.zeros(784, np.uint8))[0].shape == (10,)


def test_silent_from_the_start(board: HostBoard) -> None:
    board.power_off()
    started = time.monotonic()
    with pytest.raises(BoardError, match="did not answer"), connect(str(board.port), boot_seconds=0.3):
        pass
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("noise", NOISE, ids=["zeros", "sync", "header only", "random"])
def test_garbage_on_the_line(
    board: HostBoard, export: ExportReport, inputs: Images, expected: Images, noise: bytes
) -> None:
    """To the computer in mid-evaluation, and to the board."""
    outputs, _ = evaluate(lambda: connect(str(board.port)), export, inputs, at_image(5, lambda: board.disturb(noise)))
    assert np.array_equal(outputs, expected)
    with connect(str(board.port)) as (device, _):
        device.stream.write(noise)
        assert np.array_equal(device.infer(inputs[0], seconds=2)[0], expected[0])


# the port ------------------------------------------------------------------------------------------------------------------------
def test_port_is_busy(board: HostBoard) -> None:
    """Another program of this computer has it open."""
    code = f"import serial, sys; port = serial.Serial({str(board.port)!r}, exclusive=True); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        with pytest.raises(BoardError, match="in use by another program; close the serial monitor"):
            open_line(str(board.port))
        other.kill()
    with connect(str(board.port)) as (_, info):
        assert info.outputs == 10


def test_port_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="is not there; plug the board in"):
        open_line(str(tmp_path / "nothing"))


def test_port_that_may_not_be_opened(board: HostBoard) -> None:
    device = board.port.resolve()
    before = device.stat().st_mode
    device.chmod(0)
    try:
        if os.access(device, os.W_OK):
            pytest.skip("this user may open everything")
        with pytest.raises(BoardError, match="you may not open the port .* dialout"):
            open_line(str(board.port))
    finally:
        device.chmod(before)


def test_unplugged_while_it_is_written_to(board: HostBoard) -> None:
    stream = SerialStream(str(board.port))
    board.unplug()
    with pytest.raises(LineClosed, match="is the board still plugged in"):
        for _ in range(100):
            stream.write(bytes(1000))
            stream.read(0.01)
    stream.close()


# a board with a drive and a serial port --------------------------------------------------------------------------------------------
class Programmer:
    """What an ST-LINK does: takes the image off its drive and lets the board begin. ``broken``: the board keeps its old program."""

    def __init__(self, folder: Path, board: HostBoard, broken: bool = False) -> None:
        folder.mkdir()
        (folder / "DETAILS.TXT").write_text("Board: NUCLEO-F411RE\n")
        self.folder, self.board, self.broken = folder, board, broken
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self) -> None:
        while not self.ended.wait(0.02):
            for image in self.folder.glob("*.BIN"):
                time.sleep(0.2)
                image.unlink()
                if not self.broken:
                    self.board.reset(0)

    def end(self) -> None:
        self.ended.set()
        self.thread.join()


@pytest.mark.board
def test_flash_over_the_drive(flashed: Flashed, board: HostBoard, tmp_path: Path) -> None:
    """The bare-metal image onto the drive, the self-test over the serial port; no uploader, no registry."""
    programmer = Programmer(tmp_path / "NODE_F411RE", board)
    try:
        report = flash(flashed.run, port=str(board.port), drive=str(programmer.folder))
        assert (report.passed, report.total, report.tick_unit) == (32, 32, "microseconds")
        assert report.build.emulated and report.instructions is None
    finally:
        programmer.end()


@pytest.mark.board
def test_the_board_kept_its_old_firmware(
    flashed: Flashed, trained: dict[str, Path], board: HostBoard, tmp_path: Path
) -> None:
    """The drive took the image, the board runs another model: its hash says so."""
    board.power_off()
    board.program = compile_board(export_run(trained["binary"], precision="integer"), tmp_path / "old", "-DSTAY")
    board.power_on()
    programmer = Programmer(tmp_path / "NODE_F411RE", board, broken=True)
    try:
        with pytest.raises(TBNError, match=r"the board runs model \w+, not \w+; flash this run's firmware"):
            flash(flashed.run, port=str(board.port), drive=str(programmer.folder))
    finally:
        programmer.end()


@pytest.mark.board
def test_two_users_flash_one_port(flashed: Flashed, trained: dict[str, Path], board: HostBoard, tmp_path: Path) -> None:
    """Two runs, one board: the second is refused at once and leaves the first alone."""
    programmer = Programmer(tmp_path / "NODE_F411RE", board)
    other = copy_of(trained["binary"], tmp_path)
    refused: list[str] = []

    def listen(step: str, state: str, message: str) -> None:
        if (step, state) == ("build", "done"):
            for attempt in (partial(flash, drive=str(programmer.folder)), evaluate_on_board):
                with pytest.raises(TBNError, match="is in use by another flash or evaluation") as error:
                    attempt(other, port=str(board.port))
                refused.append(error.value.fix)

    try:
        report = flash(flashed.run, port=str(board.port), drive=str(programmer.folder), progress=listen)
        assert report.passed == 32 and refused == ["wait until it has ended, cancel it, or disconnect the console"] * 2
        assert not (other / "firmware").exists()
    finally:
        programmer.end()


# in mid-flash --------------------------------------------------------------------------------------------------------------------
def processes(*words: str) -> list[int]:
    """Processes with all these words in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().decode(errors="replace")
            if all(word in line for word in words):
                found.append(int(entry.name))
    return found


@pytest.mark.board
def test_unplugged_in_mid_flash(flashed: Flashed) -> None:
    """The uploader dies while it writes: an error, no report of a success, and the next flash works."""
    before = (flashed.folder / "report.json").read_bytes()

    def pull() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for process in processes("tbn.boards.emulator", "flash", str(flashed.state)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                    return
            time.sleep(0.001)

    threads: list[threading.Thread] = []

    def listen(step: str, state: str, message: str) -> None:
        if (step, state) == ("flash", "running"):
            threads.append(threading.Thread(target=pull))
            threads[0].start()

    with pytest.raises(TBNError) as error:
        flash(flashed.run, port="emulator", progress=listen)
    threads[0].join()
    assert error.value.fix
    assert (flashed.folder / "report.json").read_bytes() == before
    assert flash(flashed.run, port="emulator").passed == 32


@pytest.mark.board
def test_unplugged_before_it_is_verified(flashed: Flashed) -> None:
    def listen(step: str, state: str, message: str) -> None:
        if (step, state) == ("verify", "running"):
            os.kill(int(str(emulator.read_state(flashed.state)["pid"])), signal.SIGKILL)

    with pytest.raises(TBNError, match="line|port"):
        flash(flashed.run, port="emulator", progress=listen)
    assert flash(flashed.run, port="emulator").passed == 32


@pytest.mark.board
def test_unplugged_in_mid_evaluation(flashed: Flashed) -> None:
    """The emulated board's process is killed: an error, and the next evaluation flashes it again."""
    emulator.start("nucleo_f411re", flashed.report.build.elf, flashed.state)
    process = int(str(emulator.read_state(flashed.state)["pid"]))
    with pytest.raises(BoardError, match="flash"):
        evaluate_on_board(flashed.run, limit=30, progress=at_image(7, lambda: os.kill(process, signal.SIGKILL)))
    outputs, _ = evaluate_on_board(flashed.run, limit=5)
    assert np.array_equal(outputs, evaluate_on_host(flashed.run, limit=5))


@pytest.mark.board
def test_flashed_by_another_in_mid_evaluation(flashed: Flashed, trained: dict[str, Path], tmp_path: Path) -> None:
    """With another model, behind the back of the lock: nothing of it gets among the answers."""
    another = copy_of(trained["binary"], tmp_path)
    other = flash(another, port="emulator").build.elf
    emulator.start("nucleo_f411re", flashed.report.build.elf, flashed.state)
    process = int(str(emulator.read_state(flashed.state)["pid"]))

    def replace_it() -> None:
        emulator.start("nucleo_f411re", other, flashed.state)
        os.kill(process, signal.SIGKILL)

    try:
        with pytest.raises(BoardError, match="the board runs model .*; flash this run's firmware"):
            evaluate_on_board(flashed.run, limit=30, progress=at_image(7, replace_it))
    finally:
        emulator.stop(another / "firmware" / "nucleo_f411re" / "pio" / "emulator.json")
    assert flash(flashed.run, port="emulator").passed == 32


@pytest.mark.board
def test_path_with_spaces_and_letters_of_all_kinds(trained: dict[str, Path], tmp_path: Path) -> None:
    run = copy_of(trained["tiled"], tmp_path / "mein Läufer (π) 試験")
    try:
        report = flash(run, port="emulator")
        assert (report.passed, report.total) == (32, 32)
        outputs, _ = evaluate_on_board(run, limit=3)
        assert np.array_equal(outputs, evaluate_on_host(run, limit=3))
    finally:
        emulator.stop(run / "firmware" / "nucleo_f411re" / "pio" / "emulator.json")
