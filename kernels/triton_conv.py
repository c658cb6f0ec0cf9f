"""Tiled convolution on an NVIDIA GPU, in Triton: an implicit product with the distinct filters, the scaled copies leave in the epilogue.

As ``kernels.triton_linear``, with the places of the output as its inputs: y^T = W @ x^T, W the signs of the R distinct filters, and the column of
a place is the patch that its filter sees, read where it lies; no patch is written to memory. Columns are ordered kernel position by kernel
position and, within one, channel by channel (rounded up to 16), so that a product of CHUNK columns (16 to 128, the most that divides the
channels) reads consecutive channels of one position: one shift and one test of the border for all of them.

x is read channels-last. Another order, channels that are no multiple of 16 and unaligned memory cost a copy of x into such a tensor; the output
has the memory order of x. One or two axes of space, any stride, padding and dilation, one group. Precision, splits, blocks and what is not in it:
as in ``kernels.triton_linear``.
"""

from __future__ import annotations

from math import prod

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import triton_linear, triton_ops
from kernels.layout import TileGeometry, Window
from kernels.triton_blocks import Blocks, Work, blocks_for, cdiv
from kernels.triton_checks import check_input, check_layer, check_planes
from kernels.triton_epilogue import Epilogue, Places, add_up, epilogue, write_copies
from kernels.triton_images import aligned, as_images, check_window, empty_output, in_shape_of, padded_channels, two_axes
from kernels.triton_launch import Launch, run
from kernels.triton_signs import distinct_signs, operand, pack_rows, signs


def supports(geometry: TileGeometry, alpha_count: int, window: Window) -> bool:
    """Whether ``tiled_conv`` takes this layer: one alpha a copy of a distinct filter, several copies, one group, one or two axes of space."""
    return window.groups == 1 and len(window.kernel) in (1, 2) and triton_linear.supports(geometry, alpha_count)


