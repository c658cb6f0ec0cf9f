"""What a graph computes without touching an activation's numbers: sizes, constants, other shapes and orders of axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, fx, nn

from tbn.integer.steps import SwapStep

SAMPLES = 2  # of the batch that shapes are found with
NOTHING = object()  # what is no constant
Shape = tuple[int, ...]


def constant(node: fx.Node, root: nn.Module, known: Mapping[fx.Node, Any], shapes: Mapping[fx.Node, Shape]) -> Any:
    """The value of a node that depends on no activation's numbers, or ``NOTHING``.

    Args:
        known: constants before it.
        shapes: of one sample of the activations before it.
    """
    if node.op == "get_attr":
        return _attribute(root, str(node.target))
    if node.op not in ("call_function", "call_method"):
        return NOTHING
    first = node.args[0] if node.args else None
    if isinstance(first, fx.Node) and first in shapes:
        sizes = torch.Size((SAMPLES, *shapes[first]))
        if node.target is getattr and node.args[1] in ("shape", "device", "dtype"):
            return {"shape": sizes, "device": torch.device("cpu"), "dtype": torch.float32}[str(node.args[1])]
        if node.target == "size":
            return sizes[node.args[1]] if len(node.args) > 1 else sizes  # type: ignore[index]
        return NOTHING
    if any(source not in known for source in node.all_input_nodes):
        return NOTHING
    args, kwargs = values(node.args, known), values(node.kwargs, known)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def values(arguments: Any, known: Mapping[fx.Node, Any]) -> Any:
    """Arguments of a node with the constants in place of their nodes."""
    return fx.node.map_arg(arguments, lambda node: known.get(node, node))


def call(node: fx.Node, known: Mapping[fx.Node, Any], x: Tensor) -> Tensor:
    """A function or method node applied to an activation, its first argument."""
    args, kwargs = values(node.args[1:], known), values(node.kwargs, known)
    function: Callable[..., Tensor] = (
        getattr(torch.Tensor, str(node.target)) if node.op == "call_method" else node.target  # type: ignore[assignment]
    )
    return function(x, *args, **kwargs)


def reshaped(shape: Shape) -> Callable[[Tensor], Tensor]:
    """Another shape of every sample."""
    return partial(_reshape, shape)


def turned(order: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """The axes of every sample in another order."""
    return partial(_permute, (0, *(axis + 1 for axis in order)))


def order_of(node: fx.Node, known: Mapping[fx.Node, Any], shape: Shape) -> tuple[int, ...] | None:
    """The order of a sample's axes behind a transposition or permutation; None where the batch moves."""
    numbered = torch.zeros(SAMPLES, *shape)
    strides = {numbered.stride(axis): axis for axis in range(numbered.dim()) if numbered.shape[axis] > 1}
    out = call(node, known, numbered)
    if out.shape[0] != SAMPLES or out.stride(0) != numbered.stride(0):
        return None
    long = [strides[step] for step, size in zip(out.stride(), out.shape, strict=True) if size > 1]
    ones = iter(axis for axis in range(numbered.dim()) if numbered.shape[axis] == 1)
    kept = iter(long)
    return tuple(next(kept if size > 1 else ones) - 1 for size in out.shape)[1:]


def swap(shape: Shape, order: tuple[int, ...]) -> SwapStep | None:
    """Axes in another order as one exchange of neighbours, or None where one is not enough; rows or columns are 1 where nothing moves."""
    moving = [axis for axis in order if shape[axis] > 1]
    sizes = [shape[axis] for axis in sorted(moving)]
    places = [sorted(moving).index(axis) for axis in moving]
    start = next((i for i, place in enumerate(places) if place != i), len(places))
    if start == len(places):
        return SwapStep(1, 1, 1, prod(sizes))
    middle = places[start]
    length = next((n for n in range(1, len(places) - start) if places[start + n] != middle + n), len(places) - start)
    end = middle + length
    if places != [*range(start), *range(middle, end), *range(start, middle), *range(end, len(places))]:
        return None
    return SwapStep(prod(sizes[:start]), prod(sizes[start:middle]), prod(sizes[middle:end]), prod(sizes[end:]))


def _attribute(root: nn.Module, path: str) -> Any:
    found: Any = root
    for name in path.split("."):
        found = getattr(found, name)
    return found.detach() if isinstance(found, Tensor) else found


def _reshape(shape: Shape, x: Tensor) -> Tensor:
    return x.reshape(len(x), *shape)


def _permute(order: tuple[int, ...], x: Tensor) -> Tensor:
    return x.permute(order)
