"""Where the tensors of an integer network lie in one static stretch of RAM. Needs no torch.

A tensor lives from the operation that writes it to the last one that reads it; two that live at the same time lie apart, unless an operation
may write over what it reads. The raw input stays with the caller, and the outputs go to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from tbn.integer.network import Add, IntegerNetwork, Layer, MaxPool, Operation, Product, Signs, Swap


@dataclass(frozen=True)
class Arena:
    """``offsets`` of the tensors by number, in bytes; ``codes_bytes`` in all. No plan needs less than ``needed_bytes``.

    ``sums``, ``block`` and ``patch`` are what the operations work with, in int32, bytes and bytes.
    """

    offsets: Mapping[int, int]
    codes_bytes: int
    needed_bytes: int
    sums: int
    block: int
    patch: int

    @property
    def rest(self) -> int:
        """Bytes at the end, up to a multiple of 4."""
        return -(self.patch + self.codes_bytes) % 4

    @property
    def bytes(self) -> int:
        """The size of the C structure."""
        return 4 * self.sums + self.block + self.patch + self.codes_bytes + self.rest


BLOCK_BYTES, SHORT_ROW = 512, 256  # TBN_INTEGER_BLOCK_BYTES of tbn_integer.h, TBN_PART of tbn_integer_four.h
STRIP = 8  # TBN_INTEGER_STRIP of tbn_integer_vectors.h


def plan(network: IntegerNetwork) -> Arena:
    """The smallest of three first-fit plans: tensors in order, backwards, and the largest first."""
    lives = lifetimes(network)
    sizes = {tensor: network.tensors[tensor].count for tensor in lives}
    orders: list[list[int]] = [sorted(lives), sorted(lives, reverse=True), sorted(lives, key=lambda t: (-sizes[t], t))]
    plans = [_first_fit(order, network, lives, sizes) for order in orders]
    offsets = min(plans, key=lambda found: _end(found, sizes))
    layers = network.layers
    return Arena(
        offsets,
        _end(offsets, sizes),
        max(_alive(number, network, lives, sizes) for number in range(len(network.operations))),
        max(_sums(layer, network) for layer in layers),
        BLOCK_BYTES if any(uses_block(layer) for layer in layers) else 0,
        max((_patch(layer) for layer in layers if layer.window is not None), default=0),
    )  # fmt: skip


def _sums(layer: Layer, network: IntegerNetwork) -> int:
    """Sums that the C code keeps of a layer: of 4 positions of a convolution at once (as many as 6 where a row is long, for room to work)."""
    pieces = len(layer.weights.pieces)
    if layer.window is None or not uses_block(layer):
        return pieces
    positions = STRIP if layer.largest else prod(network.tensors[layer.target].image[1:])
    return pieces * (1 if positions == 1 else 4 if layer.weights.row_length <= SHORT_ROW else 6)


def _patch(layer: Layer) -> int:
    """Bytes that a convolution gathers; behind them some positions' inputs and outputs where only the largest are kept."""
    strip = STRIP * (layer.weights.row_length + layer.weights.rows) if layer.largest else 0
    return layer.weights.row_length * layer.groups + strip


def lifetimes(network: IntegerNetwork) -> dict[int, tuple[int, int]]:
    """(operation that writes, operation that reads last) of each tensor but the input."""
    lives = {
        operation.target: (number, number)
        for number, operation in enumerate(network.operations)
        if operation.target > 0
    }
    for number, operation in enumerate(network.operations):
        for source in sources_of(operation):
            if source > 0:
                lives[source] = (lives[source][0], number)
    return lives


def sources_of(operation: Operation) -> tuple[int, ...]:
    """The tensors that an operation reads."""
    return (operation.source, operation.other) if isinstance(operation, Add | Product) else (operation.source,)


def may_overlap(operation: Operation, source: int, target: int) -> bool:
    """Whether an operation may write at offset ``target`` over what it reads, for the last time, at offset ``source``.

    Fully connected layers write when all is read, and so they do for each of several vectors. The others go from the first element to the last,
    and never write beyond what they read; a convolution of one pixel does so within each channel.
    """
    if isinstance(operation, Swap | Product):
        return False
    if isinstance(operation, Layer):
        window = operation.window
        if window is None:
            shrinks = operation.weights.rows <= operation.weights.row_length
            return operation.positions == 1 or (shrinks and target <= source)
        if operation.largest:
            return False
        return source == target and (window.kernel, window.stride, window.before) == ((1, 1), (1, 1), (0, 0))
    if isinstance(operation, MaxPool) and any(operation.window.before):
        return False
    return target <= source


def uses_block(layer: Layer) -> bool:
    """Whether the C code has a fast way to the sums of a layer, which needs a block of memory (``tbn_integer_sums``)."""
    weights = layer.weights
    return isinstance(weights, Signs) and not weights.cut and weights.whole


def _alive(number: int, network: IntegerNetwork, lives: Mapping[int, tuple[int, int]], sizes: Mapping[int, int]) -> int:
    """Bytes of the tensors that live at an operation; what it may write over counts once."""
    operation = network.operations[number]
    total = sum(sizes[tensor] for tensor, (start, end) in lives.items() if start <= number <= end)
    over = [
        sizes[source] for source in sources_of(operation)
        if source > 0 and operation.target > 0 and lives[source][1] == number and may_overlap(operation, 0, 0)
    ]  # fmt: skip
    return total - min(max(over, default=0), sizes.get(operation.target, 0))


def _first_fit(
    order: Iterable[int], network: IntegerNetwork, lives: Mapping[int, tuple[int, int]], sizes: Mapping[int, int]
) -> dict[int, int]:
    offsets: dict[int, int] = {}
    for tensor in order:
        both = [t for t in offsets if lives[t][0] <= lives[tensor][1] and lives[tensor][0] <= lives[t][1]]
        candidates = sorted({0, *(offsets[t] for t in both), *(offsets[t] + sizes[t] for t in both)})
        offsets[tensor] = next(
            start
            for start in candidates
            if all(_fit(network, lives, sizes, (tensor, start), (t, offsets[t])) for t in both)
        )
    return offsets


def _fit(
    network: IntegerNetwork,
    lives: Mapping[int, tuple[int, int]],
    sizes: Mapping[int, int],
    one: tuple[int, int],
    two: tuple[int, int],
) -> bool:
    """Whether two (tensor, offset) that live at the same time lie apart, or one may be written over the other."""
    (first, start), (second, other) = sorted((one, two), key=lambda pair: lives[pair[0]][0])
    if start + sizes[first] <= other or other + sizes[second] <= start:
        return True
    written = lives[second][0]
    return lives[first][1] == written and may_overlap(network.operations[written], start, other)


def _end(offsets: Mapping[int, int], sizes: Mapping[int, int]) -> int:
    return max((offset + sizes[tensor] for tensor, offset in offsets.items()), default=0)
