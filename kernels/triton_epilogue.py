"""What every Triton kernel does with its products z: write the g copies, ``activation(alpha[c] * gain[c*R + r] * z[r] + bias[c*R + r])``.

``write_copies`` is the end of a kernel whose programs have summed up a whole row. Where the columns are cut into splits, so that a small batch
fills the GPU, each program leaves its float32 sums in a workspace (splits, inputs, R), and ``finish`` adds them up, always in the same order, and
writes the copies: two launches and no atomics, so the same input gives the same bits every time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import TileGeometry
from kernels.triton_blocks import cdiv
from kernels.triton_launch import Launch

FINISH_ROWS = 128
FINISH_INPUTS = 16


@triton.jit  # type: ignore[untyped-decorator]
def write_copies(  # type: ignore[no-untyped-def]
    z, r, first_input, out, inputs, places, image_stride, row_stride, place_stride, alphas, gain, bias, distinct_rows, first_copy, end_copy,
    alpha_stride, HAS_GAIN: tl.constexpr, HAS_BIAS: tl.constexpr, ACTIVATION: tl.constexpr,
):  # fmt: skip
    """Write the copies from ``first_copy`` to ``end_copy`` of ``z`` (rows, inputs): ``r`` are its rows, ``first_input`` is its first input. Input b
    is place ``b % places`` of image ``b // places``. A wide ``z`` is written in pieces of 16 inputs: the whole of it would not fit the registers
    together with what its activation and its addresses need."""
    ROWS: tl.constexpr = z.shape[0]
    COLUMNS: tl.constexpr = z.shape[1]
    if COLUMNS > 16:
        HALF: tl.constexpr = COLUMNS // 2
        left, right = tl.split(tl.permute(tl.reshape(z, (ROWS, 2, HALF)), (0, 2, 1)))
        write_copies(left, r, first_input, out, inputs, places, image_stride, row_stride, place_stride, alphas, gain, bias, distinct_rows,
                     first_copy, end_copy, alpha_stride, HAS_GAIN, HAS_BIAS, ACTIVATION)  # fmt: skip
        write_copies(right, r, first_input + HALF, out, inputs, places, image_stride, row_stride, place_stride, alphas, gain, bias, distinct_rows,
                     first_copy, end_copy, alpha_stride, HAS_GAIN, HAS_BIAS, ACTIVATION)  # fmt: skip
    else:
        b = first_input + tl.arange(0, COLUMNS)
        row_exists = r < distinct_rows
        inside = row_exists[:, None] & (b < inputs)[None, :]
        first_image = first_input // places
        start = (b // places - first_image) * image_stride + b % places * place_stride
        target = start[None, :] + r[:, None] * row_stride
        base = out + tl.cast(first_image, tl.int64) * image_stride
        for copy in range(first_copy, end_copy):
            y = z * tl.load(alphas + copy * alpha_stride)
            if HAS_GAIN:
                y *= tl.load(gain + copy * distinct_rows + r, mask=row_exists, other=0.0)[:, None]
            if HAS_BIAS:
                y += tl.load(bias + copy * distinct_rows + r, mask=row_exists, other=0.0).to(tl.float32)[:, None]
            if ACTIVATION == "relu":
                y = tl.maximum(y, 0.0, propagate_nan=tl.PropagateNan.ALL)
            elif ACTIVATION == "gelu":
                y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
            shift = tl.cast(copy * distinct_rows, tl.int64) * row_stride
            tl.store(base + shift + target, y.to(out.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def finish(  # type: ignore[no-untyped-def]
    sums, alphas, gain, bias, out, inputs, distinct_rows, splits, split_stride, alpha_stride, places, image_stride, row_stride, place_stride,
    HAS_GAIN: tl.constexpr, HAS_BIAS: tl.constexpr, ACTIVATION: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_INPUTS: tl.constexpr,
):  # fmt: skip
    """Add up ``sums`` (splits, inputs, R) and write one copy."""
    row_programs = tl.cdiv(distinct_rows, BLOCK_ROWS)
    r = tl.program_id(0) % row_programs * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    first_input = tl.program_id(0) // row_programs * BLOCK_INPUTS
    b = first_input + tl.arange(0, BLOCK_INPUTS)
    copy = tl.program_id(1)
    inside = (r < distinct_rows)[:, None] & (b < inputs)[None, :]
    part = sums + b[None, :].to(tl.int64) * distinct_rows + r[:, None]
    z = tl.zeros((BLOCK_ROWS, BLOCK_INPUTS), tl.float32)
    for _ in range(splits):
        z += tl.load(part, mask=inside, other=0.0)
        part += split_stride
    write_copies(z, r, first_input, out, inputs, places, image_stride, row_stride, place_stride, alphas, gain, bias, distinct_rows,
                 copy, copy + 1, alpha_stride, HAS_GAIN, HAS_BIAS, ACTIVATION)  # fmt: skip


class Epilogue(NamedTuple):
    """The factors of a layer as a launch takes them: pointers (``alphas`` stands for what is missing), the step from one alpha to the next, and
    the compile-time constants."""

    pointers: tuple[Tensor, Tensor, Tensor]
    alpha_stride: int
    constants: dict[str, Any]


def epilogue(alphas: Tensor, gain: Tensor | None, bias: Tensor | None, activation: str) -> Epilogue:
    """The epilogue of one launch."""
    pointers = alphas, alphas if gain is None else gain.contiguous(), alphas if bias is None else bias.contiguous()
    constants = {"HAS_GAIN": gain is not None, "HAS_BIAS": bias is not None, "ACTIVATION": activation}
    return Epilogue(pointers, alphas.stride(0) if alphas.numel() > 1 else 0, constants)


class Places(NamedTuple):
    """Where the outputs of input b and row r lie: ``b // places * image_stride + b % places * place_stride + r * row_stride``."""

    places: int
    image_stride: int
    row_stride: int
    place_stride: int


def add_up(sums: Tensor, out: Tensor, where: Places, geometry: TileGeometry, end: Epilogue) -> Launch:
    """The launch of ``finish`` over a workspace ``sums`` (splits, inputs, R) float32."""
    splits, inputs, rows = sums.shape
    block = min(FINISH_INPUTS, triton.next_power_of_2(inputs))
    grid = (cdiv(rows, FINISH_ROWS) * cdiv(inputs, block), geometry.copies)
    arguments = (sums, *end.pointers, out, inputs, rows, splits, inputs * rows, end.alpha_stride, *where)
    return Launch(finish, grid, arguments, {**end.constants, "BLOCK_ROWS": FINISH_ROWS, "BLOCK_INPUTS": block})
