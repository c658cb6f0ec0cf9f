"""Compile the Triton kernels for sm_90a on any machine, no GPU needed, and say what came out: ``python -m kernels.sm90 [--out FILE]``.

Every launch is planned on tensors without memory, as a call would plan it, and compiled with what Triton is told at a launch: which integers and
addresses are multiples of 16, which integers are 1. The layers have a bias, a gain and GELU, the heaviest epilogue. A report is {"date",
"triton", "command", "measured": false, "rows"}; a row is {"kernel", "dtype", "layer", "batch", "blocks", "target", "registers" (a thread),
"shared_bytes" (a program), "stack_bytes" and "spills" (load and store instructions of spilled registers), "wgmma" (tensor core instructions of
Hopper), "wgmma_signs_in_registers", "tf32"}. These are properties of the machine code; how fast it is, only a GPU can say.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels import triton_conv, triton_linear
from kernels.layout import TileGeometry, Window
from kernels.triton_blocks import Blocks, Work, cdiv, shapes
from kernels.triton_epilogue import epilogue
from kernels.triton_images import padded_channels
from kernels.triton_launch import Launch
from kernels.triton_signs import PLANE_BYTES, STEP

RESULT = Path(__file__).parent / "results" / "sm90-compile.json"
COPIES = 4
POINTERS = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.uint8: "*u8"}
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
SIZES = tuple((rows, batch) for rows in (64, 768) for batch in (1, 64, 4096))  # R and inputs of all classes


class Case(NamedTuple):
    """A linear layer, or with ``kernel`` > 0 a 2-d convolution of a square kernel that keeps the image's size; blocks of the rule if None."""

    dtype: str
    distinct_rows: int
    inputs: int
    batch: int
    kernel: int = 0
    size: int = 14
    channels_last: bool = True
    blocks: Blocks | None = None


