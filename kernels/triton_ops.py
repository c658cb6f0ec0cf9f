"""The Triton kernels as operators of torch: ``tbn::triton_linear`` and ``tbn::triton_conv``, each one step of a graph with a fake for its shape.

torch.compile and torch.export see the operator and not what it launches. Loading this module needs no triton, so a program that was exported with
these operators loads anywhere; it runs where there is triton and an NVIDIA GPU. They have no backward.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.layout import TileGeometry, Window
from kernels.triton_images import check_window, empty_output, in_shape_of

_LIBRARY = torch.library.Library("tbn", "FRAGMENT")  # type: ignore[no-untyped-call]
_LAYER = "Tensor planes, Tensor alphas, Tensor? bias, Tensor? gain, int rows, int row_length, int p, str activation"
_WINDOW = "int[] kernel, int[] stride, int[] padding, int[] dilation"


def _linear(
    x: Tensor, planes: Tensor, alphas: Tensor, bias: Tensor | None, gain: Tensor | None,
    rows: int, row_length: int, p: int, activation: str,
) -> Tensor:  # fmt: skip
    from kernels.triton_linear import multiply

    return multiply(x, planes, alphas, TileGeometry(rows, row_length, p), bias, gain, activation)


def _linear_fake(
    x: Tensor, planes: Tensor, alphas: Tensor, bias: Tensor | None, gain: Tensor | None,
    rows: int, row_length: int, p: int, activation: str,
) -> Tensor:  # fmt: skip
    torch._check(x.shape[-1] == row_length, lambda: f"x has shape {tuple(x.shape)}, its last axis must have {row_length} entries")  # fmt: skip
    return x.new_empty(*x.shape[:-1], rows)


def _conv(
    x: Tensor, planes: Tensor, alphas: Tensor, bias: Tensor | None, gain: Tensor | None, rows: int, row_length: int, p: int, activation: str,
    kernel: list[int], stride: list[int], padding: list[int], dilation: list[int],
) -> Tensor:  # fmt: skip
    from kernels.triton_conv import multiply

    window = Window(tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))
    return multiply(x, planes, alphas, TileGeometry(rows, row_length, p), window, bias, gain, activation)


def _conv_fake(
    x: Tensor, planes: Tensor, alphas: Tensor, bias: Tensor | None, gain: Tensor | None, rows: int, row_length: int, p: int, activation: str,
    kernel: list[int], stride: list[int], padding: list[int], dilation: list[int],
) -> Tensor:  # fmt: skip
    window = Window(tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))
    geometry = TileGeometry(rows, row_length, p)
    check_window(x, geometry, window)
    return in_shape_of(x, empty_output(x, geometry, window), len(kernel))


_LIBRARY.define(f"triton_linear(Tensor x, {_LAYER}) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.define(f"triton_conv(Tensor x, {_LAYER}, {_WINDOW}) -> Tensor")  # type: ignore[no-untyped-call]
for _name, _real, _fake in (("triton_linear", _linear, _linear_fake), ("triton_conv", _conv, _conv_fake)):
    _LIBRARY.impl(_name, _real, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"tbn::{_name}", _fake, lib=_LIBRARY)
linear, conv = torch.ops.tbn.triton_linear, torch.ops.tbn.triton_conv
