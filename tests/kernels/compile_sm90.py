"""Compile the Triton kernel for sm_90a on any machine and print what came out, one JSON list: run by ``test_triton_linear.py``.

Arguments: JSON list of [dtype, distinct rows, batch, blocks or null]. Integers that are multiples of 16 are told to the compiler, as at a launch.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels import triton_linear

SHORT = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def compiled(dtype: torch.dtype, distinct_rows: int, batch: int, blocks: triton_linear.Blocks) -> Any:
    """The kernel as it would be launched for this layer and batch, with a bias."""
    sign_bit, minus_one = triton_linear._SIGNS[dtype]
    constants = {"HAS_BIAS": True, "CAST32": False, "SIGN_BIT": sign_bit, "MINUS_ONE": minus_one, "BLOCK_ROWS": blocks.rows,
                 "BLOCK_BATCH": blocks.batch, "PLANE_BYTES": triton_linear.PLANE_BYTES}  # fmt: skip
    element = "*" + SHORT[dtype]
    pointers = {"x": element, "planes": "*u8", "alphas": "*fp32", "bias": "*fp32", "out": element}
    integers = {
        "batch": batch,
        "row_length": 768,
        "distinct_rows": distinct_rows,
        "copies": 4,
        "x_stride": 768,
        "alpha_stride": 1,
    }
    names = triton_linear._kernel.arg_names
    signature = {name: pointers.get(name, "i32" if name in integers else "constexpr") for name in names}
    aligned = [name for name in names if name in pointers or integers.get(name, 1) % 16 == 0]
    source = ASTSource(
        triton_linear._kernel,
        signature,
        constants,
        {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    return triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": blocks.warps, "num_stages": blocks.stages}
    )


def report(kernel: Any) -> dict[str, Any]:
    """What the machine code uses: registers, stack bytes, spill instructions, tensor core instructions."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        tool = triton.knobs.nvidia.cuobjdump.path
        usage, sass = (subprocess.run([tool, flag, file.name], capture_output=True, text=True, check=True, timeout=60).stdout
                       for flag in ("-res-usage", "-sass"))  # fmt: skip
    wgmma = re.findall(r"wgmma\.mma_async\S+ \{[^}]*\}, (\{?)", kernel.asm["ptx"])
    return {
        "target": re.findall(r"^\.target (\S+)", kernel.asm["ptx"], re.MULTILINE),
        "registers": int(re.findall(r"REG:(\d+)", usage)[0]),
        "stack": int(re.findall(r"STACK:(\d+)", usage)[0]),
        "spills": len(re.findall(r"\b(?:STL|LDL)\b", sass)),
        "wgmma": len(re.findall(r"\bHGMMA\b", sass)),
        "wgmma_signs_in_registers": wgmma.count("{"),
        "tf32": len(re.findall("tf32", kernel.asm["ptx"])),
        "shared": kernel.metadata.shared,
    }


def main() -> None:
    """Compile every case of the command line."""
    done = []
    for name, distinct_rows, batch, given in json.loads(sys.argv[1]):
        dtype = getattr(torch, name)
        blocks = triton_linear.Blocks(*given) if given else triton_linear.blocks_for(dtype, distinct_rows, batch)
        done.append({"blocks": list(blocks), **report(compiled(dtype, distinct_rows, batch, blocks))})
    print(json.dumps(done))


if __name__ == "__main__":
    main()