def pack_planes(tile: Tensor, geometry: TileGeometry, window: Window) -> Tensor:
    """The distinct filters in the order in which the kernel reads them.

    Args:
        tile: (ceil(q / 8),) uint8, packed as ``kernels.layout`` says.
        geometry: rows = output channels, row_length = channels * prod(kernel).

    Returns:
        (ceil(prod(kernel) * padded channels / 128), R, 16) uint8 on the same device.
    """
    filters = distinct_signs(tile, geometry).reshape(geometry.distinct_rows, -1, prod(window.kernel)).transpose(1, 2)
    padded = torch.nn.functional.pad(filters, (0, padded_channels(geometry, window) - filters.shape[2]))
    return pack_rows(padded.reshape(geometry.distinct_rows, -1))


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x, planes, alphas, gain, bias, out, inputs, width_out, height, width, channels, distinct_rows, copies,
    stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x,
    places, image_stride, row_stride, place_stride, alpha_stride, steps_a_split,
    HAS_GAIN: tl.constexpr, HAS_BIAS: tl.constexpr, ACTIVATION: tl.constexpr, SPLIT: tl.constexpr, CAST32: tl.constexpr,
    SIGN_BIT: tl.constexpr, MINUS_ONE: tl.constexpr, CHUNK: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_BATCH: tl.constexpr,
    PLANE_BYTES: tl.constexpr, POSITIONS: tl.constexpr, KERNEL_WIDTH: tl.constexpr, CHUNKS_A_POSITION: tl.constexpr,
):  # fmt: skip
    row_programs = tl.cdiv(distinct_rows, BLOCK_ROWS)
    r = tl.program_id(0) % row_programs * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    first_input = tl.program_id(0) // row_programs * BLOCK_BATCH
    b = first_input + tl.arange(0, BLOCK_BATCH)
    CHUNKS_A_STEP: tl.constexpr = 8 * PLANE_BYTES // CHUNK
    first = tl.program_id(1) * steps_a_split
    end = tl.minimum(first + steps_a_split, tl.cdiv(POSITIONS * CHUNKS_A_POSITION, CHUNKS_A_STEP))
    row_exists, input_exists = r < distinct_rows, b < inputs
    byte = planes + tl.cast(first * distinct_rows, tl.int64) * PLANE_BYTES
    byte += r[:, None] * PLANE_BYTES + tl.arange(0, PLANE_BYTES)[None, :]
    first_image, place = first_input // places, b % places
    top, left = place // width_out * stride_y - padding_y, place % width_out * stride_x - padding_x
    x += tl.cast(first_image, tl.int64) * height * width * channels
    corner = (((b // places - first_image) * height + top) * width + left) * channels
    c = tl.arange(0, CHUNK)
    integer = tl.int32 if SIGN_BIT == 31 else tl.int16

    z = tl.zeros((BLOCK_ROWS, BLOCK_BATCH), tl.float32)
    for step in range(first, end):
        packed = tl.load(byte, mask=row_exists[:, None], other=0).to(integer)
        for j in tl.static_range(0, CHUNKS_A_STEP):
            position = (step * CHUNKS_A_STEP + j) // CHUNKS_A_POSITION
            channel = (step * CHUNKS_A_STEP + j) % CHUNKS_A_POSITION * CHUNK
            down, right = position // KERNEL_WIDTH * dilation_y, position % KERNEL_WIDTH * dilation_x
            y_exists = (top + down >= 0) & (top + down < height) & (position < POSITIONS)
            x_exists = (left + right >= 0) & (left + right < width) & input_exists
            k = (down * width + right) * channels + channel + c
            xt = tl.load(x + corner[None, :] + k[:, None], mask=(y_exists & x_exists)[None, :], other=0.0)
            sign = signs(packed, j * (CHUNK // PLANE_BYTES), CHUNK, SIGN_BIT, MINUS_ONE, x.dtype.element_ty)
            if CAST32:  # Triton's interpreter would multiply the raw codes of bfloat16
                sign, xt = sign.to(tl.float32), xt.to(tl.float32)
            z = tl.dot(sign, xt, z, input_precision="ieee")
        byte += distinct_rows * PLANE_BYTES

    if SPLIT:
        sums = out + (tl.program_id(1).to(tl.int64) * inputs + first_input) * distinct_rows
        tl.store(
            sums + (b - first_input)[None, :] * distinct_rows + r[:, None],
            z,
            mask=row_exists[:, None] & input_exists[None, :],
        )
    else:
        write_copies(z, r, first_input, out, inputs, places, image_stride, row_stride, place_stride, alphas, gain, bias, distinct_rows, 0, copies,
                     alpha_stride, HAS_GAIN, HAS_BIAS, ACTIVATION)  # fmt: skip


def tiled_conv(
    x: Tensor,
    tile: Tensor,
    alphas: Tensor,
    geometry: TileGeometry,
    window: Window,
    bias: Tensor | None = None,
    planes: Tensor | None = None,
    gain: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """``activation(conv(x, W) * gain + bias)`` of a packed layer that ``supports``.

    Args:
        x: (batch, channels, *space) or (channels, *space) float32, float16 or bfloat16 on a CUDA device, any strides; channels-last costs no copy.
        tile: (ceil(q / 8),) uint8.
        alphas: (p,) or (1,) float32.
        geometry: rows = output channels, row_length = channels * prod(kernel).
        bias: (rows,) or None.
        planes: ``pack_planes(tile, geometry, window)``, kept by the caller; made here (slowly) if None.
        gain: (rows,) float32, a factor for each output channel, or None.
        activation: "none", "relu" or "gelu" (with the exact erf).

    Returns:
        (batch, rows, *space) or (rows, *space) in the dtype and memory order of ``x``; sums are float32.

    Raises:
        ValueError: a shape, dtype, device or window that the kernel does not take; the message says what to do.
    """
    planes = pack_planes(tile, geometry, window) if planes is None else planes
    return multiply(x, planes, alphas, geometry, window, bias, gain, activation)


def operator(
    x: Tensor,
    tile: Tensor,
    alphas: Tensor,
    geometry: TileGeometry,
    window: Window,
    bias: Tensor | None = None,
    planes: Tensor | None = None,
    gain: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """``tiled_conv`` as one step of a graph (``tbn::triton_conv``), for torch.compile and torch.export."""
    planes = pack_planes(tile, geometry, window) if planes is None else planes
    shape = geometry.rows, geometry.row_length, geometry.p
    where = window.kernel, window.stride, window.padding, window.dilation
    out: Tensor = triton_ops.conv(x, planes, alphas, bias, gain, *shape, activation, *where)
    return out


def multiply(
    x: Tensor,
    planes: Tensor,
    alphas: Tensor,
    geometry: TileGeometry,
    window: Window,
    bias: Tensor | None,
    gain: Tensor | None,
    activation: str,
    blocks: Blocks | None = None,
) -> Tensor:
    """``tiled_conv`` from the planes alone; ``blocks`` are chosen here if None."""
    check_input(x, {"planes": planes, "alphas": alphas, "bias": bias, "gain": gain})
    check_layer(geometry, alphas, gain, bias, activation)
    check_window(x, geometry, window)
    check_planes(planes, padded_channels(geometry, window) * prod(window.kernel), geometry.distinct_rows, "triton_conv.pack_planes")  # fmt: skip
    out, launches = plan(x, planes, geometry, window, epilogue(alphas, gain, bias, activation), blocks)
    run(launches, x)
    return out


def plan(
    x: Tensor, planes: Tensor, geometry: TileGeometry, window: Window, end: Epilogue, blocks: Blocks | None
) -> tuple[Tensor, list[Launch]]:
    """Memory for the result, and the launches that fill it."""
    axes, rows, channels = len(window.kernel), geometry.distinct_rows, padded_channels(geometry, window)
    out, positions = empty_output(x, geometry, window), prod(window.kernel)
    places = out.shape[2] * out.shape[3]
    inputs = out.shape[0] * places
    if inputs == 0:
        return in_shape_of(x, out, axes), []
    images = as_images(x, axes)
    blocks = blocks or blocks_for(Work("conv", x.dtype, rows, channels * positions, inputs), x)
    split = blocks.splits > 1
    target = x.new_empty(blocks.splits, inputs, rows, dtype=torch.float32) if split else out
    last = out.is_contiguous(memory_format=torch.channels_last)
    where = Places(places, places * geometry.rows, *((1, geometry.rows) if last else (places, 1)))
    columns = operand(x.dtype, next(size for size in (128, 64, 32, 16) if channels % size == 0))
    steps = (*two_axes(window.stride, 1), *two_axes(window.padding, 0), *two_axes(window.dilation, 1))
    arguments = (*(aligned(images, channels), planes, *end.pointers, target), *(inputs, out.shape[3], *images.shape[2:]),
                 *(channels, rows, geometry.copies, *steps, *where, end.alpha_stride, cdiv(planes.shape[0], blocks.splits)))  # fmt: skip
    constants = {**end.constants, **columns, **blocks.constants(x.dtype), "SPLIT": split, "POSITIONS": positions,
                 "KERNEL_WIDTH": window.kernel[-1], "CHUNKS_A_POSITION": channels // columns["CHUNK"]}  # fmt: skip
    launches = [Launch(_kernel, blocks.grid(rows, inputs), arguments, constants)]
    if split:
        launches.append(add_up(target, out, where, geometry, end))
    return in_shape_of(x, out, axes), launches
