"""The arena: what lives at one time lies apart, and what may be written over is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.integer.arena import lifetimes, may_overlap, plan, sources_of, uses_table
from tbn.integer.network import Add, AveragePool, IntegerNetwork, Layer, MaxPool, Table, Window
from tests.integer.networks import ended, layer

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
    """Convolutions, tables and sums of any earlier tensors of one shape."""
    operations = []
    for target in range(1, draw(st.integers(2, 9))):
        source, kind = draw(st.integers(0, target - 1)), draw(st.integers(0, 3))
        if kind == 3:
            operations.append(Add(f"a{target}", source, draw(st.integers(0, target - 1)), target, 1, 1, 0, 1))
        else:
            operations.append([conv(source, target), conv(source, target, 1), table(source, target)][kind])
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
    ]
    for operation, source, target, allowed in cases:
        assert may_overlap(operation, source, target) is allowed, operation.name


def test_scratch() -> None:
    """The most that any layer needs; the size of the C structure."""
    wide = layer(1, 16, 64, 2, name="wide")
    assert uses_table(wide) and not uses_table(layer(1, 16, 60, 2)) and not uses_table(layer(1, 14, 64, 2))
    assert not uses_table(layer(1, 16, 64, 1, int8=True))
    arena = plan(ended(wide, shapes=[(64,), (16,)]))
    assert (arena.sums, arena.table, arena.patch, arena.codes_bytes) == (8, 256, 0, 16)
    assert arena.bytes == 4 * 8 + 2 * 256 + 16
    arena = plan(ended(conv(0, 1), shapes=[IMAGE, IMAGE]))
    assert (arena.sums, arena.table, arena.patch, arena.bytes) == (4, 0, 36, 16 + 36 + 144)
