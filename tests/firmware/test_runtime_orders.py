"""Layers in other orders than the paper's on Cortex-M4 and Cortex-M0: the reference's bits, and no more instructions and flash than promised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from tbn.integer import quantise, run
from tests.export.ordered_models import ORDERS, convolutions, packed, perceptron, task
from tests.firmware.test_runtime_cores import program

LARGE = (784, 128, 10)
# an inference of the MLP 784-128-10 with p = 4: instructions against the order "rows", and bytes of its arrays beyond those of "rows"
MOST = {
    "cortex-m4f": {"interleaved": 1.05, "inputs": 1.8, "rolled": 5.5},
    "cortex-m0": {"interleaved": 1.05, "inputs": 2.3, "rolled": 6.5},
}
ARRAYS = {"interleaved": 0, "inputs": 2, "rolled": 98}


@pytest.mark.parametrize("core", MOST)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("make", [convolutions, lambda: perceptron(91, 36, 28, 8)], ids=["convolutions", "perceptron"])
def test_cores_give_the_references_bits(core: str, order: str, make: Callable[[], nn.Module], tmp_path: Path) -> None:
    """Rows on byte borders and across them, runs of one row and of many, groups."""
    given = task(*((4, 9, 7) if make is convolutions else (91,)))
    net = quantise(packed(make(), order, 4, "layer", ("15",) if make is convolutions else ("5",)), given)
    own, arena = program(core, net, tmp_path)
    for sample, wanted in zip(given.test_inputs[:3], run(net, given.test_inputs[:3]), strict=True):
        assert own.run_model(sample.tobytes(), arena, net.outputs) == wanted.tolist()


@pytest.mark.parametrize("core", MOST)
def test_what_an_order_costs(core: str, tmp_path: Path) -> None:
    """Flash: the tile stays the tile; code comes with the operations that are called."""
    found = {}
    given = task(784)
    for order in ("rows", *ORDERS):
        net = quantise(packed(perceptron(*LARGE), order, 4, exclude=("3",)), given)
        (tmp_path / order).mkdir()
        own, arena = program(core, net, tmp_path / order)
        assert own.run_model(given.test_inputs[0].tobytes(), arena, 10) == run(net, given.test_inputs[:1])[0].tolist()
        arrays = sum(net.bytes_by_part().values())
        found[order] = own.instructions, arrays, own.flash_bytes - arrays, own.stack_bytes
    print("\n" + "\n".join(f"{core} {order}: instructions, arrays, code, stack {row}" for order, row in found.items()))
    for order in ORDERS:
        assert found[order][0] <= MOST[core][order] * found["rows"][0]
        assert found[order][1] - found["rows"][1] == ARRAYS[order]
