"""Instructions of C functions on Cortex-M cores: compiled with zig, run in `unicorn`, counted one by one.

There is no board around the core: code lies at ``CODE``, memory at ``MEMORY``, and a function is called with numbers and addresses. The
counts are those of the emulated boards (``tbn.boards.machine``), which run whole images.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_ARM, UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE, UC_MODE_MCLASS, UC_MODE_THUMB
from unicorn.arm_const import (
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_R3,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M0,
    UC_CPU_ARM_CORTEX_M4,
)

from tbn.boards.machine import instruction_starts
from tbn.errors import TBNError
from tbn.export import firmware_root

CODE, MEMORY, RETURN, STACK_BYTES = 0x10000, 0x20000000, 0x30000000, 16 << 10
FLAGS = (
    "-std=c99",
    "-O2",
    "-g",
    "-ffp-contract=off",
    "-ffunction-sections",
    "-fdata-sections",
    "-ffreestanding",
    "-fno-sanitize=undefined",
)
SMALL = ("-Os",)  # how the runtime's library.json wants it
COMPILE_SECONDS = 300
UNUSED = b"\xa5"
UNICORN: Any = import_module("unicorn")  # only some of its names have types
LAYOUT = f"""\
MEMORY {{
    FLASH (rx) : ORIGIN = {CODE:#x}, LENGTH = 4M
    RAM (rw) : ORIGIN = {MEMORY:#x}, LENGTH = 2M
}}
SECTIONS {{
    .text : {{ KEEP(*(.keep*)) *(.text*) *(.rodata*) }} > FLASH
    .ARM.exidx : {{ *(.ARM.exidx*) }} > FLASH
    .data : {{ *(.data*) }} > RAM AT > FLASH
    .bss (NOLOAD) : {{ *(.bss*) *(COMMON) }} > RAM
}}
"""


@dataclass(frozen=True)
class Core:
    """A processor core: how zig and how unicorn call it; ``aligned`` cores fault on words across their own size."""

    zig: str
    abi: str
    unicorn: int
    aligned: bool


CORES: Mapping[str, Core] = {
    "cortex-m4f": Core("cortex_m4+vfp4d16sp", "eabihf", UC_CPU_ARM_CORTEX_M4, False),
    "cortex-m0": Core("cortex_m0", "eabi", UC_CPU_ARM_CORTEX_M0, True),
    "cortex-m0plus": Core("cortex_m0plus", "eabi", UC_CPU_ARM_CORTEX_M0, True),
}


def link(
    core: str,
    sources: Iterable[Path],
    folder: Path,
    entries: Iterable[str],
    includes: Iterable[Path] = (),
    flags: Iterable[str] = (),
) -> Path:
    """An ELF file in ``folder`` with the functions ``entries`` and what they need, as the firmware's builds compile it.

    Raises:
        TBNError: zig is not installed or refuses the sources.
    """
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise TBNError("the Python package ziglang is missing", "pip install 'tbn-explorer[firmware]'")
    chosen = CORES[core]
    folder.mkdir(parents=True, exist_ok=True)
    layout, elf, keep = folder / "layout.ld", folder / f"{core}.elf", folder / "entries.c"
    layout.write_text(LAYOUT)
    names = list(entries)
    declared = "".join(f"extern void {name}(void);\n" for name in names)
    keep.write_text(
        f'{declared}__attribute__((used, section(".keep"))) void (*const kept[])(void) = {{{", ".join(names)}}};\n'
    )
    argv = [
        str(Path(spec.origin).parent / "zig"),
        "cc",
        "-target",
        f"thumb-freestanding-{chosen.abi}",
        f"-mcpu={chosen.zig}",
        *FLAGS,
        *flags,
    ]
    argv += [*(f"-I{path}" for path in includes), *map(str, sources), str(keep), "-o", str(elf)]
    argv += ["-Wl,--gc-sections", f"-Wl,-e,{names[0]}", f"-Wl,-T,{layout}"]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=COMPILE_SECONDS, stdin=subprocess.DEVNULL, env=dict(os.environ)
    )
    if done.returncode:
        raise TBNError(
            f"zig cannot build for {core}: {done.stderr.strip()[:2000]}", "pip install 'ziglang>=0.16,<0.18'"
        )
    return elf


def link_model(core: str, model: Path, folder: Path, flags: Iterable[str] = SMALL) -> Path:
    """An ELF file in ``folder`` with the generated model of the folder ``model`` and the runtime; its entry is ``tbn_model_run``."""
    runtime = firmware_root() / "lib" / "tbn_runtime"
    sources = [model / "model.c", *sorted((runtime / "src").glob("*.[cS]"))]
    return link(core, sources, folder, ["tbn_model_run"], [model, runtime / "include"], flags)


class Program:
    """A linked program in an emulated core's memory.

    Attributes:
        symbols: address by name.
        instructions: of the last call.
        stack_bytes: that the last call wrote to, below its arguments.
        first: where code and constants begin.
        flash_bytes, ram_bytes: of code and constants, and of static variables.
    """

    def __init__(self, elf: Path, core: str) -> None:
        data = elf.read_bytes()
        image = ELFFile(BytesIO(data))
        table: Any = image.get_section_by_name(".symtab")
        self.symbols = {symbol.name: int(symbol["st_value"]) for symbol in table.iter_symbols() if symbol.name}
        sections = [
            (int(s["sh_addr"]), int(s["sh_size"]), s["sh_type"]) for s in image.iter_sections() if s["sh_flags"] & 2
        ]
        self.flash_bytes = sum(size for _, size, kind in sections if kind != "SHT_NOBITS")
        self.ram_bytes = sum(size for address, size, _ in sections if address >= MEMORY)
        self.instructions = self.stack_bytes = 0
        self.first = CODE
        self._free = MEMORY + (self.ram_bytes + 15) // 16 * 16
        self._blocks: dict[tuple[int, int], int] = {}
        self._fault = ""
        uc = self._uc = UNICORN.Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(CORES[core].unicorn)
        uc.mem_map(CODE, 4 << 20)
        uc.mem_map(MEMORY, 2 << 20)
        uc.mem_map(RETURN, 0x1000)
        for segment in image.iter_segments("PT_LOAD"):
            uc.mem_write(int(segment["p_vaddr"]), segment.data())
        uc.hook_add(UC_HOOK_BLOCK, self._on_block)
        if CORES[core].aligned:
            uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._on_access)

    def put(self, data: bytes) -> int:
        """Address of a copy of ``data`` in memory, a multiple of 4; it stays there."""
        address, self._free = self._free, self._free + (len(data) + 3) // 4 * 4
        if self._free > MEMORY + (2 << 20) - 2 * STACK_BYTES:
            raise TBNError("the emulated memory of 2 MB is full", "put less into it")
        self._uc.mem_write(address, bytes(data))
        return address

    def get(self, address: int, size: int) -> bytes:
        """``size`` bytes from ``address`` on."""
        return bytes(self._uc.mem_read(address, size))

    def call(self, name: str, *arguments: int) -> int:
        """What a C function returns for whole numbers and addresses; ``instructions`` are counted anew.

        Raises:
            TBNError: the core stops: a bad address, an undefined instruction, a word that is not aligned.
        """
        uc, stack = self._uc, MEMORY + (2 << 20)
        words = [argument & 0xFFFFFFFF for argument in arguments]
        rest = b"".join(word.to_bytes(4, "little") for word in words[4:])
        stack -= (len(rest) + 7) // 8 * 8
        bottom = stack - STACK_BYTES
        uc.mem_write(bottom, UNUSED * STACK_BYTES)
        uc.mem_write(stack, rest)
        for register, word in zip((UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_R2, UC_ARM_REG_R3), words, strict=False):
            uc.reg_write(register, word)
        uc.reg_write(UC_ARM_REG_SP, stack)
        uc.reg_write(UC_ARM_REG_LR, RETURN | 1)
        self.instructions, self._fault = 0, ""
        try:
            uc.emu_start(self.symbols[name] | 1, RETURN)
        except UNICORN.UcError as error:
            self._fault = self._fault or str(error)
        if self._fault:
            here = uc.reg_read(UC_ARM_REG_PC)
            raise TBNError(f"{name} stopped at {here:#x}: {self._fault}", "look at the function's last change")
        unused = bytes(uc.mem_read(bottom, STACK_BYTES))
        self.stack_bytes = len(unused.lstrip(UNUSED))
        return int(uc.reg_read(UC_ARM_REG_R0))

    def _on_block(self, uc: Any, address: int, size: int, _: object) -> None:
        count = self._blocks.get((address, size))
        if count is None:
            count = self._blocks[address, size] = len(instruction_starts(bytes(uc.mem_read(address, size)), address))
        self.instructions += count

    def _on_access(self, uc: Any, access: int, address: int, size: int, value: int, _: object) -> None:
        if address % size:
            self._fault = f"{size} bytes at {address:#x} are not aligned"
            uc.emu_stop()

    def run_model(self, sample: bytes, arena: int, outputs: int) -> list[int]:
        """The ``outputs`` int32 of a generated integer model for one sample; ``arena`` bytes are full of other things at first."""
        given, place, answer = self.put(sample), self.put(UNUSED * arena), self.put(bytes(4 * outputs))
        status = self.call("tbn_model_run", given, len(sample), place, answer, outputs)
        if status:
            raise TBNError(f"the model refused the sample (status {status})", "export the run again")
        words = self.get(answer, 4 * outputs)
        self._free = given
        return [int.from_bytes(words[i : i + 4], "little", signed=True) for i in range(0, len(words), 4)]
