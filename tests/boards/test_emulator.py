"""The emulated board: counts, reset, replacement, retirement, faults."""

import socket
import struct
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tbn.boards import device, emulator
from tbn.boards.machine import Fault, Machine, instruction_starts, read_elf
from tbn.errors import TBNError
from tests.boards.flashed_run import Flashed
from tests.boards.scripts import Script

pytestmark = pytest.mark.board
NUCLEO = "nucleo_f411re"


def test_instruction_starts() -> None:
    """movs (2 bytes), vadd.f32 (4), b.w (4), bx lr (2)."""
    code = struct.pack("<HHHHHH", 0x2100, 0xEE32, 0x1A20, 0xF7FF, 0xBEAF, 0x4770)
    assert instruction_starts(code, 0x100) == [0x100, 0x102, 0x106, 0x10A]


def test_count_is_every_instruction(flashed: Flashed) -> None:
    """Blocks against a hook on each instruction: the blocks also count instructions whose condition was false, no others."""
    from unicorn import UC_HOOK_CODE

    image = np.zeros(784, np.uint8).tobytes()
    ticks = []
    for hooked in (False, True):
        line = Script(device.encode(2, 1, image))
        machine = Machine(NUCLEO, flashed.report.build.elf.read_bytes(), line)
        seen: set[int] = set()
        count = [0]

        def on_code(
            _uc: object, address: int, _size: int, _data: object, seen: set[int] = seen, count: list[int] = count
        ) -> None:
            seen.add(address)
            count[0] += 1

        if hooked:
            machine._uc.hook_add(UC_HOOK_CODE, on_code)
        with pytest.raises(EOFError):
            machine.run()
        ticks.append(struct.unpack_from("<I", line.sent, 8)[0])
        if hooked:
            known = {start for starts in machine._blocks.values() for start in starts}
            assert seen <= known
            assert 0.97 < count[0] / machine.instructions <= 1
    assert ticks[0] == ticks[1]


def test_receiver_keeps_up_at_115200_baud(flashed: Flashed) -> None:
    """A byte takes 1389 clocks at 16 MHz; 6 clocks an instruction would still be in time."""
    line = Script(*[device.encode(2, i, bytes(784)) for i in range(3)])
    machine = Machine(NUCLEO, flashed.report.build.elf.read_bytes(), line)
    with pytest.raises(EOFError):
        machine.run()
    assert 0 < machine.receive_gap < 1389 / 6


def test_opening_the_port_resets_and_a_new_client_takes_over(flashed: Flashed) -> None:
    url = emulator.start(NUCLEO, flashed.report.build.elf, flashed.state)
    with device.connect(url) as (first, _):
        first.stream.write(b"TB\x01\x02")  # half a frame
        with device.connect(url) as (second, info):
            assert info.outputs == 10
            assert second.infer(np.zeros(784, np.uint8))[0].shape == (10,)
            with pytest.raises(device.BoardError):
                first.info(seconds=0.5)


def test_new_image_replaces_the_board_and_a_lost_state_retires_it(flashed: Flashed, tmp_path: Path) -> None:
    state = tmp_path / "emulator.json"
    urls = [emulator.start(NUCLEO, flashed.report.build.elf, state) for _ in range(2)]
    assert urls[0] != urls[1]
    assert gone(urls[0]) and not gone(urls[1], seconds=0.5)
    emulator.stop(state)
    assert gone(urls[1])


def test_leaves_by_itself_when_nobody_comes(flashed: Flashed, tmp_path: Path) -> None:
    state = tmp_path / "emulator.json"
    url = emulator.start(NUCLEO, flashed.report.build.elf, state, idle_seconds=0.5)
    until = time.monotonic() + 10
    while state.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not state.exists()
    assert gone(url)


def gone(url: str, seconds: float = 10) -> bool:
    """Whether nothing listens there any more, at the latest after so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1).close()
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_fault_is_a_closed_line_and_a_word_in_the_log(flashed: Flashed, tmp_path: Path) -> None:
    """An image whose reset vector points nowhere."""
    image = bytearray(flashed.report.build.elf.read_bytes())
    start = image.find(struct.pack("<I", 0x20000000 + (128 << 10)))
    image[start + 4 : start + 8] = struct.pack("<I", 0x30000001)
    with pytest.raises(Fault, match="the emulated core stopped"):
        Machine(NUCLEO, bytes(image), Script()).run()
    broken = tmp_path / "broken.elf"
    broken.write_bytes(image)
    url = emulator.start(NUCLEO, broken, tmp_path / "emulator.json")
    with pytest.raises(device.BoardError), device.connect(url, boot_seconds=1):
        pass
    emulator.stop(tmp_path / "emulator.json")
    assert "the emulated core stopped" in (tmp_path / "emulator.log").read_text()


def test_image_for_another_address_is_refused(flashed: Flashed) -> None:
    image = bytearray(flashed.report.build.elf.read_bytes())
    elf = ELFFile(BytesIO(image))
    for number in range(elf.num_segments()):  # the field p_paddr of each
        struct.pack_into("<I", image, elf["e_phoff"] + number * elf["e_phentsize"] + 12, 0x00010000)
    with pytest.raises(Fault, match="does not lie in the flash"):
        Machine(NUCLEO, bytes(image), Script())


def test_bad_images_and_boards_are_refused(tmp_path: Path, flashed: Flashed) -> None:
    (tmp_path / "no.elf").write_bytes(b"not an image")
    with pytest.raises(TBNError, match="is not an ELF image"):
        emulator.start(NUCLEO, tmp_path / "no.elf", tmp_path / "emulator.json")
    with pytest.raises(TBNError, match="cannot read the firmware image"):
        read_elf(tmp_path / "missing.elf")
    with pytest.raises(TBNError, match="there is no emulated esp32dev"):
        emulator.start("esp32dev", flashed.report.build.elf, tmp_path / "emulator.json")
    assert not (tmp_path / "emulator.json").exists()


@pytest.mark.parametrize(("port", "number"), [("emulator", 0), ("emulator:7611", 7611)])
def test_port_number(port: str, number: int) -> None:
    assert emulator.port_number(port) == number


@pytest.mark.parametrize("port", ["/dev/ttyACM0", "emulator:", "emulator:x", "emulator:99999"])
def test_port_that_is_no_emulator(port: str) -> None:
    if port == "emulator:":
        assert emulator.port_number(port) == 0
        return
    with pytest.raises(TBNError, match="is not an emulated board"):
        emulator.port_number(port)
