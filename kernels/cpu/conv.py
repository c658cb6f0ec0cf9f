"""The tiled convolution on the native CPU kernel (``conv.c``): where it pays, the operator of torch, the shares of the threads.

``multiply`` is called directly; ``operator`` is the same under the name ``tbn::cpu_conv``, with a fake, so that torch.compile takes it as one
step of a graph. Neither has a backward: ``kernels.dispatch`` calls them where no gradient is asked for.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kernels.cpu.codes import CHUNK, LANES, distinct_minus, pack_rows
from kernels.cpu.engine import engine, versions
from kernels.cpu.ordinary import choice, fits, ordinary
from kernels.cpu.plan import plan
from kernels.cpu.threads import run
from kernels.layout import TileGeometry, Window

if TYPE_CHECKING:
    from kernels.dispatch import Prepared

# from how many channels, and from how many looks (blocks of filters times places of the kernel) into a table that was made, each version is
# faster than torch with the distinct filters (measured on an AMD Zen 5 core, torch with the same instructions)
PAYS = {"avx512": (16, 2), "avx2": (32, 4), "portable": (inf, inf)}
REACH = 4096  # input pixels that an output pixel may span; beyond, its tables fit no cache


def supports(window: Window) -> bool:
    """Whether the kernel knows this window: one or two axes of space, one group, a reach whose tables fit."""
    reach = math.prod([(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilation, strict=True)])
    return len(window.kernel) in (1, 2) and window.groups == 1 and reach <= REACH


def takes(x: Tensor, layer: Prepared, bias: Tensor | None, window: Window) -> bool:
    """Whether the kernel is to do this: an ordinary call (``kernels.cpu.ordinary``) of a batch, and a shape where it pays."""
    places = math.prod(window.kernel)
    channels = layer.geometry.row_length // places
    return (
        layer.cpu_rows > 0
        and ordinary(x, bias, layer.geometry.rows, "codes" in layer.__dict__)
        and _fits(x.shape, channels, window)
        and pays(channels, layer.cpu_rows, places)
    )


def _fits(shape: Sequence[int], channels: int, window: Window) -> bool:
    """Whether (batch, channels, *space) has these channels and leaves an output."""
    return (
        len(shape) == len(window.kernel) + 2
        and shape[1] == channels
        and min(shape[2:]) > 0
        and min(Window.outputs(window, shape[2:])) > 0  # dynamo calls no method of a constant
    )


def pays(channels: int, filters: int, places: int) -> bool:
    """Whether the kernel is expected to be faster than torch with the distinct filters; wherever there is one, if TBN_CPU forces it."""
    name: str
    name, forced = choice()
    if name == "torch" or (forced and name != "int8"):
        return name != "torch"
    least_channels, least_looks = PAYS[versions()[0] if name == "int8" else name]
    return channels >= least_channels and places * -(-filters // LANES) >= least_looks


def pack_codes(tile: Tensor, geometry: TileGeometry, channels: int, window: Window) -> Tensor:
    """The distinct filters in the kernel's order.

    Args:
        tile: (ceil(q / 8),) uint8, packed as ``kernels.layout`` says.
        geometry: shape and tiling factor; row_length = channels * prod(kernel).
        channels: of the input.
        window: the kernel's size.

    Returns:
        (ceil(R / 16), ceil(channels / 32) * prod(kernel), 16) int32.
    """
    places = math.prod(window.kernel)
    minus = distinct_minus(tile, geometry).reshape(-1, channels, places)
    minus = torch.nn.functional.pad(minus, (0, 0, 0, -channels % CHUNK))
    return pack_rows(minus.reshape(len(minus), -1, CHUNK, places).transpose(2, 3).reshape(len(minus), -1))


def conv(
    x: Tensor,
    codes: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    distinct_rows: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    relu: bool = False,
) -> Tensor:
    """``relu(scale * conv(x, signs) + bias)`` of a packed layer, float32. Checks what it is given and calls ``multiply``.

    Args:
        x: (batch, channels, *space) float32 on the CPU, one or two axes of space, any strides.
        codes: ``pack_codes`` of the layer.
        scale: (copies,) float32, one a copy, or (copies, distinct_rows), one an output.
        bias: (copies * distinct_rows,) float32 or None.
        distinct_rows: R, the distinct filters.
        kernel, stride, padding, dilation: one number an axis of space; zeros are padded on both sides.
        relu: whether negative outputs become 0.

    Returns:
        (batch, copies * distinct_rows, *space) float32 in the memory format of ``x``.

    Raises:
        ValueError: a shape, dtype or window that the kernel does not take.
        RuntimeError: the kernel is not to be had on this machine (``kernels.cpu.status``).
    """
    window = Window(tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))
    channels = x.shape[1] if x.dim() > 1 else 0
    if (
        not {len(stride), len(padding), len(dilation)} == {len(kernel)}
        or min(*kernel, *stride, *dilation) < 1
        or min(padding) < 0
        or not supports(window)
        or not _fits(x.shape, channels, window)
        or not fits(x, codes, -(-channels // CHUNK) * math.prod(kernel), scale, bias, distinct_rows)
    ):
        raise ValueError(
            f"the CPU kernel cannot convolve x {tuple(x.shape)} {x.dtype} with codes {tuple(codes.shape)} {codes.dtype}, scale "
            f"{tuple(scale.shape)} and {'no' if bias is None else bias.numel()} biases for {distinct_rows} filters by {window}; "
            "kernels.dispatch.conv takes any layer"
        )
    if engine().conv is None:
        raise RuntimeError(f"there is no native CPU kernel here ({engine().reason}); use kernels.dispatch.conv")
    return multiply(x, codes.contiguous(), scale.contiguous(), bias, distinct_rows, window, relu)


def multiply(
    x: Tensor,
    codes: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    distinct_rows: int,
    window: Window,
    relu: bool = False,
) -> Tensor:
    """``conv`` without its checks, for a caller that has asked ``takes``; ``codes`` and ``scale`` are contiguous. One axis of space is the
    second of two."""
    found, threads = engine(), torch.get_num_threads()
    image = x if x.dim() == 4 else x.unsqueeze(2)
    last, copies = _channels_last(image), scale.shape[0]
    done = plan(image.shape, image.stride(), distinct_rows, copies, window, threads, last, scale.dim() == 2, relu)
    out = _empty(x, copies * distinct_rows, window)
    work = x.new_empty(done.threads, done.work_floats)
    bias = None if bias is None else bias.contiguous()
    fixed = (
        *(found.lut, ctypes.addressof(done.values), x.data_ptr(), codes.data_ptr(), scale.data_ptr()),
        *(None if bias is None else bias.data_ptr(), out.data_ptr()),
    )
    cuts = pairwise([k * done.tiles // done.threads for k in range(done.threads + 1)])
    run(found.conv, fixed, [(part.data_ptr(), *cut) for part, cut in zip(work, cuts, strict=True)])  # type: ignore[arg-type]
    return out


def _channels_last(image: Tensor) -> bool:
    """Whether (batch, channels, height, width) lies so; where both orders are one, it does not."""
    return image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()


def _empty(x: Tensor, rows: int, window: Window) -> Tensor:
    """The output, in the memory format of x."""
    shape = (x.shape[0], rows, *window.outputs(x.shape[2:]))
    if not _channels_last(x if x.dim() == 4 else x.unsqueeze(2)):
        return x.new_empty(shape)
    return x.new_empty((shape[0], *shape[2:], rows)).movedim(-1, 1)


def _fake(
    x: Tensor,
    codes: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    distinct_rows: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    relu: bool = False,
) -> Tensor:
    window = Window(tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))
    return _empty(x, scale.shape[0] * distinct_rows, window)


_LIBRARY = torch.library.Library("tbn", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define(  # type: ignore[no-untyped-call]
    "cpu_conv(Tensor x, Tensor codes, Tensor scale, Tensor? bias, int distinct_rows, int[] kernel, int[] stride, int[] padding, "
    "int[] dilation, bool relu=False) -> Tensor"
)
_LIBRARY.impl("cpu_conv", conv, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake("tbn::cpu_conv", _fake, lib=_LIBRARY)


def operator(
    x: Tensor,
    codes: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    distinct_rows: int,
    window: Window,
    relu: bool = False,
) -> Tensor:
    """``multiply`` as the operator ``tbn::cpu_conv``."""
    places = (window.kernel, window.stride, window.padding, window.dilation)
    return torch.ops.tbn.cpu_conv(x, codes, scale, bias, distinct_rows, *places, relu)  # type: ignore[no-any-return]
