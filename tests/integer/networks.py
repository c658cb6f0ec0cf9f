"""Integer networks for tests: random operations of any geometry, and the same operations as loops over plain Python numbers."""

from __future__ import annotations

from dataclasses import replace
from math import gcd, isqrt, prod

import numpy as np

from tbn.integer.network import (
    Add,
    Affine,
    AveragePool,
    Codes,
    IntegerNetwork,
    Layer,
    MaxPool,
    Norm,
    Operation,
    Product,
    Scaling,
    Signs,
    Swap,
    Table,
    Weights,
    Window,
)
from tbn.integer.scaling import scaling, stored, sum_limits


def layer(
    seed: int, rows: int, row_length: int, p: int, *, source: int = 0, target: int = 1, zero: int = 0, per_tile: bool = True,
    window: Window | None = None, groups: int = 1, bias: bool = True, gain: bool = False, int8: bool = False, name: str = "fc",
    positions: int = 1, largest: bool = False,
) -> Layer:  # fmt: skip
    """A layer with random signs (or int8 weights), factors and biases; ``target`` -1 makes it the last one."""
    numbers = np.random.default_rng(seed)
    weights: Signs | Weights
    if int8:
        weights = Weights(numbers.integers(-127, 128, (rows, row_length)).astype(np.int8))
    else:
        tile_length = rows * row_length // p
        distinct = rows // gcd(rows, p) if groups == 1 else rows
        tile = np.packbits(numbers.integers(0, 2, tile_length, dtype=np.uint8), bitorder="little")
        weights = Signs(rows, row_length, distinct, tile_length, per_tile and tile_length % row_length != 0, tile)
    lowest, highest = sum_limits(weights, zero)
    alphas = numbers.uniform(0.2, 1, weights.tiles if per_tile else 1)
    tiles = np.array([piece.tile for piece in weights.pieces])
    copies = np.arange(weights.copies)[:, None] * (weights.tiles // weights.copies)
    factors = alphas[copies + tiles] if per_tile else np.full((weights.copies, len(tiles)), alphas[0])
    factors = factors * 300 / max(highest.max(), -lowest.min())
    if gain:
        factors = factors * numbers.uniform(-1, 1, factors.shape)
    biases = numbers.uniform(-90, 90, rows) if bias else np.zeros(rows)
    last = target < 0
    of_row = tuple(piece.row for piece in weights.pieces)
    clip = (0, 255) if last else (int(numbers.integers(0, 60)), int(numbers.integers(150, 256)))
    found, _ = scaling(
        name, factors, biases, (lowest, highest), of_row, None if last else int(numbers.integers(0, 256)), clip
    )
    part = stored(found, weights)
    return Layer(name, source, target, zero, weights, part, False, window, groups, positions, largest)


def norm(seed: int, count: int, *, source: int = 0, target: int = 1, epsilon: int = 1) -> Norm:
    """A LayerNorm with random factors, some negative, and shifts."""
    numbers = np.random.default_rng(seed)
    largest = np.full(count, int(1.001 * 1024 * count**0.5) + 2)
    factors, zero = numbers.uniform(-60, 60, count) / 1024, int(numbers.integers(0, 256))
    found, _ = scaling(
        "norm", factors[None], numbers.uniform(-90, 90, count), (-largest, largest), tuple(range(count)), zero
    )
    return Norm("norm", source, target, epsilon, replace(found, multipliers=found.multipliers.reshape(-1)))


def product(
    seed: int, rows: int, inner: int, columns: int, *, source: int = 0, other: int = 0, target: int = 1, zeros: tuple[int, int] = (0, 0)
) -> Product:  # fmt: skip
    """A matrix product with a random factor."""
    numbers = np.random.default_rng(seed)
    limit = np.array([inner * max(zeros[0], 255 - zeros[0]) * max(zeros[1], 255 - zeros[1])])
    factor = np.array([[numbers.uniform(100, 900) / limit[0]]])
    found, _ = scaling("product", factor, np.zeros(1), (-limit, limit), (0,), int(numbers.integers(0, 256)))
    part = replace(found, multipliers=found.multipliers.reshape(-1))
    return Product("product", source, other, target, rows, inner, columns, *zeros, part)


def network(*operations: Operation, shapes: list[tuple[int, ...]]) -> IntegerNetwork:
    """Tensors of the given shapes, the first one the input."""
    tensors = tuple(Codes(f"t{number}", shape, 1.0, 0) for number, shape in enumerate(shapes))
    last = operations[-1]
    outputs = last.weights.rows if isinstance(last, Layer) else 0
    return IntegerNetwork(tensors, operations, outputs, 1.0)


def ended(*operations: Operation, shapes: list[tuple[int, ...]], seed: int = 5) -> IntegerNetwork:
    """With a last layer of three outputs behind the last tensor."""
    count = prod(shapes[-1])
    head = layer(seed, 3, count, 1, source=len(shapes) - 1, target=-1, name="head")
    return network(*operations, head, shapes=shapes)


def codes(seed: int, *shape: int) -> np.ndarray:
    """Random bytes, with runs of the extremes."""
    numbers = np.random.default_rng(seed)
    values = numbers.integers(0, 256, shape, dtype=np.uint8)
    values[numbers.random(shape) < 0.2] = 0
    values[numbers.random(shape) < 0.2] = 255
    return values


# the same as loops


def slow(net: IntegerNetwork, sample: np.ndarray) -> list[int]:
    """One sample's outputs, from the text of the operations' docstrings alone."""
    values = {0: [int(code) for code in sample.reshape(-1)]}
    for operation in net.operations:
        values[operation.target] = _slow(operation, net, values)
    return values[-1]


def _slow(op: Operation, net: IntegerNetwork, values: dict[int, list[int]]) -> list[int]:
    given = values[op.source]
    if isinstance(op, Table):
        return [int(op.table[code]) for code in given]
    if isinstance(op, Add):
        both = zip(given, values[op.other], strict=True)
        return [
            clip((a * op.multiplier + b * op.other_multiplier + op.bias) >> op.shift, op.low, op.high) for a, b in both
        ]
    if isinstance(op, Affine):
        part, inner = op.scaling, len(given) // len(op.scaling.multipliers)
        return [
            finish((code - op.zero) * int(part.multipliers[i // inner]) + (int(part.biases[i // inner]) << part.bias_shift), part)
            for i, code in enumerate(given)
        ]  # fmt: skip
    if isinstance(op, Norm):
        count = len(op.scaling.multipliers)
        return [code for start in range(0, len(given), count) for code in _norm(op, given[start : start + count])]
    if isinstance(op, Swap):
        blocks = np.array(given).reshape(op.outer, op.rows, op.columns, op.inner)
        return [
            int(blocks[a, b, c, d])
            for a in range(op.outer) for c in range(op.columns) for b in range(op.rows) for d in range(op.inner)
        ]  # fmt: skip
    if isinstance(op, Product):
        return [_cell(op, given, values[op.other], i, j) for i in range(op.rows) for j in range(op.columns)]
    if isinstance(op, Layer) and op.window is None:
        n = op.weights.row_length
        return [code for at in range(op.positions) for code in _rows(op, given[at * n : (at + 1) * n], op.target < 0)]
    if isinstance(op, Layer) and op.largest:
        channels, height, width = net.tensors[op.source].image
        count = height * width
        each = [_rows(op, [given[c * count + at] for c in range(channels)], False) for at in range(count)]
        return [max(column) for column in zip(*each, strict=True)]
    channels, height, width = net.tensors[op.source].image
    out_channels, out_height, out_width = net.tensors[op.target].image
    result = [0] * (out_channels * out_height * out_width)
    for i in range(out_height):
        for j in range(out_width):
            under = _under(op.window, given, (channels, height, width), i, j)
            if isinstance(op, Layer):
                flat = [op.zero if code is None else code for channel in under for code in channel]
                outputs = _rows(op, flat, False)
            elif isinstance(op, MaxPool):
                outputs = [max(code for code in channel if code is not None) for channel in under]
            else:
                assert isinstance(op, AveragePool)
                sums = [sum(code - op.zero for code in channel) for channel in under]
                outputs = [clip((total * op.multiplier + op.bias) >> op.shift, op.low, op.high) for total in sums]
            for channel, value in enumerate(outputs):
                result[(channel * out_height + i) * out_width + j] = value
    return result


def _under(window: Window, given: list[int], image: tuple[int, int, int], i: int, j: int) -> list[list[int | None]]:
    channels, height, width = image
    found: list[list[int | None]] = []
    for c in range(channels):
        found.append([])
        for u in range(window.kernel[0]):
            for v in range(window.kernel[1]):
                y = i * window.stride[0] + u * window.dilation[0] - window.before[0]
                x = j * window.stride[1] + v * window.dilation[1] - window.before[1]
                inside = 0 <= y < height and 0 <= x < width
                found[-1].append(given[(c * height + y) * width + x] if inside else None)
    return found


def _rows(op: Layer, given: list[int], last: bool) -> list[int]:
    """Outputs of one position; the sign of weight (r, i) is element (r * n + i) mod q of the tile."""
    weights, part, n = op.weights, op.scaling, op.weights.row_length
    outputs = []
    for output in range(weights.rows):
        row, first = output % weights.distinct_rows, output // (weights.rows // op.groups) * n
        total, sums, piece = int(part.biases[output if len(part.biases) > 1 else 0]) << part.bias_shift, 0, -1
        for i in range(n):
            flat = output * n + i
            here = flat // weights.tile_length if weights.cut else 0
            if i and here != piece:
                total, sums = total + (sums >> part.sum_shift) * _multiplier(op, output, i - 1), 0
            piece = here
            if isinstance(weights, Signs):
                bit = flat % weights.tile_length
                weight = 1 if weights.tile[bit // 8] >> (bit % 8) & 1 else -1
            else:
                weight = int(weights.matrix[row, i])
            sums += weight * (given[first + i] - op.zero)
        total += (sums >> part.sum_shift) * _multiplier(op, output, n - 1)
        assert -(2**31) <= total < 2**31
        outputs.append(total if last else finish(total, part))
    return outputs


def _norm(op: Norm, codes: list[int]) -> list[int]:
    count, total, part = len(codes), sum(codes), op.scaling
    u, k = max(1, count * sum(code * code for code in codes) - total * total + op.epsilon), 0
    assert u < 2**32
    while u < 2**30:
        u, k = u * 4, k + 1
    found = []
    for i, code in enumerate(codes):
        value = ((((count * code - total) << k) >> 5) * (2**30 // isqrt(u))) >> 15
        scaled = value * int(part.multipliers[i]) + (int(part.biases[i]) << part.bias_shift)
        assert abs(value) < 2**15 and -(2**31) <= scaled < 2**31
        found.append(finish(scaled, part))
    return found


def _cell(op: Product, left: list[int], right: list[int], i: int, j: int) -> int:
    part = op.scaling
    pairs = [(left[i * op.inner + k] - op.zero, right[k * op.columns + j] - op.other_zero) for k in range(op.inner)]
    total = (sum(a * b for a, b in pairs) >> part.sum_shift) * int(part.multipliers[0])
    return finish(total + (int(part.biases[0]) << part.bias_shift), part)


def _multiplier(op: Layer, output: int, column: int) -> int:
    weights, found = op.weights, op.scaling.multipliers
    if len(found) == 1:
        return int(found[0])
    pieces = len(weights.pieces)
    if len(found) == weights.copies * pieces:
        copy, row = divmod(output, weights.distinct_rows)
        own = [k for k, piece in enumerate(weights.pieces) if piece.row == row and piece.start <= column < piece.stop]
        return int(found[copy * pieces + own[0]])
    return int(found[(output * weights.row_length + column) // weights.tile_length])


def finish(total: int, part: Scaling) -> int:
    return clip(total >> part.shift, part.low, part.high)


def clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)
