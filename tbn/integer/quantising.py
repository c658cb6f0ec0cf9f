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
from tbn.integer.fold import fixed_point
from tbn.integer.graph import steps_of
from tbn.integer.network import (
    Add,
    Affine,
    AveragePool,
    Codes,
    Fold,
    IntegerNetwork,
    Layer,
    MaxPool,
    Norm,
    Operation,
    Product,
    Swap,
    Table,
    Window,
)
from tbn.integer.parameters import Floats, clip_codes, finite, in_copies, linear, weights_of
from tbn.integer.ranges import Range, best_range, coding, has_range, measure
from tbn.integer.scaling import INT32, scaling, stored, sum_limits
from tbn.integer.series import MASKED_SERIES, SERIES, standardised
from tbn.integer.steps import (
    FIX,
    INPUT,
    AddStep,
    AffineStep,
    FoldStep,
    LayerStep,
    NormStep,
    PoolStep,
    ProductStep,
    Step,
    SwapStep,
    TableStep,
    ViewStep,
)
from tbn.models.forecaster import Perceptron

IMAGES = 512  # training inputs that ranges are measured on
NORM_UNIT, LONGEST_NORM = 1024, 512  # steps of a normalised value; n at which sums of squares still fit into 32 bits


@torch.no_grad()
def quantise(model: nn.Module, task: Any, ranges: Mapping[str, Range] | None = None) -> IntegerNetwork:
    """The integer twin of a model for a task's raw inputs.

    Args:
        model: packed or dense, in eval mode.
        task: gives input_shape, scale, offset and train_inputs. Raw inputs that are no bytes get codes of their own.
        ranges: what ``calibrate`` returned; None takes those that the model was trained with (``tbn_ranges``), or measures them on the first
            512 training inputs.

    Raises:
        TBNError: something in the model has no integer twin, or a range is missing.
    """
    raw, shape, front = np.asarray(task.train_inputs[:IMAGES]), tuple(task.input_shape), ""
    ranges = getattr(model, "tbn_ranges", None) if ranges is None else ranges
    if isinstance(model, Perceptron):
        front = MASKED_SERIES if model.masked else SERIES
        model, raw, shape = nn.Sequential(model.layers, model.head).eval(), standardised(raw, front), (model.inputs,)
    steps = steps_of(model, shape)
    inputs = torch.from_numpy(raw).float() * float(task.scale) + float(task.offset)
    if ranges is None or any(isinstance(step.what, FoldStep) and step.name not in ranges for step in steps):
        # a model that was trained in integers knows no sums of inputs
        ranges = {**measure(steps, inputs), **(ranges or {})}
    missing = [step.name for step in steps[:-1] if has_range(step) and step.name not in ranges]
    if missing:
        raise TBNError(f"there is no range for '{missing[0]}'", "calibrate this model again")
    if raw.dtype == np.uint8:
        scale, offset = float(task.scale), float(task.offset)
        zero = min(255, max(0, round(-offset / scale)))
        given, rest = Codes(INPUT, shape, scale, zero), offset + zero * scale
    else:
        given, rest = Codes(INPUT, shape, *coding(*best_range(INPUT, inputs.flatten()))), 0.0
    return replace(_Quantiser(given, rest, ranges).network(steps), front=front)


