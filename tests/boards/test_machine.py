"""The emulated chips: how each starts, its registers, and the example model's image on all of them."""

import importlib.util
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.boards import device
from tbn.boards.chips import BOOT2_AT, MODELS, Nrf51822, Rp2040, Stm32f411, crc32_plain
from tbn.boards.frames import Decoder, encode
from tbn.boards.machine import Fault, Machine
from tbn.boards.uarts import IDLE_POLLS, NrfUart0, Pl011, Stm32Usart2, Uart
from tbn.export import firmware_root
from tests.boards.scripts import Script

spec = importlib.util.spec_from_file_location(
    "image", firmware_root() / "platforms" / "tbn_baremetal" / "tools" / "image.py"
)
assert spec is not None and spec.loader is not None
image = importlib.util.module_from_spec(spec)
spec.loader.exec_module(image)


# registers, without any program -------------------------------------------------------------------------------------------------
class Clock:
    """Says what it is told to."""

    now = 0

    def clock(self) -> int:
        return self.now


class Far:
    """The other end of a UART."""

    def __init__(self) -> None:
        self.coming, self.sent = b"", b""

    def wait(self, sent: bytes) -> bytes:
        self.sent += sent
        coming, self.coming = self.coming, b""
        return coming


def switch_on(chip: Stm32f411 | Nrf51822 | Rp2040) -> None:
    """What a driver does first, in as few writes as possible."""
    start = chip.uart.START
    if isinstance(chip, Stm32f411):
        chip.write(0x40023840, 1 << 17)
        chip.write(start + 0x0C, 1 << 13 | 1 << 3 | 1 << 2)
    elif isinstance(chip, Nrf51822):
        for register, value in ((0x500, 4), (0x000, 1), (0x008, 1)):
            chip.write(start + register, value)
    else:
        chip.write(0x4000F000, 1 << 22)
        chip.write(start + 0x30, 0x301)


STATUS_DATA = {Stm32Usart2: (0x00, 0x04, 0x04), NrfUart0: (0x108, 0x518, 0x51C), Pl011: (0x18, 0x00, 0x00)}


def received(uart: Uart) -> bool:
    value = uart.read(STATUS_DATA[type(uart)][0])
    return bool({Stm32Usart2: value & 0x20, NrfUart0: value, Pl011: not value & 0x10}[type(uart)])


@pytest.mark.parametrize("kind", [Stm32f411, Nrf51822, Rp2040])
def test_uart_says_and_hears_only_when_it_is_on(kind: type[Stm32f411 | Nrf51822 | Rp2040]) -> None:
    for on in (False, True):
        far = Far()
        chip = kind(kind.UART(far.wait, lambda: 0), Clock())
        if on:
            switch_on(chip)
        _, take, put = STATUS_DATA[kind.UART]
        chip.write(chip.uart.START + put, ord("a"))
        far.coming = b"xy"
        seen = [received(chip.uart) for _ in range(IDLE_POLLS + 1)]
        assert seen == [False] * IDLE_POLLS + [on]
        assert far.sent == b"a" * on
        got = bytes(chip.read(chip.uart.START + take) for _ in range(2))
        assert got == (b"xy" if on else b"\0\0")


def test_nrf_events_stay_until_they_are_cleared() -> None:
    far = Far()
    chip = Nrf51822(NrfUart0(far.wait, lambda: 0), Clock())
    switch_on(chip)
    far.coming = b"x"
    assert any(received(chip.uart) for _ in range(IDLE_POLLS + 1))
    assert chip.uart.read(0x518) == ord("x") and received(chip.uart)
    chip.uart.write(0x108, 0)
    assert not received(chip.uart)


def test_nrf_timer_counts_clocks() -> None:
    clock = Clock()
    chip = Nrf51822(NrfUart0(Far().wait, lambda: 0), clock)
    clock.now = 100
    chip.write(0x40008000, 1)
    clock.now = 100 + (1 << 32) + 7
    assert chip.read(0x40008540) == 0
    chip.write(0x40008040, 1)
    assert chip.read(0x40008540) == 7


def test_rp2040_write_aliases_resets_and_clocks() -> None:
    clock = Clock()
    chip = Rp2040(Pl011(Far().wait, lambda: 0), clock)
    assert chip.read(0x4000C008) == 0  # all in reset
    chip.write(0x40034024, 6)
    assert chip.read(0x40034024) == 0
    chip.write(0x4000F000, 1 << 22 | 1)  # clear
    assert chip.read(0x4000C008) == 1 << 22 | 1
    chip.write(0x4000E000, 1)  # set
    assert chip.read(0x4000C008) == 1 << 22
    chip.write(0x4000D000, 3)  # exclusive or
    assert chip.read(0x4000C008) == 1 << 22 | 3
    chip.write(0x40034024, 6)
    assert chip.read(0x40034024) == 6
    assert chip.read(0x40024004) == 0
    chip.write(0x40024000, 0xFAB << 12 | 0xAA0)
    assert chip.read(0x40024004) == 1 << 31
    chip.write(0x40008030, 2)
    assert (chip.read(0x40008038), chip.read(0x40008044)) == (4, 1)
    clock.now = 1200
    assert chip.read(0x40054028) == 0
    chip.write(0x4005802C, 12 | 1 << 9)
    assert chip.read(0x40054028) == 100


