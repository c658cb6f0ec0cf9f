"""Tiled linear layer on an NVIDIA GPU, in Triton: the distinct rows are multiplied once, the scaled copies leave in the epilogue.

What is multiplied: y^T = W @ x^T with W the (R, n) signs of the R distinct rows, so that the unpacked signs are operand A of the tensor cores,
which wgmma takes from registers (``kernels.triton_signs``): they are never written to shared memory. One program owns ``Blocks.rows`` distinct
rows and ``Blocks.batch`` inputs, runs over the whole row length, and writes its product g times (``kernels.triton_epilogue``: alpha, gain, bias
and activation in one pass). Where that gives too few programs for the GPU, as at batch 1, ``Blocks.splits`` of them share the row length: each
leaves float32 sums in a workspace and a second launch adds them up in a fixed order, so the result is the same bits every time.

This version (2): float32 on the FMA units with full precision ("ieee": no TF32), float16 and bfloat16 on the tensor cores, 128 columns a product,
float32 sums, blocks by rule or by a measured table (``kernels.triton_blocks``). Not in it: several alphas in one row (the torch engine takes
those layers). It has no backward: inference only. No host synchronisation: CUDA graphs can hold it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import triton_ops
from kernels.layout import TileGeometry
from kernels.triton_blocks import Blocks, Work, blocks_for, cdiv
from kernels.triton_checks import check_input, check_layer, check_planes
from kernels.triton_epilogue import Epilogue, Places, add_up, epilogue, write_copies
from kernels.triton_launch import Launch, run
from kernels.triton_signs import STEP, distinct_signs, operand, pack_rows, signs


def supports(geometry: TileGeometry, alpha_count: int) -> bool:
    """Whether each distinct row has one alpha a copy, and there is more than one copy to write."""
    return geometry.copies > 1 and (alpha_count == 1 or geometry.tiles_per_copy == 1)


def pack_planes(tile: Tensor, geometry: TileGeometry) -> Tensor:
    """The distinct rows in the order in which the kernel reads them.

    Args:
        tile: (ceil(q / 8),) uint8, packed as ``kernels.layout`` says.
        geometry: shape and tiling factor.

    Returns:
        (ceil(n / 128), R, 16) uint8 on the same device.
    """
    return pack_rows(distinct_signs(tile, geometry))


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x, planes, alphas, gain, bias, out, batch, row_length, distinct_rows, copies, x_stride, alpha_stride, steps_a_split,
    HAS_GAIN: tl.constexpr, HAS_BIAS: tl.constexpr, ACTIVATION: tl.constexpr, SPLIT: tl.constexpr, CAST32: tl.constexpr,
    SIGN_BIT: tl.constexpr, MINUS_ONE: tl.constexpr, CHUNK: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_BATCH: tl.constexpr,
    PLANE_BYTES: tl.constexpr,
):  # fmt: skip
    row_programs = tl.cdiv(distinct_rows, BLOCK_ROWS)
    r = tl.program_id(0) % row_programs * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    first_input = tl.program_id(0) // row_programs * BLOCK_BATCH
    b = first_input + tl.arange(0, BLOCK_BATCH)
    first = tl.program_id(1) * steps_a_split
    end = tl.minimum(first + steps_a_split, tl.cdiv(row_length, 8 * PLANE_BYTES))
    row_exists, input_exists = r < distinct_rows, b < batch
    byte = planes + tl.cast(first * distinct_rows, tl.int64) * PLANE_BYTES
    byte += r[:, None] * PLANE_BYTES + tl.arange(0, PLANE_BYTES)[None, :]
    columns = x + b[None, :].to(tl.int64) * x_stride
    integer = tl.int32 if SIGN_BIT == 31 else tl.int16

    z = tl.zeros((BLOCK_ROWS, BLOCK_BATCH), tl.float32)
    for step in range(first, end):
        packed = tl.load(byte, mask=row_exists[:, None], other=0).to(integer)
        for j in tl.static_range(0, 8 * PLANE_BYTES // CHUNK):
            k = step * 8 * PLANE_BYTES + j * CHUNK + tl.arange(0, CHUNK)
            xt = tl.load(columns + k[:, None], mask=(k < row_length)[:, None] & input_exists[None, :], other=0.0)
            sign = signs(packed, j * (CHUNK // PLANE_BYTES), CHUNK, SIGN_BIT, MINUS_ONE, x.dtype.element_ty)
            if CAST32:  # Triton's interpreter would multiply the raw codes of bfloat16
                sign, xt = sign.to(tl.float32), xt.to(tl.float32)
            z = tl.dot(sign, xt, z, input_precision="ieee")
        byte += distinct_rows * PLANE_BYTES

    if SPLIT:
        sums = out + (tl.program_id(1).to(tl.int64) * batch + first_input) * distinct_rows
        tl.store(
            sums + (b - first_input)[None, :] * distinct_rows + r[:, None],
            z,
            mask=row_exists[:, None] & input_exists[None, :],
        )
    else:
        write_copies(z, r, first_input, out, batch, 1, distinct_rows * copies, 1, 0, alphas, gain, bias, distinct_rows, 0, copies,
                     alpha_stride, HAS_GAIN, HAS_BIAS, ACTIVATION)  # fmt: skip


def tiled_linear(
    x: Tensor,
    tile: Tensor,
    alphas: Tensor,
    geometry: TileGeometry,
    bias: Tensor | None = None,
    planes: Tensor | None = None,
    gain: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """``activation(x @ W.T * gain + bias)`` of a packed layer whose distinct rows have one alpha a copy.

    Args:
        x: (..., row_length) float32, float16 or bfloat16 on a CUDA device, any strides.
        tile: (ceil(q / 8),) uint8.
        alphas: (p,) or (1,) float32.
        geometry: with more than one copy (``supports``).
        bias: (rows,) or None.
        planes: ``pack_planes(tile, geometry)``, kept by the caller; made here (slowly) if None.
        gain: (rows,) float32, a factor for each output, or None.
        activation: "none", "relu" or "gelu" (with the exact erf).

    Returns:
        (..., rows) in the dtype of ``x``; sums are float32.

    Raises:
        ValueError: a shape, dtype or device that the kernel does not take; the message says what to do.
    """
    planes = pack_planes(tile, geometry) if planes is None else planes
    return multiply(x, planes, alphas, geometry, bias, gain, activation)


def operator(
    x: Tensor,
    tile: Tensor,
    alphas: Tensor,
    geometry: TileGeometry,
    bias: Tensor | None = None,
    planes: Tensor | None = None,
    gain: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """``tiled_linear`` as one step of a graph (``tbn::triton_linear``), for torch.compile and torch.export."""
    planes = pack_planes(tile, geometry) if planes is None else planes
    shape = geometry.rows, geometry.row_length, geometry.p
    out: Tensor = triton_ops.linear(x, planes, alphas, bias, gain, *shape, activation)
    return out


def multiply(
    x: Tensor,
    planes: Tensor,
    alphas: Tensor,
    geometry: TileGeometry,
    bias: Tensor | None,
    gain: Tensor | None,
    activation: str,
    blocks: Blocks | None = None,
) -> Tensor:
    """``tiled_linear`` from the planes alone; ``blocks`` are chosen here if None."""
    check_input(x, {"planes": planes, "alphas": alphas, "bias": bias, "gain": gain})
    check_layer(geometry, alphas, gain, bias, activation)
    if x.dim() == 0 or x.shape[-1] != geometry.row_length:
        raise ValueError(f"x has shape {tuple(x.shape)}, its last axis must have {geometry.row_length} entries")
    check_planes(planes, geometry.row_length, geometry.distinct_rows, "triton_linear.pack_planes")
    out, launches = plan(x, planes, geometry, epilogue(alphas, gain, bias, activation), blocks)
    run(launches, x)
    return out


def plan(
    x: Tensor, planes: Tensor, geometry: TileGeometry, end: Epilogue, blocks: Blocks | None
) -> tuple[Tensor, list[Launch]]:
    """Memory for the result, and the launches that fill it."""
    out = x.new_empty(*x.shape[:-1], geometry.rows)
    if out.numel() == 0:
        return out, []
    inputs = _aligned(x.reshape(-1, geometry.row_length))
    (batch, length), rows = inputs.shape, geometry.distinct_rows
    blocks = blocks or blocks_for(Work("linear", x.dtype, rows, geometry.row_length, batch), x)
    split = blocks.splits > 1
    target = x.new_empty(blocks.splits, batch, rows, dtype=torch.float32) if split else out
    steps = cdiv(cdiv(length, STEP), blocks.splits)
    arguments = (*(inputs, planes, *end.pointers, target), *(batch, length, rows, geometry.copies),
                 *(inputs.stride(0), end.alpha_stride, steps))  # fmt: skip
    constants = {**end.constants, **operand(x.dtype, STEP), **blocks.constants(x.dtype), "SPLIT": split}
    launches = [Launch(_kernel, blocks.grid(rows, batch), arguments, constants)]
    if split:
        launches.append(add_up(target, out, Places(1, geometry.rows, 1, 0), geometry, end))
    return out, launches


def _aligned(inputs: Tensor) -> Tensor:
    """Rows that start on 16 elements and end with zeros, so that whole vectors are loaded; ``inputs`` itself where it is so already."""
    row_length = inputs.shape[1]
    if row_length % 16 == 0 and inputs.stride(1) == 1 and inputs.stride(0) % 16 == 0 and inputs.data_ptr() % 16 == 0:
        return inputs
    padded = inputs.new_zeros(inputs.shape[0], row_length + -row_length % 16)
    padded[:, :row_length] = inputs
    return padded
