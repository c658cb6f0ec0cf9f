"""A trained run on every emulated board, the whole way; four of them at once."""

import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from tbn.boards import FlashReport, device, emulator, flash, get_board, list_boards, simavr
from tbn.boards.chips import MODELS
from tbn.boards.frames import Decoder, encode
from tbn.boards.machine import Fault
from tbn.errors import TBNError
from tests.boards.scripts import Script

pytestmark = pytest.mark.board
AVR = pytest.mark.skipif(bool(simavr.missing()), reason=simavr.INSTALL)


def test_four_boards_at_once(trained: dict[str, Path]) -> None:
    """One run, four boards, four workspaces, started together: each is built, flashed and answers bit for bit."""
    outcomes: dict[str, FlashReport | TBNError] = {}

    def attempt(board: str) -> None:
        try:
            outcomes[board] = flash(trained["tiled"], board, "emulator")
        except TBNError as error:
            outcomes[board] = error

    threads = [threading.Thread(target=attempt, args=(board,)) for board in MODELS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    hashes = set()
    for board in MODELS:
        report = outcomes[board]
        emulator.stop(trained["tiled"] / "firmware" / board / "pio" / "emulator.json")
        assert isinstance(report, FlashReport), f"{board}: {report}"
        assert (report.passed, report.total, report.tick_unit) == (32, 32, "instructions")
        assert report.build.environment == f"sim_{board}"
        assert report.build.linked_weight_bytes == report.build.weight_bytes
        hashes.add(report.build.model_hash)
    assert len(hashes) == 1


@AVR
@pytest.mark.parametrize("board", list(simavr.CHIPS))
def test_avr_answers_as_the_cortexes_do(board: str, built: dict[str, Path], tmp_path: Path) -> None:
    """Through the emulator's own process: what it is, outputs and a self-test bit for bit, cycles, and what follows garbage."""
    url = emulator.start(board, built[board] / "firmware.elf", tmp_path / "emulator.json")
    inputs = [np.arange(64, dtype=np.uint8) * 3, np.zeros(64, np.uint8)]
    line = Script(*(encode(device.INFER, i, image.tobytes()) for i, image in enumerate(inputs)),
                  encode(device.SELF_TEST, 9, struct.pack("<II", 5, 20)))  # fmt: skip
    with pytest.raises(EOFError):
        emulator.power_on("microbit", (built["microbit"] / "firmware.elf").read_bytes(), line).run()
    expected = [frame.payload for frame in Decoder().feed(line.sent)]
    try:
        with device.connect(url) as (found, info):
            assert (info.board, info.ticks_per_second, info.tick_unit) == (board, simavr.HERTZ, "clocks")
            answers = [found.infer(image) for image in inputs]
            assert [outputs.tobytes() for outputs, _ in answers] == [payload[4:] for payload in expected[:2]]
            assert all(1 < ticks / struct.unpack_from("<I", expected[0])[0] < 40 for _, ticks in answers)
            assert found.self_test(5, 20)[0] == struct.unpack_from("<I", expected[2])[0]
            assert abs(answers[0][1] - found.infer(inputs[0])[1]) < 60  # one more interrupt of the timer, or none
            found.stream.write(b"TB\x01\x02\x05\x00\x10\x00")
            assert found.info(seconds=2.0) == info
    finally:
        emulator.stop(tmp_path / "emulator.json")


@AVR
def test_avr_stack_in_the_variables_is_a_fault(built: dict[str, Path]) -> None:
    """Told that the variables reach 40 bytes below the end of the RAM, the board stops at the first deeper call."""
    machine = simavr.AvrMachine("uno", (built["uno"] / "firmware.elf").read_bytes(), Silent())
    assert 0x100 < machine.free_ram < 0x100 + get_board("uno").ram_bytes - get_board("uno").stack_reserve_bytes
    machine.free_ram = 0x8FF - 40
    with pytest.raises(Fault, match="the stack grew into the variables"):
        machine.run()


class Silent(Script):
    """Asks what the board is, once, and waits for ever."""

    asked = False

    def receive(self, seconds: float) -> bytes:
        first, self.asked = not self.asked, True
        return encode(device.INFO, 1, b"") if first else b""


def test_avr_without_its_tools_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built: dict[str, Path]
) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TBNError, match="emulated AVR boards need gcc") as error:
        emulator.start("uno", built["microbit"] / "firmware.elf", tmp_path / "emulator.json")
    assert "libsimavr-dev" in error.value.fix


def test_every_emulated_board_is_tested_here() -> None:
    assert {board.name for board in list_boards() if board.emulated} == {*MODELS, *simavr.CHIPS}