# images --------------------------------------------------------------------------------------------------------------------------
@given(st.binary(max_size=300))
def test_both_checksums_of_boot2_are_the_same(data: bytes) -> None:
    """The builder computes bit by bit, the emulated boot ROM through zlib; "123456789" gives what the catalogues of CRCs say of MPEG-2."""
    assert crc32_plain(data) == image.crc32_plain(data)
    assert crc32_plain(b"123456789") == 0x0376E6E7


@given(st.sampled_from([0, 0x10000, 0x08000000, 0x0000FFF0]), st.binary(min_size=1, max_size=200))
def test_intel_hex(start: int, data: bytes) -> None:
    memory: dict[int, int] = {}
    upper, lines = 0, image.intel_hex(start, data).splitlines()
    for line in lines:
        record = bytes.fromhex(line[1:])
        assert line[0] == ":" and sum(record) & 0xFF == 0 and len(record) == record[0] + 5
        if record[3] == 4:
            upper = struct.unpack(">H", record[4:-1])[0] << 16
        elif record[3] == 0:
            address = upper + struct.unpack(">H", record[1:3])[0]
            memory |= {address + i: byte for i, byte in enumerate(record[4:-1])}
    assert lines[-1] == ":00000001FF"
    assert memory == {start + i: byte for i, byte in enumerate(data)}


@given(st.binary(min_size=1, max_size=1000))
def test_uf2(data: bytes) -> None:
    file = image.uf2(0x10000000, data, 0xE48BFF56)
    blocks = [file[i : i + 512] for i in range(0, len(file), 512)]
    content = b""
    for index, block in enumerate(blocks):
        head = struct.unpack_from("<8I", block)
        assert head == (0x0A324655, 0x9E5D5157, 0x2000, 0x10000000 + 256 * index, 256, index, len(blocks), 0xE48BFF56)
        assert struct.unpack_from("<I", block, 508)[0] == 0x0AB16F30
        content += block[32 : 32 + 256]
    assert content[: len(data)] == data and set(content[len(data) :]) <= {0xFF}


# the example model on every board ------------------------------------------------------------------------------------------------
def converse(board: str, elf: bytes, *requests: tuple[int, bytes]) -> tuple[list[bytes], Machine]:
    """The replies' payloads, and the machine."""
    line = Script(*(encode(kind, index, payload) for index, (kind, payload) in enumerate(requests)))
    machine = Machine(board, elf, line)
    with pytest.raises(EOFError):
        machine.run()
    replies = list(Decoder().feed(line.sent))
    assert [reply.kind for reply in replies] == [kind | device.REPLY for kind, _ in requests]
    return [reply.payload for reply in replies], machine


INPUTS = [bytes((7 * i + 31 * j) & 0xFF for i in range(64)) for j in range(8)]
SELF_TEST = struct.pack("<II", 5, 20)


@pytest.fixture(scope="session")
def answers(built: dict[str, Path]) -> Mapping[str, tuple[list[bytes], Machine]]:
    """INFO, INFER of each input, and a self-test, on every Cortex-M board."""
    requests = [(device.INFO, b""), *((device.INFER, data) for data in INPUTS), (device.SELF_TEST, SELF_TEST)]
    return {name: converse(name, (built[name] / "firmware.elf").read_bytes(), *requests) for name in MODELS}


@pytest.mark.board
@pytest.mark.parametrize("board", list(MODELS))
def test_says_what_it_is(answers: Mapping[str, tuple[list[bytes], Machine]], board: str) -> None:
    info = device.read_info(answers[board][0][0])
    assert (info.board, info.input_bytes, info.outputs, info.tick_unit) == (board, 64, 10, "clocks")
    assert info.ticks_per_second == MODELS[board].hertz


@pytest.mark.board
@pytest.mark.parametrize("board", list(MODELS))
def test_same_answers_on_every_core(answers: Mapping[str, tuple[list[bytes], Machine]], board: str) -> None:
    """Outputs and the CRC of the self-test, bit for bit; ticks are the core's own."""
    found, reference = (list(answers[name][0]) for name in (board, "nucleo_f411re"))
    assert [reply[4:] for reply in found[1:-1]] == [reply[4:] for reply in reference[1:-1]]
    assert found[-1][:4] == reference[-1][:4]
    assert len({reply[4:] for reply in found[1:-1]}) == len(INPUTS)
    assert all(500 < struct.unpack_from("<I", reply)[0] < 200_000 for reply in found[1:-1])


