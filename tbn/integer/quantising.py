"""A trained model and the ranges of its values -> an ``IntegerNetwork``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tbn.errors import TBNError
from tbn.integer.graph import steps_of
from tbn.integer.network import (
    Add,
    Affine,
    AveragePool,
    Codes,
    IntegerNetwork,
    Layer,
    MaxPool,
    Operation,
    Signs,
    Table,
    Weights,
    Window,
)
from tbn.integer.ranges import Range, coding, has_range, measure
from tbn.integer.scaling import INT32, scaling, stored, sum_limits
from tbn.integer.steps import (
    FIX,
    INPUT,
    AddStep,
    AffineStep,
    LayerStep,
    PoolStep,
    Step,
    TableStep,
    ViewStep,
)
from tbn.packed import PackedLayer

IMAGES = 512  # training inputs that ranges are measured on
LARGEST_SHIFT = 24  # of sums of two and of averages
Floats = NDArray[np.float64]


@torch.no_grad()
def quantise(model: nn.Module, task: Any, ranges: Mapping[str, Range] | None = None) -> IntegerNetwork:
    """The integer twin of a model for a task's raw inputs.

    Args:
        model: packed or dense, in eval mode.
        task: gives input_shape, scale, offset and, where ranges are measured here, train_inputs; raw inputs are uint8.
        ranges: what ``calibrate`` returned; None measures them on the first 512 training inputs.

    Raises:
        TBNError: the raw inputs are no bytes, something in the model has no integer twin, or a range is missing.
    """
    raw = np.asarray(task.train_inputs[:IMAGES] if ranges is None else task.test_inputs[:1])
    if raw.dtype != np.uint8:
        raise TBNError(f"the raw inputs of '{task.name}' are {raw.dtype}, and integer networks take bytes", FIX)
    steps = steps_of(model, tuple(task.input_shape))
    if ranges is None:
        ranges = measure(steps, torch.from_numpy(raw).float() * float(task.scale) + float(task.offset))
    missing = [step.name for step in steps[:-1] if has_range(step) and step.name not in ranges]
    if missing:
        raise TBNError(f"there is no range for '{missing[0]}'", "calibrate this model again")
    return _Quantiser(tuple(task.input_shape), float(task.scale), float(task.offset), ranges).network(steps)


class _Quantiser:
    """Makes the operations one after the other.

    Attributes:
        index: tensor by step name; a view has the tensor that it is a view of.
        rest: what a tensor's codes leave out, ``value = scale * (code - zero) + rest``: of the raw input half a step at most, unless
            its zero point would not be a code.
    """

    def __init__(self, shape: tuple[int, ...], scale: float, offset: float, ranges: Mapping[str, Range]) -> None:
        zero = min(255, max(0, round(-offset / scale)))
        self.ranges = ranges
        self.tensors = [Codes(INPUT, shape, scale, zero)]
        self.index = {INPUT: 0}
        self.rest = {0: offset + zero * scale}

    def network(self, steps: tuple[Step, ...]) -> IntegerNetwork:
        operations: list[Operation] = []
        for step in steps[:-1]:
            sources = [self.index[source] for source in step.sources]
            if isinstance(step.what, ViewStep):
                self.index[step.name] = sources[0]
            else:
                self.index[step.name] = len(self.tensors)
                operations.append(self.operation(step, sources))
        last = steps[-1]
        layer, step_size = self.layer(last, self.index[last.sources[0]], None)
        return IntegerNetwork(tuple(self.tensors), (*operations, layer), layer.weights.rows, step_size)

    def operation(self, step: Step, sources: list[int]) -> Operation:
        """The twin of a step that is not the last, and its tensor."""
        given, what, source = self.tensors[sources[0]], step.what, sources[0]
        if isinstance(what, PoolStep) and what.largest:
            self.rest[len(self.tensors)] = self.rest.get(source, 0.0)
            codes = replace(given, name=step.name, shape=step.shape)
        else:
            codes = Codes(step.name, step.shape, *coding(*self.ranges[step.name]))
        self.tensors.append(codes)
        target = len(self.tensors) - 1
        if isinstance(what, LayerStep):
            return self.layer(step, source, codes)[0]
        if isinstance(what, PoolStep):
            window = what.window or Window(given.image[1:])
            if what.largest:
                return MaxPool(step.name, source, target, window)
            count = prod(window.kernel)
            bias = self.rest.get(source, 0.0) / codes.scale + codes.zero
            limit = count * max(given.zero, 255 - given.zero)
            (multiplier,), constant, shift = linear([given.scale / codes.scale / count], [limit], bias)
            return AveragePool(step.name, source, target, given.zero, window, multiplier, constant, shift)
        if isinstance(what, AddStep):
            pair = [self.tensors[number] for number in sources]
            factors = [one.scale / codes.scale for one in pair]
            bias = codes.zero + sum(self.rest.get(number, 0.0) for number in sources) / codes.scale
            bias -= sum(factor * one.zero for factor, one in zip(factors, pair, strict=True))
            (first, second), constant, shift = linear(factors, [255, 255], bias)
            return Add(step.name, source, sources[1], target, first, second, constant, shift, *clip_codes(step, codes))
        if isinstance(what, AffineStep):
            scale, shift_of = what.scale.numpy(), what.shift.numpy()
            biases = (shift_of + scale * self.rest.get(source, 0.0)) / codes.scale
            limits = (np.full(len(scale), -given.zero), np.full(len(scale), 255 - given.zero))
            found, _ = scaling(
                step.name, (scale * given.scale / codes.scale)[None], biases, limits, tuple(range(len(scale))), codes.zero,
                clip_codes(step, codes),
            )  # fmt: skip
            return Affine(
                step.name, source, target, given.zero, replace(found, multipliers=found.multipliers.reshape(-1))
            )
        assert isinstance(what, TableStep)
        return Table(step.name, source, target, self.table(what, source, codes))

    def table(self, what: TableStep, source: int, codes: Codes) -> NDArray[np.uint8]:
        """(256,) the function of every code, as a code."""
        given = self.tensors[source]
        values = given.scale * (torch.arange(256, dtype=torch.float64) - given.zero) + self.rest.get(source, 0.0)
        found: Floats = what.function(values).numpy()
        table: NDArray[np.uint8] = np.clip(np.rint(found / codes.scale) + codes.zero, 0, 255).astype(np.uint8)
        return table

    def layer(self, step: Step, source: int, codes: Codes | None) -> tuple[Layer, float]:
        """The twin of a layer, and what 1 of its outputs stands for where it is the last one (``codes`` is None)."""
        what, given = step.what, self.tensors[source]
        assert isinstance(what, LayerStep)
        rest = self.rest.get(source, 0.0)
        if what.window is not None and any(what.window.before) and abs(rest) > given.scale / 2 * 1.001:
            raise TBNError(
                f"'{step.name}' pads its input with zeros, and no byte of the raw input stands for 0",
                "choose a task offset from -255 * scale to 0",
            )
        weights, factors = weights_of(what.layer)
        starts = np.flatnonzero(np.diff([piece.row for piece in weights.pieces], prepend=-1))
        of_ones = np.add.reduceat(factors * weights.matrix.sum(1, dtype=np.int64), starts, axis=1).reshape(-1)
        bias = what.layer.bias
        biases = of_ones * rest + (0.0 if bias is None else finite(step.name, bias))
        unit = 1.0 if codes is None else codes.scale
        found, output_step = scaling(
            step.name, factors * given.scale / unit, biases / unit, sum_limits(weights, given.zero),
            tuple(piece.row for piece in weights.pieces), None if codes is None else codes.zero,
            (0, 255) if codes is None else clip_codes(step, codes),
        )  # fmt: skip
        target = -1 if codes is None else len(self.tensors) - 1
        relu = step.clip is not None
        layer = Layer(
            step.name, source, target, given.zero, weights, stored(found, weights), relu, what.window, what.groups
        )
        return layer, output_step


def weights_of(layer: Any) -> tuple[Signs | Weights, Floats]:
    """What a layer multiplies with, and (copies, pieces) float64 what a sum of it is worth."""
    if isinstance(layer, PackedLayer):
        geometry, alphas = layer.geometry, finite("alphas", layer.alphas)
        rows = geometry.distinct_rows if layer.share else geometry.rows
        cut = alphas.size > 1 and geometry.tile_length % geometry.row_length != 0
        tile = layer.tile.cpu().numpy().copy()
        signs = Signs(geometry.rows, geometry.row_length, rows, geometry.tile_length, cut, tile)
        tiles = np.array([piece.tile for piece in signs.pieces])
        of_row = np.array([piece.row for piece in signs.pieces])
        copies = np.arange(signs.copies)[:, None]
        factors = alphas[
            copies * (signs.tiles // signs.copies) + tiles if alphas.size > 1 else np.zeros_like(copies + tiles)
        ]
        if layer.gain is not None:
            factors = factors * finite("gain", layer.gain)[copies * rows + of_row]
        return signs, factors
    weight = finite("weight", layer.weight).reshape(len(layer.weight), -1)
    steps = np.maximum(np.abs(weight).max(1), 1e-30) / 127
    return Weights(np.rint(weight / steps[:, None]).astype(np.int8)), steps[None]


def finite(name: str, values: torch.Tensor) -> Floats:
    """A parameter as float64.

    Raises:
        TBNError: some of it is not finite.
    """
    array: Floats = values.detach().double().cpu().numpy()
    if not np.isfinite(array).all():
        raise TBNError(f"'{name}' holds numbers that are not finite", "train the run again with a lower learning rate")
    return array


def clip_codes(step: Step, codes: Codes) -> tuple[int, int]:
    """The smallest and largest code of a step."""
    if step.clip is None:
        return 0, 255
    low, high = (codes.zero + (limit / codes.scale if np.isfinite(limit) else 255) for limit in step.clip)
    return max(0, round(low)), min(255, round(high))


def linear(factors: list[float], limits: list[int], bias: float) -> tuple[list[int], int, int]:
    """Multipliers, bias (with half a step) and shift of ``sum of factor * value + bias``, so that |value| <= limit stays in int32."""
    for shift in range(LARGEST_SHIFT, -1, -1):
        multipliers = [round(factor * 2**shift) for factor in factors]
        constant = round((bias + 0.5) * 2**shift)
        if sum(m * limit for m, limit in zip(multipliers, limits, strict=True)) + abs(constant) <= INT32:
            return multipliers, constant, shift
    raise TBNError("a sum has terms of scales that are too far apart", "calibrate on inputs like those of the task")