class _Quantiser:
    """Makes the operations one after the other.

    Attributes:
        index: tensor by step name; a view has the tensor that it is a view of.
        rest: what a tensor's codes leave out, ``value = scale * (code - zero) + rest``: of the raw input half a step at most, unless
            its zero point would not be a code.
    """

    def __init__(self, given: Codes, rest: float, ranges: Mapping[str, Range]) -> None:
        self.ranges = ranges
        self.tensors = [given]
        self.index = {INPUT: 0}
        self.rest = {0: rest}

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
        if isinstance(what, SwapStep) or (isinstance(what, PoolStep) and what.largest):
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
        if isinstance(what, FoldStep):
            shares = what.factors.numpy() * given.scale / codes.scale
            centre = codes.zero + float(what.factors.sum()) * self.rest.get(source, 0.0) / codes.scale
            numbers = fixed_point(step.name, shares, given.zero, centre)
            return Fold(step.name, source, target, given.zero, what.outer, shares.size, what.inner, *numbers)
        if isinstance(what, NormStep):
            return self.norm(step, what, source, codes)
        if isinstance(what, SwapStep):
            return Swap(step.name, source, target, what.outer, what.rows, what.columns, what.inner)
        if isinstance(what, ProductStep):
            return self.product(step, what, sources, codes)
        assert isinstance(what, TableStep)
        return Table(step.name, source, target, self.table(what, source, codes))

    def table(self, what: TableStep, source: int, codes: Codes) -> NDArray[np.uint8]:
        """(256,) the function of every code, as a code."""
        given = self.tensors[source]
        values = given.scale * (torch.arange(256, dtype=torch.float64) - given.zero) + self.rest.get(source, 0.0)
        found: Floats = what.function(values).numpy()
        table: NDArray[np.uint8] = np.clip(np.rint(found / codes.scale) + codes.zero, 0, 255).astype(np.uint8)
        return table

    def norm(self, step: Step, what: NormStep, source: int, codes: Codes) -> Norm:
        """The twin of a LayerNorm; a vector's shift and scale cancel, so that only epsilon is in the input's unit."""
        count = len(what.scale)
        if count > LONGEST_NORM:
            raise TBNError(f"'{step.name}' is a LayerNorm over {count} values: at most {LONGEST_NORM} have a twin", FIX)
        scale, shift = finite(step.name, what.scale), finite(step.name, what.shift)
        largest = np.full(count, int(1.001 * NORM_UNIT * count**0.5) + 2)
        found, _ = scaling(
            step.name, (scale / NORM_UNIT / codes.scale)[None], shift / codes.scale, (-largest, largest), tuple(range(count)), codes.zero,
            clip_codes(step, codes),
        )  # fmt: skip
        room = 2**32 - 1 - count * count * 255 * 255 // 4
        epsilon = min(room, round(what.epsilon * (count / self.tensors[source].scale) ** 2))
        part = replace(found, multipliers=found.multipliers.reshape(-1))
        return Norm(step.name, source, len(self.tensors) - 1, epsilon, part)

    def product(self, step: Step, what: ProductStep, sources: list[int], codes: Codes) -> Product:
        """The twin of a matrix product. Both inputs' zero points have to be codes."""
        pair = [self.tensors[number] for number in sources]
        if any(abs(self.rest.get(n, 0.0)) > one.scale / 2 * 1.001 for n, one in zip(sources, pair, strict=True)):
            raise TBNError(f"'{step.name}' multiplies the input, and no byte of it stands for 0", FIX)
        reach = [max(one.zero, 255 - one.zero) for one in pair]
        limit = np.array([what.inner * reach[0] * reach[1]])
        if limit[0] > INT32:
            raise TBNError(f"'{step.name}' sums {what.inner:,} products, more than int32 holds", FIX)
        factor = np.array([[pair[0].scale * pair[1].scale / codes.scale]])
        found, _ = scaling(step.name, factor, np.zeros(1), (-limit, limit), (0,), codes.zero, clip_codes(step, codes))
        part = replace(found, multipliers=found.multipliers.reshape(-1))
        return Product(
            step.name, sources[0], sources[1], len(self.tensors) - 1, what.rows, what.inner, what.columns, pair[0].zero, pair[1].zero, part
        )  # fmt: skip

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
        biases = of_ones * rest + (0.0 if bias is None else in_copies(weights, finite(step.name, bias)))
        unit = 1.0 if codes is None else codes.scale
        found, output_step = scaling(
            step.name, factors * given.scale / unit, biases / unit, sum_limits(weights, given.zero),
            tuple(piece.row for piece in weights.pieces), None if codes is None else codes.zero,
            (0, 255) if codes is None else clip_codes(step, codes),
        )  # fmt: skip
        target = -1 if codes is None else len(self.tensors) - 1
        relu = step.clip is not None
        layer = Layer(
            step.name, source, target, given.zero, weights, stored(found, weights), relu, what.window, what.groups, what.positions,
            what.largest,
        )  # fmt: skip
        return layer, output_step