@pytest.mark.board
@pytest.mark.parametrize("board", list(MODELS))
def test_receiver_keeps_up_at_115200_baud(answers: Mapping[str, tuple[list[bytes], Machine]], board: str) -> None:
    """Even with 6 clocks an instruction it would be in time for each byte, without its queue."""
    assert 0 < answers[board][1].receive_gap < MODELS[board].hertz / 11520 / 6


@pytest.mark.board
@pytest.mark.parametrize("board", list(MODELS))
def test_counter_counts_what_the_emulator_counts(built: dict[str, Path], board: str) -> None:
    """The ticks of an inference, and instructions between the reads of the counter."""
    line = Script(encode(device.INFER, 1, INPUTS[0]))
    machine = Machine(board, (built[board] / "firmware.elf").read_bytes(), line)
    counts: list[int] = []
    read = machine.clock
    machine.clock = lambda: counts.append(read()) or counts[-1]  # type: ignore[func-returns-value, method-assign]
    with pytest.raises(EOFError):
        machine.run()
    ticks = struct.unpack_from("<I", line.sent, 8)[0]
    per_read = 2 if board == "pico" else 1  # SysTick and the microseconds
    assert any(abs(b - a - ticks) <= 1 for a, b in zip(counts, counts[per_read:], strict=False))


@pytest.mark.board
def test_every_access_is_aligned_on_a_cortex_m0(built: dict[str, Path]) -> None:
    """A Cortex-M0 faults on a word that is not; unicorn's does not."""
    for board in ("microbit", "pico"):
        line = Script(encode(device.INFO, 1, b""), encode(device.INFER, 2, INPUTS[0]))
        with pytest.raises(EOFError):
            Machine(board, (built[board] / "firmware.elf").read_bytes(), line, aligned=True).run()
        assert [frame.kind for frame in Decoder().feed(line.sent)] == [0x81, 0x82]


@pytest.mark.board
def test_images_say_the_same(built: dict[str, Path]) -> None:
    """.bin is what the emulated flash holds; .hex and .uf2 carry the same bytes."""
    for board in MODELS:
        elf = (built[board] / "firmware.elf").read_bytes()
        data = (built[board] / "firmware.bin").read_bytes()
        machine = Machine(board, elf, Script())
        start = MODELS[board].flash[0]
        assert bytes(machine._uc.mem_read(start, len(data))) == data
        if board == "pico":
            family = struct.unpack_from("<I", (built[board] / "firmware.uf2").read_bytes(), 28)[0]
            assert (built[board] / "firmware.uf2").read_bytes() == image.uf2(start, data, 0xE48BFF56)
            assert family == 0xE48BFF56
        else:
            assert (built[board] / "firmware.hex").read_text() == image.intel_hex(start, data)


@pytest.mark.board
def test_pico_boots_through_its_second_stage(built: dict[str, Path]) -> None:
    """It runs from where the boot ROM copies it, sets the flash interface up, names the vector table, and enters the program."""
    elf = (built["pico"] / "firmware.elf").read_bytes()
    machine = Machine("pico", elf, Script())
    with pytest.raises(EOFError):
        machine.run()
    assert any(BOOT2_AT <= address < BOOT2_AT + 256 for address, _ in machine._blocks)
    registers = machine.chip.registers
    expected = {0x00: 0x001F0300, 0x04: 0, 0x08: 1, 0x14: 2, 0xF4: 0x03000218}
    assert {offset: registers[0x18000000 + offset] for offset in expected} == expected
    assert registers[0xE000ED08] == 0x10000100


@pytest.mark.board
def test_vector_table_is_named_where_it_does_not_lie_at_zero(
    answers: Mapping[str, tuple[list[bytes], Machine]],
) -> None:
    """The nRF51822 has no such register, and its table lies at 0."""
    found = {board: machine.chip.registers.get(0xE000ED08) for board, (_, machine) in answers.items()}
    assert found == {"nucleo_f411re": 0x08000000, "microbit": None, "pico": 0x10000100, "nano33ble": 0x10000}


@pytest.mark.board
def test_pico_with_a_damaged_second_stage_does_not_start(built: dict[str, Path]) -> None:
    elf = bytearray((built["pico"] / "firmware.elf").read_bytes())
    at = elf.find((built["pico"] / "firmware.bin").read_bytes()[:256])
    elf[at + 3] ^= 1
    with pytest.raises(Fault, match="checksum of the first 256 bytes is wrong"):
        Machine("pico", bytes(elf), Script())


@pytest.mark.board
def test_image_of_another_board_is_refused(built: dict[str, Path]) -> None:
    """Each is linked elsewhere; only the Nano's application lies inside the flash of the micro:bit, which finds no vectors then."""
    for board in MODELS:
        for other in MODELS:
            if board != other:
                inside = (board, other) == ("microbit", "nano33ble")
                with pytest.raises(Fault, match="core stopped" if inside else "does not lie in the flash"):
                    Machine(board, (built[other] / "firmware.elf").read_bytes(), Script()).run()
