"""Shapes and memory of a convolution's input and output, as ``kernels.triton_conv`` and its fake see them. Needs no triton."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from kernels.layout import TileGeometry, Window

CHANNELS = 16  # of one kernel position are read together, at least
WIDEST = 256  # places of the output that one program owns, at most; it addresses their images with 32 bits


def padded_channels(geometry: TileGeometry, window: Window) -> int:
    """Channels of the input, rounded up to what is read together."""
    return -(-geometry.row_length // prod(window.kernel) // CHANNELS) * CHANNELS


def two_axes(numbers: tuple[int, ...], neutral: int) -> tuple[int, ...]:
    """A window's numbers for two axes of space: one axis is a height of 1."""
    return numbers if len(numbers) == 2 else (neutral, *numbers)


def as_images(x: Tensor, axes: int) -> Tensor:
    """``x`` as (batch, channels, height, width), without a copy."""
    x = x if x.dim() == axes + 2 else x.unsqueeze(0)
    return x.unsqueeze(2) if axes == 1 else x


def check_window(x: Tensor, geometry: TileGeometry, window: Window) -> None:
    """Refuse a window that is not one of the kernel's, or does not fit the input."""
    axes, shape = len(window.kernel), tuple(x.shape)
    if window.groups != 1 or axes not in (1, 2):
        raise ValueError(f"{axes} axes of space and {window.groups} groups; kernels.dispatch takes this convolution")
    channels = geometry.row_length // prod(window.kernel)
    if len(shape) not in (axes + 1, axes + 2) or shape[-axes - 1] != channels:
        raise ValueError(f"x has shape {shape}, it must be (batch, {channels}, *space) with {axes} axes of space")
    if min(window.outputs(shape[-axes:])) < 1:
        raise ValueError(f"a kernel of {window.kernel} does not fit into x of shape {shape}; give it more padding")
    space, channels = shape[-axes:], padded_channels(geometry, window)
    places = prod(window.outputs(space))
    reach = ((WIDEST - 1) // places + 2) * max(channels * prod(space), geometry.rows * places)
    if reach >= 2**31:
        raise ValueError(f"the images of one program hold {reach} numbers, more than 2^31 - 1: set TBN_ENGINE=torch")


def empty_output(x: Tensor, geometry: TileGeometry, window: Window) -> Tensor:
    """Memory for the output, (batch, rows, height, width): channels-last where ``x`` is that and not in the usual order too."""
    axes = len(window.kernel)
    images = as_images(x, axes)
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    order = torch.channels_last if last else torch.contiguous_format
    size = (images.shape[0], geometry.rows, *two_axes(window.outputs(x.shape[-axes:]), 1))
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=order)


def in_shape_of(x: Tensor, out: Tensor, axes: int) -> Tensor:
    """The output (batch, rows, height, width) with the axes that ``x`` has."""
    out = out.squeeze(2) if axes == 1 else out
    return out if x.dim() == axes + 2 else out.squeeze(0)


def aligned(images: Tensor, channels: int) -> Tensor:
    """Channels-last memory of so many channels, zeros behind the last, at an aligned address; ``images`` itself where it is so already."""
    count = images.shape[1]
    if count == channels and images.data_ptr() % 16 == 0 and images.is_contiguous(memory_format=torch.channels_last):
        return images
    size = (images.shape[0], channels, *images.shape[2:])
    padded = torch.empty(size, dtype=images.dtype, device=images.device, memory_format=torch.channels_last)
    padded[:, count:] = 0
    padded[:, :count] = images
    return padded
