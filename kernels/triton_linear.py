"""Tiled linear layer on an NVIDIA GPU, in Triton: the distinct rows are multiplied once, p scaled copies leave in the epilogue.

What is multiplied: y^T = W @ x^T with W the (R, n) signs of the R distinct rows, so that the unpacked signs are operand A of the tensor cores,
which wgmma takes from registers: they are never written to shared memory. One program owns ``BLOCK_ROWS`` distinct rows and ``BLOCK_BATCH``
inputs, runs over the whole row length, and writes its product g times, times alpha (and plus bias) of each copy.

Layout of the bits ("planes", made once by ``pack_planes``; still one bit a weight): uint8 (S, R, 16) with S = ceil(n / 128). Bit j of byte
(s, r, c) is the sign of column k = 128*s + 16*j + c of distinct row r (1 = +1, 0 = -1), columns past n are 0 bits. So a program reads the
bytes of one step as one contiguous piece, each byte once, and shift j of all of them is a (BLOCK_ROWS, 16) operand, the K of one wgmma. No
integer is converted to a float: the bit is shifted to the sign position and flips the sign of a constant -1.0.

This version (1): float32 on the FMA units with full precision ("ieee": no TF32), float16 and bfloat16 on the tensor cores, float32 sums, fixed
blocks chosen by dtype and batch so that nothing spills (tested on sm_90a by compiling). Not in it: split-K and a matrix-vector form for
batch 1, autotuning, several alphas in one row (the torch engine takes those layers). It has no backward: inference only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import TileGeometry, unpack_bits

PLANE_BYTES = 16
STEP = 8 * PLANE_BYTES
INTERPRETED = bool(
    triton.knobs.runtime.interpret
)  # TRITON_INTERPRET=1 counts if it is set before the first import of triton
_SIGNS = {
    torch.float32: (31, -0x40800000),
    torch.float16: (15, -0x4400),
    torch.bfloat16: (15, -0x4080),
}  # sign bit, bit pattern of -1.0


class Blocks(NamedTuple):
    """Size of one program: distinct rows, inputs, warps, stages of the load pipeline."""

    rows: int
    batch: int
    warps: int
    stages: int


def blocks_for(dtype: torch.dtype, distinct_rows: int, batch: int) -> Blocks:
    """Blocks that fit the registers of sm_90 for this dtype; small ones where the batch or the layer is small, or where R is not a multiple of 16
    (each output then needs an address of its own, which spills in the large ones)."""
    if dtype == torch.float32:
        return Blocks(32, 16, 4, 2) if batch <= 16 else Blocks(64, 64, 4, 2)
    if batch > 64 and distinct_rows >= 128 and distinct_rows % 16 == 0:
        return Blocks(128, 128, 8, 3)
    return Blocks(64, 16 if batch <= 16 else 64, 4, 3)


def supports(geometry: TileGeometry, alpha_count: int) -> bool:
    """Whether each distinct row has one alpha a copy, and there is more than one copy to write."""
    return geometry.copies > 1 and (alpha_count == 1 or geometry.tiles_per_copy == 1)


def pack_planes(tile: Tensor, geometry: TileGeometry) -> Tensor:
    """The distinct rows in the order in which the kernel reads them (see the head of this file).

    Args:
        tile: (ceil(q / 8),) uint8, packed as ``kernels.layout`` says.
        geometry: shape and tiling factor.

    Returns:
        (ceil(n / 128), R, 16) uint8 on the same device.
    """
    bits = unpack_bits(tile, geometry.tile_length, torch.int8) > 0
    rows = bits.repeat(geometry.tiles_per_copy).reshape(geometry.distinct_rows, geometry.row_length)
    padded = torch.nn.functional.pad(rows.to(torch.uint8), (0, -geometry.row_length % STEP))
    planes = padded.reshape(geometry.distinct_rows, -1, 8, PLANE_BYTES)
    shifts = torch.arange(8, dtype=torch.uint8, device=tile.device)[:, None]
    return (planes << shifts).sum(2, dtype=torch.uint8).transpose(0, 1).contiguous()


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x,
    planes,
    alphas,
    bias,
    out,
    batch,
    row_length,
    distinct_rows,
    copies,
    x_stride,
    alpha_stride,
    HAS_BIAS: tl.constexpr,
    CAST32: tl.constexpr,
    SIGN_BIT: tl.constexpr,
    MINUS_ONE: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_BATCH: tl.constexpr,
    PLANE_BYTES: tl.constexpr,
):
    row_programs = tl.cdiv(distinct_rows, BLOCK_ROWS)
    r = tl.program_id(0) % row_programs * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    b = tl.program_id(0) // row_programs * BLOCK_BATCH + tl.arange(0, BLOCK_BATCH)
    c = tl.arange(0, PLANE_BYTES)
    row_exists, input_exists = r < distinct_rows, b < batch
    byte = planes + (r[:, None] * PLANE_BYTES + c[None, :])
    columns = x + b[None, :].to(tl.int64) * x_stride
    integer = tl.int32 if SIGN_BIT == 31 else tl.int16

    z = tl.zeros((BLOCK_ROWS, BLOCK_BATCH), tl.float32)
    for step in range(tl.cdiv(row_length, 8 * PLANE_BYTES)):
        packed = tl.load(byte, mask=row_exists[:, None], other=0).to(integer)
        for j in tl.static_range(8):
            k = (step * 8 + j) * PLANE_BYTES + c
            xt = tl.load(columns + k[:, None], mask=(k < row_length)[:, None] & input_exists[None, :], other=0.0)
            flip = ((packed >> j) & 1) << SIGN_BIT
            sign = (flip ^ MINUS_ONE).to(integer).to(x.dtype.element_ty, bitcast=True)
            if CAST32:  # Triton's interpreter would multiply the raw codes of bfloat16
                sign, xt = sign.to(tl.float32), xt.to(tl.float32)
            z = tl.dot(sign, xt, z, input_precision="ieee")
        byte += distinct_rows * PLANE_BYTES

    inside = row_exists[:, None] & input_exists[None, :]
    target = out + b[None, :].to(tl.int64) * (distinct_rows * copies) + r[:, None]
    for copy in range(copies):
        y = z * tl.load(alphas + copy * alpha_stride)
        if HAS_BIAS:
            y += tl.load(bias + copy * distinct_rows + r, mask=row_exists, other=0.0).to(tl.float32)[:, None]
        tl.store(target + copy * distinct_rows, y.to(out.dtype.element_ty), mask=inside)


def tiled_linear(
    x: Tensor,
    tile: Tensor,
    alphas: Tensor,
    geometry: TileGeometry,
    bias: Tensor | None = None,
    planes: Tensor | None = None,
) -> Tensor:
    """``x @ W.T + bias`` of a packed layer whose distinct rows have one alpha a copy.

    Args:
        x: (..., row_length) float32, float16 or bfloat16 on a CUDA device, any strides.
        tile: (ceil(q / 8),) uint8.
        alphas: (p,) or (1,) float32.
        geometry: with more than one copy (``supports``).
        bias: (rows,) or None.
        planes: ``pack_planes(tile, geometry)``, kept by the caller; made here (slowly) if None.

    Returns:
        (..., rows) in the dtype of ``x``; sums are float32.

    Raises:
        ValueError: a shape, dtype or device that the kernel does not take; the message says what to do.
    """
    _check(x, tile, alphas, geometry, bias)
    planes = pack_planes(tile, geometry) if planes is None else planes
    shape = (triton.cdiv(geometry.row_length, STEP), geometry.distinct_rows, PLANE_BYTES)
    if planes.shape != shape or planes.dtype != torch.uint8 or planes.device != x.device or not planes.is_contiguous():
        raise ValueError(f"planes must be {shape} contiguous uint8 on {x.device}, as pack_planes makes them")
    inputs = _aligned(x.reshape(-1, geometry.row_length))
    out = x.new_empty(*x.shape[:-1], geometry.rows)
    if out.numel() == 0:
        return out
    batch = inputs.shape[0]
    blocks = blocks_for(x.dtype, geometry.distinct_rows, batch)
    sign_bit, minus_one = _SIGNS[x.dtype]
    grid = (triton.cdiv(geometry.distinct_rows, blocks.rows) * triton.cdiv(batch, blocks.batch),)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _kernel[grid](
            inputs, planes, alphas, alphas if bias is None else bias.contiguous(), out,
            batch, inputs.shape[1], geometry.distinct_rows, geometry.copies, inputs.stride(0), alphas.stride(0) if alphas.numel() > 1 else 0,
            HAS_BIAS=bias is not None, CAST32=INTERPRETED, SIGN_BIT=sign_bit, MINUS_ONE=minus_one,
            BLOCK_ROWS=blocks.rows, BLOCK_BATCH=blocks.batch, PLANE_BYTES=PLANE_BYTES, num_warps=blocks.warps, num_stages=blocks.stages,
        )  # fmt: skip
    return out


def _aligned(inputs: Tensor) -> Tensor:
    """Rows that start on 16 elements and end with zeros, so that whole vectors are loaded; ``inputs`` itself where it is so already."""
    row_length = inputs.shape[1]
    if row_length % 16 == 0 and inputs.stride(1) == 1 and inputs.stride(0) % 16 == 0 and inputs.data_ptr() % 16 == 0:
        return inputs
    padded = inputs.new_zeros(inputs.shape[0], row_length + -row_length % 16)
    padded[:, :row_length] = inputs
    return padded


def _check(x: Tensor, tile: Tensor, alphas: Tensor, geometry: TileGeometry, bias: Tensor | None) -> None:
    if x.dtype not in _SIGNS:
        raise ValueError(
            f"the Triton kernel takes float32, float16 or bfloat16, not {x.dtype}; convert x, or use kernels.dispatch.linear"
        )
    if x.dim() == 0 or x.shape[-1] != geometry.row_length:
        raise ValueError(f"x has shape {tuple(x.shape)}, its last axis must have {geometry.row_length} entries")
    if not supports(geometry, alphas.numel()):
        raise ValueError(
            "no copies to write, or several alphas in one row; kernels.dispatch.linear takes these layers with torch"
        )
    if alphas.dtype != torch.float32 or alphas.numel() not in (1, geometry.p):
        raise ValueError(f"alphas must be (1,) or ({geometry.p},) float32, got {tuple(alphas.shape)} {alphas.dtype}")
    if bias is not None and bias.shape != (geometry.rows,):
        raise ValueError(f"bias must be ({geometry.rows},), got {tuple(bias.shape)}")
    if not x.is_cuda and not INTERPRETED:
        raise ValueError(
            f"the Triton kernel needs a CUDA device, x is on {x.device}; kernels.dispatch.linear chooses the engine by device"
        )
    for name, tensor in (("tile", tile), ("alphas", alphas), ("bias", bias)):
        if tensor is not None and tensor.device != x.device:
            raise ValueError(
                f"{name} is on {tensor.device} but x on {x.device}; move the layer with .to({str(x.device)!r})"
            )
