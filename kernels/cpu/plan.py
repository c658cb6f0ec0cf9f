"""How the native CPU kernel cuts a convolution: output tiles whose tables stay in the second cache (see the head of ``conv.c``)."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import NamedTuple

from kernels.cpu.codes import CHUNK, LANES
from kernels.layout import Window

TABLES = 128  # floats in the tables of one pixel and one chunk of 32 channels
TABLE_FLOATS = 2**16  # that may be alive at a time: 256 KB
SLAB_STEPS = 8  # words of codes that a pixel meets at a time, at least, so that its sums are not moved too often
LEAST_WIDTH = 8  # output pixels of a tile that does not hold whole rows
PART_SIGNS = 2**24  # signs to add from which a thread is worth its start


class Plan(NamedTuple):
    """How one convolution is done for one shape of input.

    Attributes:
        values: the struct ``tbn_conv`` of ``conv.c``.
        tiles: in the whole batch.
        work_floats: working memory of a thread, whole cache lines.
        threads: that share the tiles.
    """

    values: ctypes.Array[ctypes.c_int64]
    tiles: int
    work_floats: int
    threads: int


@lru_cache(maxsize=1024)
def plan(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    filters: int,
    copies: int,
    window: Window,
    limit: int,
    channels_last: bool,
    each: bool,
    relu: bool,
) -> Plan:
    """Cut the output into tiles, at least one a thread where there are rows enough.

    Args:
        shape, strides: of x, (batch, channels, height, width); strides in floats.
        filters: R, the distinct ones.
        copies: g.
        window: of one axis (the width) or two; one group.
        limit: of the threads.
        channels_last: whether the output is.
        each: whether the scale is one an output.
        relu: whether the layer ends with one.
    """
    batch, channels, *space = shape
    image_stride, channel_stride, *apart = strides
    missing = 2 - len(window.kernel)
    kernel, padding, dilation = (
        (1,) * missing + window.kernel,
        (0,) * missing + window.padding,
        (1,) * missing + window.dilation,
    )
    stride = [1] * missing + list(window.stride)
    out = space[:missing] + list(window.outputs(space[missing:]))
    for axis in range(2):
        if kernel[axis] == 1 and padding[axis] == 0:  # only every stride-th pixel is seen
            space[axis], apart[axis], stride[axis] = out[axis], apart[axis] * stride[axis], 1
    if kernel == (1, 1) and padding == (0, 0) and apart[0] == out[1] * apart[1]:  # the rows are one
        out = space = [1, out[0] * out[1]]
    places, chunks = kernel[0] * kernel[1], -(-channels // CHUNK)
    slab = min(chunks, -(-SLAB_STEPS // places))
    pitch = slab * TABLES + LANES
    threads = max(1, min(limit, batch * out[0] * out[1] * filters * channels * places // PART_SIGNS))

    def seen(axis: int, outputs: int) -> int:
        return (outputs - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1

    width, height = out[1], out[0]
    while width > LEAST_WIDTH and seen(0, 1) * seen(1, width) * pitch > TABLE_FLOATS:
        width = -(-width // 2)
    parts = batch * -(-out[1] // width)
    while height > 1 and (
        seen(0, height) * seen(1, width) * pitch > TABLE_FLOATS or -(-out[0] // height) * parts < threads
    ):
        height -= 1
    height = -(-out[0] // -(-out[0] // height))  # tiles of one size
    tiles = -(-out[0] // height) * parts
    region = seen(0, height), seen(1, width)
    values = (
        *(channels, *space, image_stride, channel_stride, *apart, filters, copies, *out, *kernel, *stride, *padding),
        *(*dilation, height, width, slab, pitch, *region, channels_last, each, relu),
    )
    sums = height * width * -(-filters // LANES) * LANES
    steps = -(-2 * slab * places // LANES) * LANES
    work = region[0] * region[1] * pitch + sums + steps
    return Plan((ctypes.c_int64 * len(values))(*values), tiles, work, max(1, min(threads, tiles)))
