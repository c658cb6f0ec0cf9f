"""The arena: what lives at one time lies apart, and what may be written over is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.integer.arena import lifetimes, may_overlap, plan, sources_of, uses_block
from tbn.integer.network import Add, AveragePool, IntegerNetwork, Layer, MaxPool, Swap, Table, Window
from tests.integer.networks import ended, layer, norm, product

IMAGE = (4, 6, 6)


def table(source: int, target: int) -> Table:
    return Table(f"t{target}", source, target, np.zeros(256, np.uint8))


def conv(source: int, target: int, kernel: int = 3) -> Layer:
    window = Window((kernel, kernel), (1, 1), (kernel // 2, kernel // 2))
    return layer(1, 4, 4 * kernel * kernel, 1, source=source, target=target, window=window, name=f"c{target}")


def pool(source: int, target: int) -> MaxPool:
    return MaxPool(f"p{target}", source, target, Window((2, 2), (2, 2)))


@st.composite
def graphs(draw: st.DrawFn) -> IntegerNetwork:
    """Convolutions, tables, norms and sums of any earlier tensors of one shape."""
    operations = []
    for target in range(1, draw(st.integers(2, 9))):
        source, kind = draw(st.integers(0, target - 1)), draw(st.integers(0, 4))
        if kind == 4:
            operations.append(Add(f"a{target}", source, draw(st.integers(0, target - 1)), target, 1, 1, 0, 1))
        else:
            operations.append(
                [
                    conv(source, target),
                    conv(source, target, 1),
                    table(source, target),
                    norm(1, 36, source=source, target=target),
                ][kind]
            )
    return ended(*operations, shapes=[IMAGE] * (len(operations) + 1))


@given(graphs())
def test_nothing_is_written_over_before_its_last_use(net: IntegerNetwork) -> None:
    """Bytes are owned by the tensor that wrote them last; an operation finds its own ones."""
    arena = plan(net)
    owner = np.zeros(arena.codes_bytes, int)
    lives = lifetimes(net)
    for number, operation in enumerate(net.operations):
        for source in sources_of(operation):
            if source:
                start, count = arena.offsets[source], net.tensors[source].count
                assert (owner[start : start + count] == source).all(), (number, source)
        if operation.target > 0:
            start, count = arena.offsets[operation.target], net.tensors[operation.target].count
            for tensor in set(owner[start : start + count]) - {0}:
                last = lives[tensor][1]
                in_place = tensor in sources_of(operation) and may_overlap(operation, arena.offsets[tensor], start)
                assert last < number or (last == number and in_place)
            owner[start : start + count] = operation.target
    assert arena.codes_bytes >= arena.needed_bytes


@pytest.mark.parametrize(
    ("operations", "shapes", "expected"),
    [
        ((table(0, 1), table(1, 2)), [IMAGE] * 3, 144),
        ((conv(0, 1), conv(1, 2)), [IMAGE] * 3, 288),
        ((conv(0, 1), conv(1, 2, 1)), [IMAGE] * 3, 144),
        ((conv(0, 1), pool(1, 2), conv(2, 3)), [IMAGE, IMAGE, (4, 3, 3), (4, 3, 3)], 144),
        ((conv(0, 1), conv(1, 2), Add("a", 1, 2, 3, 1, 1, 0, 1)), [IMAGE] * 4, 288),
        ((conv(0, 1), table(1, 2), Add("a", 1, 2, 3, 1, 1, 0, 1)), [IMAGE] * 4, 288),
    ],
    ids=["in place", "apart", "one pixel", "pool", "sum into its input", "input that is needed later"],
)
def test_plans(operations: tuple, shapes: list, expected: int) -> None:
    """Known sizes; the head reads the last tensor."""
    arena = plan(ended(*operations, shapes=shapes))
    assert arena.codes_bytes == arena.needed_bytes == expected


def test_what_may_be_written_over() -> None:
    strided = layer(1, 4, 4, 1, window=Window((1, 1), (2, 2)))
    padded = MaxPool("p", 0, 1, Window((3, 3), (2, 2), (1, 1)))
    mean = AveragePool("m", 0, 1, 0, Window((2, 2)), 1, 0, 0)
    cases = [
        (layer(1, 4, 8, 1), 0, 4, True),
        (conv(0, 1, 1), 8, 8, True),
        (conv(0, 1, 1), 8, 0, False),
        (strided, 8, 8, False),
        (conv(0, 1), 8, 8, False),
        (pool(0, 1), 8, 4, True),
        (pool(0, 1), 4, 8, False),
        (padded, 8, 8, False),
        (mean, 8, 8, True),
        (layer(1, 4, 8, 1, positions=3), 8, 8, True),
        (layer(1, 4, 8, 1, positions=3), 4, 8, False),
        (layer(1, 8, 4, 1, positions=3), 8, 8, False),
        (layer(1, 4, 8, 1, window=Window((1, 1)), largest=True), 8, 8, False),
        (norm(1, 8), 8, 8, True),
        (Swap("s", 0, 1, 1, 2, 2, 1), 8, 8, False),
        (product(1, 2, 2, 2), 8, 8, False),
    ]
    for operation, source, target, allowed in cases:
        assert may_overlap(operation, source, target) is allowed, operation.name


def test_scratch() -> None:
    """The most that any layer needs; the size of the C structure."""
    wide = layer(1, 16, 64, 2, name="wide")
    assert uses_block(wide) and uses_block(layer(1, 14, 60, 2)) and not uses_block(layer(1, 10, 13, 13))
    assert not uses_block(layer(1, 16, 64, 1, int8=True))
    arena = plan(ended(wide, shapes=[(64,), (16,)]))
    assert (arena.sums, arena.block, arena.patch, arena.codes_bytes) == (8, 512, 0, 16)
    assert arena.bytes == 4 * 8 + 512 + 16
    arena = plan(ended(conv(0, 1), shapes=[IMAGE, IMAGE]))
    assert (arena.sums, arena.block, arena.patch, arena.bytes) == (4 * 4, 512, 36, 64 + 512 + 36 + 144)


@pytest.mark.parametrize(("row_length", "positions", "times"), [(256, 36, 4), (257, 36, 6), (256, 1, 1)])
def test_four_positions_at_once_need_room(row_length: int, positions: int, times: int) -> None:
    """As the C code asks for it; a single position has no others beside it."""
    one = layer(1, 4, row_length, 1, window=Window((1, 1)))
    arena = plan(ended(one, shapes=[(row_length, positions), (4, positions)]))
    assert arena.sums == 4 * times


def test_only_the_largest_outputs_are_kept() -> None:
    """Inputs and outputs of eight positions lie behind what one of them gathers."""
    one = layer(1, 32, 8, 1, window=Window((1, 1)), largest=True)
    arena = plan(ended(one, shapes=[(8, 1000), (32,)]))
    assert (arena.patch, arena.codes_bytes, arena.sums) == (8 + 8 * (8 + 32), 32, 4 * 32)
