"""Images on labwired (pip install labwired), which models whole chips.

labwired 0.25 knows no USADA8, so it needs Cortex-M4 images of the runtime's plain C (TBN_BUILD_FLAGS=-DTBN_PORTABLE).
"""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from tbn.boards.chips import MODELS

LABWIRED = {"nucleo_f411re": "stm32f411ceu6", "pico": "rp2040", "nano33ble": "nrf52840"}
DEBUG_REGISTERS = {"id": "dcb", "type": "stub", "base_address": 0xE000EDF0, "size": "16B"}


@contextmanager
def power_on(board: str, elf: bytes, folder: Path) -> Iterator[Any]:
    """A labwired board with the image. Its nRF52840 starts at 0 (ours lies above the Nano's boot loader) and lacks a debug register."""
    labwired = import_module("labwired")
    image = folder / "firmware.elf"
    if board != "nano33ble":
        image.write_bytes(elf)
        system = {"chip": LABWIRED[board]}
    else:
        image.write_bytes(with_boot_loader(elf, MODELS[board].flash[0]))
        configs = Path(str(labwired.__file__)).parent / "configs"
        text = (configs / "chips" / f"{LABWIRED[board]}.yaml").read_text()
        text = text.replace("../peripherals", str(configs / "peripherals"))
        text = text.replace("\nperipherals:\n", f"\nperipherals:\n  - {json.dumps(DEBUG_REGISTERS)}\n", 1)
        (folder / "chip.yaml").write_text(text)
        described = {"name": board, "chip": str(folder / "chip.yaml"), "external_devices": [], "board_io": []}
        (folder / "system.yaml").write_text(json.dumps(described))
        system = {"system": str(folder / "system.yaml")}
    with labwired.Sim(str(image), **system) as sim:
        yield sim


def with_boot_loader(elf: bytes, base: int) -> bytes:
    """The image, and at address 0 what a resident boot loader does last: name the vector table at ``base`` and enter the program."""
    segments = [(s["p_paddr"], s.data()) for s in ELFFile(BytesIO(elf)).iter_segments("PT_LOAD") if s["p_filesz"]]
    code = struct.pack("<7H", 0x4803, 0x4904, 0x6008, 0x6801, 0xF381, 0x8808, 0x6841) + struct.pack(
        "<HII", 0x4708, base, 0xE000ED08
    )
    # ldr r0, =base; ldr r1, =VTOR; str r0, [r1]; ldr r1, [r0]; msr msp, r1; ldr r1, [r0, #4]; bx r1
    stack = struct.unpack_from("<I", dict(segments)[base])[0]
    segments.insert(0, (0, struct.pack("<II", stack, 0x41).ljust(0x40, b"\0") + code))
    position = 52 + 32 * len(segments)
    headers, body = b"", b""
    for address, data in segments:
        headers += struct.pack("<8I", 1, position + len(body), address, address, len(data), len(data), 7, 4)
        body += data.ljust(-(-len(data) // 4) * 4, b"\0")
    head = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0x41, 52, 0, 0x05000000, 52, 32, len(segments), 40, 0, 0)
    return head + headers + body