def launches(case: Case) -> list[Launch]:
    """What a call would start, on tensors without memory."""
    dtype, rows = getattr(torch, case.dtype), COPIES * case.distinct_rows
    geometry = TileGeometry(rows, case.inputs * max(1, case.kernel) ** 2, COPIES)
    with torch.device("meta"):
        end = epilogue(torch.empty(COPIES), torch.empty(rows), torch.empty(rows), "gelu")
        if not case.kernel:
            return triton_linear.plan(
                torch.empty(case.batch, case.inputs, dtype=dtype), _planes(geometry, geometry.row_length), geometry, end, case.blocks
            )[1]  # fmt: skip
        window = Window((case.kernel,) * 2, (1, 1), (case.kernel // 2,) * 2, (1, 1))
        x = torch.empty(case.batch, case.inputs, case.size, case.size, dtype=dtype)
        x = x.to(memory_format=torch.channels_last) if case.channels_last else x
        planes = _planes(geometry, padded_channels(geometry, window) * prod(window.kernel))
        return triton_conv.plan(x, planes, geometry, window, end, case.blocks)[1]


def _planes(geometry: TileGeometry, length: int) -> Tensor:
    return torch.empty(cdiv(length, STEP), geometry.distinct_rows, PLANE_BYTES, dtype=torch.uint8)


def compiled(launch: Launch) -> Any:
    """The kernel of one launch, specialised as Triton does it when it is started."""
    names = launch.kernel.arg_names
    constants = {name: value for name, value in launch.constants.items() if name in names} | (
        {"CAST32": False} if "CAST32" in names else {}
    )
    signature, attributes = dict.fromkeys(constants, "constexpr"), {}
    for k, (name, value) in enumerate(zip(names, launch.arguments, strict=False)):
        if isinstance(value, Tensor):
            signature[name] = POINTERS[value.dtype]
        elif value == 1:
            signature[name], constants[name] = "constexpr", 1
        else:
            signature[name] = "i32" if value < 2**31 else "i64"
        if isinstance(value, Tensor) or (value != 1 and value % 16 == 0):
            attributes[(k,)] = [["tt.divisibility", 16]]
    source = ASTSource(launch.kernel, {name: signature[name] for name in names}, constants, attributes)
    options = {name: value for name, value in launch.constants.items() if name not in names}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def report(kernel: Any) -> dict[str, Any]:
    """What the machine code uses."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        tool = triton.knobs.nvidia.cuobjdump.path
        usage, sass = (subprocess.run([tool, flag, file.name], capture_output=True, text=True, check=True, timeout=60).stdout
                       for flag in ("-res-usage", "-sass"))  # fmt: skip
    wgmma = re.findall(r"wgmma\.mma_async\S+ \{[^}]*\}, (\{?)", kernel.asm["ptx"])
    return {
        "target": re.findall(r"^\.target (\S+)", kernel.asm["ptx"], re.MULTILINE)[0],
        "registers": int(re.findall(r"REG:(\d+)", usage)[0]),
        "shared_bytes": kernel.metadata.shared,
        "stack_bytes": int(re.findall(r"STACK:(\d+)", usage)[0]),
        "spills": len(re.findall(r"\b(?:STL|LDL)\b", sass)),
        "wgmma": len(re.findall(r"\bHGMMA\b", sass)),
        "wgmma_signs_in_registers": wgmma.count("{"),
        "tf32": len(re.findall("tf32", kernel.asm["ptx"])),
    }


def rows_of(case: Case) -> Iterator[dict[str, Any]]:
    """A row for each launch of a case: the product, and the adding up where there are splits."""
    op = f"conv{case.kernel}x{case.kernel}" if case.kernel else "linear"
    order = "" if not case.kernel else ", channels-last" if case.channels_last else ", channels first"
    for launch in launches(case):
        constants = launch.constants
        shared = {"dtype": case.dtype, "layer": f"{case.distinct_rows}x{case.inputs}{order}", "batch": case.batch}
        if "BLOCK_INPUTS" in constants:
            kernel, blocks = "finish", [constants["BLOCK_ROWS"], constants["BLOCK_INPUTS"], 4, 3]
        else:
            names = ("BLOCK_ROWS", "BLOCK_BATCH", "num_warps", "num_stages")
            kernel, blocks = op, [*(constants[name] for name in names), launch.grid[1]]
        yield {"kernel": kernel, **shared, "blocks": blocks, **report(compiled(launch))}


def every_case() -> Iterator[Case]:
    """Every block size that the rule or the tuner can choose, whole and split; for layers and batches that are multiples of 16 or not, and for
    convolutions with each number of channels that are read at once (16, 32, 64, 128) and both orders of memory."""
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        for op in ("linear", "conv"):
            for shape in sorted(
                {shape for rows, batch in SIZES for shape in shapes(Work(op, dtype, rows, 1152, batch))}
            ):
                batch, size = (1, 4) if shape[1] == 16 else (64, 14)
                whole, split = Blocks(*shape), Blocks(*shape, 2)
                if op == "linear":
                    yield from (Case(name, 768, 768, batch, blocks=blocks) for blocks in (whole, split))
                    yield Case(name, 771, 768, batch + 1, blocks=whole)
                    continue
                for channels in (128,) if dtype == torch.float16 else (16, 32, 64, 128):
                    yield Case(name, 768, channels, batch, 3, size, True, whole)
                yield Case(name, 768, 128, batch, 3, size, True, split)
                yield Case(name, 771, 128, batch + 1, 3, size + 1, False, whole)


def write(path: Path, about: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Write a report, a row a line."""
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    path.write_text(f'{json.dumps(about, indent=1)[:-2]},\n "rows": [\n  {lines}\n ]\n}}\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Compile every case and write the report; the exit status is 1 if a kernel spills."""
    parser = argparse.ArgumentParser(prog="python -m kernels.sm90", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULT, metavar="FILE", help=f"default: {RESULT.name} in results")
    path = parser.parse_args(argv).out
    cases = list(every_case())
    rows = []
    for k, case in enumerate(cases, 1):
        print(f"{k}/{len(cases)}  {case}", file=sys.stderr)
        rows += list(rows_of(case))
    rows = list({json.dumps(row): row for row in rows}.values())
    about = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "triton": triton.__version__,
             "command": "python -m kernels.sm90", "measured": False}  # fmt: skip
    write(path, about, rows)
    bad = [row for row in rows if row["spills"] or row["stack_bytes"]]
    print(f"{len(rows)} kernels compiled with Triton {triton.__version__}, {len(bad)} of them spill: {path}")
    for row in bad:
        print(row)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
