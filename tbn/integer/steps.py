"""The float steps that have an integer twin, and the windows of torch's convolutions and poolings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from tbn.errors import TBNError
from tbn.integer.network import Window
from tbn.packed import PackedConv1d, PackedConv2d

FIX = "use another engine for this model, or float32 firmware if it is an MLP"
INPUT, FOLDED = "input", "_folded"  # the raw input; the end of a step's name: sums of inputs before a layer
CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, PackedConv1d: 1, nn.Conv2d: 2, PackedConv2d: 2}


@dataclass(frozen=True)
class LayerStep:
    """A linear layer (of vectors, ``positions`` of them) or, with a window, a convolution; ``largest``: only its largest output by channel."""

    layer: Any
    window: Window | None = None
    groups: int = 1
    positions: int = 1
    largest: bool = False


@dataclass(frozen=True)
class AffineStep:
    """A BatchNorm that follows no layer: (channels,) float64 scale and shift."""

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True)
class TableStep:
    """A function of one number."""

    function: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PoolStep:
    """Largest or mean value under each window; no window is the whole image."""

    largest: bool
    window: Window | None


@dataclass(frozen=True)
class AddStep:
    """Sum of two tensors of one shape."""


@dataclass(frozen=True)
class ViewStep:
    """The same numbers in another shape, or with zeros around the image, which the convolution behind it adds itself."""


@dataclass(frozen=True)
class NormStep:
    """A LayerNorm over the last axis: (n,) float64 factors and shifts behind it."""

    scale: Tensor
    shift: Tensor
    epsilon: float


@dataclass(frozen=True)
class SwapStep:
    """Two neighbouring axes in the other order: (outer, rows, columns, inner) as (outer, columns, rows, inner)."""

    outer: int
    rows: int
    columns: int
    inner: int


@dataclass(frozen=True)
class ProductStep:
    """Matrix product of two tensors, (rows, inner) by (inner, columns)."""

    rows: int
    inner: int
    columns: int


@dataclass(frozen=True)
class FoldStep:
    """Codes of shape (outer, copies, inner) as (outer, inner): the copies times (copies,) float64 factors, added up."""

    outer: int
    factors: Tensor
    inner: int


What = LayerStep | AffineStep | TableStep | PoolStep | AddStep | ViewStep | NormStep | SwapStep | ProductStep | FoldStep


@dataclass(frozen=True)
class Step:
    """One tensor of the network and how it is made.

    Attributes:
        sources: names of the tensors that it is made of.
        shape: of one sample.
        clip: the smallest and largest value that it can have (a ReLU behind it).
    """

    name: str
    sources: tuple[str, ...]
    shape: tuple[int, ...]
    what: What
    compute: Callable[..., Tensor] = field(repr=False)
    clip: tuple[float, float] | None = None

    def __call__(self, *values: Tensor) -> Tensor:
        out = self.compute(*values)
        return out if self.clip is None else out.clamp(*self.clip)


def window_of(layer: Any, axes: int, text: str) -> Window:
    """The window of a convolution; zeros after the image follow from the size of its output."""
    if layer.padding_mode != "zeros":
        raise TBNError(f"{text} with padding_mode {layer.padding_mode!r}, not zeros", FIX)
    padding: Any = layer.padding
    if isinstance(padding, str):
        totals = [
            d * (k - 1) if padding == "same" else 0 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)
        ]
        padding = tuple(total // 2 for total in totals)
    kernel, stride, before, dilation = (
        (default, *value) if axes == 1 else value
        for value, default in zip((layer.kernel_size, layer.stride, padding, layer.dilation), (1, 1, 0, 1), strict=True)
    )
    return Window(kernel, stride, before, dilation)


def pool_of(module: nn.Module | None) -> PoolStep | None:
    """The pooling that a module is, if it is one that has a twin."""
    if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d):
        sizes = module.output_size if isinstance(module.output_size, tuple) else (module.output_size,)
        largest = isinstance(module, nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d)
        return PoolStep(largest, None) if set(sizes) == {1} else None
    if not isinstance(module, nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d | nn.AvgPool2d):
        return None
    axes = 1 if isinstance(module, nn.MaxPool1d | nn.AvgPool1d) else 2
    numbers = (module.kernel_size, module.stride, module.padding, getattr(module, "dilation", 1))
    kernel, stride, padding, dilation = (
        _pair(value, axes, default) for value, default in zip(numbers, (1, 1, 0, 1), strict=True)
    )
    if isinstance(module, nn.AvgPool1d | nn.AvgPool2d):
        plain = not any(padding) and not module.ceil_mode and getattr(module, "divisor_override", None) is None
        return PoolStep(False, Window(kernel, stride)) if plain else None
    return None if module.return_indices else PoolStep(True, Window(kernel, stride, padding, dilation))


def _pair(value: Any, axes: int, default: int) -> tuple[int, int]:
    """A number an axis, or one for all, as (rows, columns); along a sequence there is one row, with ``default``."""
    given = (value,) * axes if isinstance(value, int) else tuple(value)
    return cast("tuple[int, int]", (default, *given) if axes == 1 else given)
