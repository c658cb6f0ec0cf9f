"""The portable runtime on a processor that has no fast path of its own: compiled for RISC-V (RV32IMC) and executed, the reference's bits."""

import os
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_RISCV, UC_MODE_RISCV32, Uc
from unicorn.riscv_const import UC_RISCV_REG_A0, UC_RISCV_REG_PC, UC_RISCV_REG_RA, UC_RISCV_REG_SP

from tbn.export import firmware_root
from tbn.export.c_integer import generate
from tbn.export.run import cache_root
from tbn.integer import IntegerNetwork, run
from tests.firmware.test_runtime_cores import convolutions, vectors
from tests.integer.networks import codes

CODE, RAM, SIZE = 0x80000000, 0x90000000, 1 << 20
RETURN = CODE + SIZE - 16
FLAGS = (
    *(
        "-target",
        "riscv32-freestanding-none",
        "-mcpu=generic_rv32+m+c",
        "-std=c99",
        "-Os",
        "-ffreestanding",
        "-ffunction-sections",
    ),
    *("-fno-sanitize=undefined", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wl,--gc-sections,-e,tbn_model_run"),
)
LAYOUT = f"""SECTIONS {{
    . = {CODE:#x};
    .text : {{ *(.text*) }}
    .rodata : {{ *(.rodata*) *(.srodata*) }}
    .data : {{ *(.data*) *(.sdata*) }}
    .bss (NOLOAD) : {{ *(.bss*) *(.sbss*) *(COMMON) }}
    /DISCARD/ : {{ *(.eh_frame*) }}
}}
"""


def compiled(net: IntegerNetwork, folder: Path) -> tuple[bytes, int]:
    """The linked image, and the bytes of its arena."""
    source = generate(net, "test")
    (folder / "model.h").write_text(source.header)
    (folder / "model.c").write_text(source.code)
    (folder / "layout.ld").write_text(LAYOUT)
    runtime = firmware_root() / "lib" / "tbn_runtime"
    files = [folder / "model.c", *sorted((runtime / "src").glob("*.c"))]
    argv = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        *FLAGS,
        f"-Wl,-T,{folder / 'layout.ld'}",
        f"-I{folder}",
        f"-I{runtime / 'include'}",
    ]
    argv += [*map(str, files), "-o", str(folder / "model.elf")]
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache_root() / "zig")}
    subprocess.run(argv, check=True, env=environment, stdin=subprocess.DEVNULL)
    return (folder / "model.elf").read_bytes(), source.arena.bytes


def executed(image: bytes, sample: Any, arena: int, outputs: int) -> np.ndarray[Any, Any]:
    """The int32 outputs of one call."""
    elf, uc = ELFFile(BytesIO(image)), Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
    uc.mem_map(CODE, SIZE)
    for segment in elf.iter_segments("PT_LOAD"):
        uc.mem_write(segment["p_vaddr"], segment.data())
    uc.mem_map(RAM, SIZE)
    inputs, results = RAM + arena // 16 * 16 + 16, RAM + SIZE // 2
    uc.mem_write(inputs, sample.tobytes())
    for number, value in enumerate((inputs, sample.size, RAM, results, outputs)):
        uc.reg_write(UC_RISCV_REG_A0 + number, value)
    uc.reg_write(UC_RISCV_REG_SP, RAM + SIZE)
    uc.reg_write(UC_RISCV_REG_RA, RETURN)
    uc.emu_start(elf.header["e_entry"], RETURN)
    assert uc.reg_read(UC_RISCV_REG_PC) == RETURN and uc.reg_read(UC_RISCV_REG_A0) == 0, "the model refused"
    return np.array(struct.unpack(f"<{outputs}i", uc.mem_read(results, 4 * outputs)), np.int32)


def test_a_processor_without_a_fast_path_gives_the_references_bits(tmp_path: Path) -> None:
    for make in (vectors, convolutions):
        net = make()
        (tmp_path / make.__name__).mkdir()
        image, arena = compiled(net, tmp_path / make.__name__)
        inputs = codes(7, 3, *net.tensors[0].shape)
        inputs[1], inputs[2] = 0, 255
        for sample, expected in zip(inputs, run(net, inputs), strict=True):
            assert np.array_equal(executed(image, sample, arena, net.outputs), expected)
