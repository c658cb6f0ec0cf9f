"""Integer networks whose blocks lie in other orders than the paper's: the packed layer's own signs and factors, and C with the reference's bits."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tbn.errors import TBNError
from tbn.export.c_integer import export_integer
from tbn.export.host import compile_model, run_library
from tbn.integer import IntegerNetwork, quantise, run
from tbn.integer.fold import Fold
from tbn.integer.network import Layer, MaxPool, Window
from tbn.integer.orders import without_order
from tbn.integer.parameters import in_copies, weights_of
from tbn.integer.ranges import calibrate
from tbn.integer.reference import _apply
from tbn.packed import PackedLayer
from tests.export.ordered_models import ORDERS, Mixer, convolutions, logits, packed, perceptron, task
from tests.integer.c_runtime import U32, ImageC, ScratchC, build, layer_of, window_of
from tests.integer.networks import codes, ended, layer

SIZES = [(36, 24, 18, 9), (15, 20, 21, 4), (64, 48, 40, 12), (1030, 6, 10, 5)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("integer"))


def check(model: nn.Module, given, folder: Path) -> IntegerNetwork:
    """Generated C answers the reference's integers, and those are near the packed model's numbers."""
    net = quantise(model, given)
    report = export_integer(net, given, folder / "model", "orders")
    found = run_library(compile_model(report), report, given.test_inputs)
    np.testing.assert_array_equal(found, run(net, given.test_inputs))
    wanted = logits(model, given)
    assert np.abs(found * net.output_scale - wanted).max() < 0.03 * np.abs(wanted).max()
    return net


@pytest.mark.parametrize("p", [4, 6])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_perceptrons(sizes: tuple[int, ...], order: str, p: int, tmp_path: Path) -> None:
    """Whole rows and rows that are cut, on byte borders and across them; the last layer is tiled, too, where its alphas allow that."""
    try:
        check(packed(perceptron(*sizes), order, p), task(sizes[0]), tmp_path)
    except TBNError as error:
        assert order == "inputs" and "ends within a row" in str(error)
        check(packed(perceptron(*sizes), order, p, "layer", ("5",)), task(sizes[0]), tmp_path)


@pytest.mark.filterwarnings("ignore:.*have equal signs")
@pytest.mark.parametrize(("p", "alpha"), [(2, "tile"), (4, "tile"), (6, "layer"), (9, "layer")])
@pytest.mark.parametrize("order", ORDERS)
def test_convolutions(order: str, p: int, alpha: str, tmp_path: Path) -> None:
    net = check(packed(convolutions(), order, p, alpha, ("15",)), task(4, 9, 7), tmp_path)
    kinds = {
        "interleaved": lambda each: each.interleaved,
        "inputs": lambda each: False,
        "rolled": lambda each: each.roll > 0,
    }
    assert any(kinds[order](each.weights) for each in net.layers) == (order != "inputs")
    assert any(isinstance(each, Fold) for each in net.operations) == (order == "inputs")


@pytest.mark.parametrize("order", ORDERS)
def test_several_vectors_and_the_largest_output(order: str, tmp_path: Path) -> None:
    """Where the largest outputs cannot be kept as they come, a pooling follows."""
    net = check(packed(Mixer(), order, 2, "layer", ("head",)), task(12, 5), tmp_path)
    assert any(isinstance(each, MaxPool) for each in net.operations) == (order != "inputs")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("p", [4, 6])
def test_signs_and_factors_are_the_packed_layers(order: str, p: int) -> None:
    """Row by row, from the weight written out."""
    model = packed(nn.Sequential(nn.Linear(36, 24), nn.Conv2d(12, 36, 3), nn.Linear(10, 6)), order, p, exclude=("2",))
    for module in model:
        if not isinstance(module, PackedLayer):
            continue
        folded, plain = without_order(module, "layer")
        weights, factors = weights_of(plain)
        rows = (factors[:, :, None] * weights.matrix).reshape(weights.copies, len(weights.pieces), -1)
        of_row = np.array([piece.row for piece in weights.pieces])
        whole = np.stack([[copy[of_row == row].sum(0) for row in range(weights.distinct_rows)] for copy in rows])
        found = whole.reshape(weights.rows, -1)
        if weights.interleaved:
            np.testing.assert_array_equal(
                in_copies(weights, np.arange(weights.rows)) // weights.copies,
                np.tile(np.arange(weights.distinct_rows), weights.copies),
            )
            found = whole.swapaxes(0, 1).reshape(weights.rows, -1)
        if folded is not None:
            by_input = found.reshape(weights.rows, 1, -1) * folded.factors.numpy()[:, None]
            found = by_input.reshape(weights.rows, -1)
        np.testing.assert_allclose(found, module.dense_weight().reshape(module.outputs, -1).numpy(), rtol=1e-6)


def test_a_fold_is_a_sum_of_factors_times_codes() -> None:
    numbers = np.random.default_rng(0)
    fold = Fold("fold", 0, 1, 77, 3, 4, 5, numbers.integers(-2000, 2000, 4).astype(np.int16), 900_000, 13)
    sample = numbers.integers(0, 256, (2, 60))
    found = fold.totals(sample)
    for n, o, i in np.ndindex(2, 3, 5):
        wanted = 900_000 + sum((int(sample[n, (o * 4 + c) * 5 + i]) - 77) * int(fold.multipliers[c]) for c in range(4))
        assert found[n, o, i] == wanted


def ordered(seed: int, rows: int, row_length: int, p: int, roll: int, per_tile: bool, **named) -> Layer:
    """A random layer whose outputs change places (roll 0), or whose tiles are rolled."""
    if roll == 0:
        found = layer(seed, rows, row_length, p, per_tile=per_tile, **named)
        return replace(found, weights=replace(found.weights, interleaved=True))
    plain = layer(seed, rows, row_length, 1, per_tile=False, gain=per_tile, **named)
    q = rows * row_length // p
    bits = np.random.default_rng(seed).integers(0, 2, q, dtype=np.uint8)
    tile = np.packbits(np.resize(bits, q + min(q, row_length) - 1), bitorder="little")
    return replace(plain, weights=replace(plain.weights, tile=tile, tile_length=q, roll=roll))


def run_ordered(library: ctypes.CDLL, op: Layer, net: IntegerNetwork, sample: np.ndarray, way: str) -> np.ndarray:
    """The codes of one layer, by the operation itself; ``way`` is what scratch allows."""
    own, arrays = layer_of(op)
    sums = np.zeros(len(op.weights.pieces) * (6 if way == "four" else 1), np.int32)
    patch, block = np.zeros(op.weights.row_length * op.groups, np.uint8), np.full(128, -1, np.int32)
    blocks = None if way == "slow" else block.ctypes.data
    scratch = ctypes.byref(ScratchC(blocks, sums.ctypes.data, sums.size, patch.ctypes.data, patch.size))
    target = np.zeros(net.tensors[1].count, np.uint8)
    place, given, turn = ctypes.c_void_p(target.ctypes.data), ctypes.c_void_p(sample.ctypes.data), U32(op.weights.roll)
    if op.window is None:
        status = library.tbn_integer_ordered_rows(ctypes.byref(own), turn, given, U32(1), place, scratch)
    else:
        images = [ctypes.byref(ImageC(*net.tensors[tensor].image)) for tensor in (0, 1)]
        window = ctypes.byref(window_of(op.window))
        status = library.tbn_integer_ordered_conv2d(
            ctypes.byref(own), turn, window, given, images[0], place, images[1], scratch
        )
    assert status == 0 and arrays
    return target


@pytest.mark.parametrize("way", ["slow", "block", "four"])
@pytest.mark.parametrize("roll", [0, 1, 11, 29])
@pytest.mark.parametrize("per_tile", [True, False], ids=["tile", "layer"])
def test_every_way_to_the_sums(library: ctypes.CDLL, roll: int, per_tile: bool, way: str) -> None:
    """Sign by sign, with a block, four positions at once: rows of one run, several runs, broken by a tile's end, cut."""
    for seed, (rows, row_length, p) in enumerate([(12, 40, 4), (16, 27, 2), (6, 40, 16), (9, 13, 3), (24, 300, 6)]):
        op = ordered(seed, rows, row_length, p, roll, per_tile, zero=73)
        net = ended(op, shapes=[(row_length,), (rows,)])
        for sample in codes(seed, 2, row_length):
            np.testing.assert_array_equal(run_ordered(library, op, net, sample, way), first(net, sample))
    for groups in (1, 3) if roll else (1,):
        op = ordered(5, 12, 36, 4, roll, per_tile, zero=12, window=Window((3, 3), (1, 2), (1, 1)), groups=groups)
        net = ended(op, shapes=[(4 * groups, 6, 9), (12, 6, 5)])
        sample = codes(6, 4 * groups, 6, 9)
        np.testing.assert_array_equal(run_ordered(library, op, net, sample, way), first(net, sample))


def first(net: IntegerNetwork, sample: np.ndarray) -> np.ndarray:
    """The reference's codes behind the first operation."""
    found = _apply(net.operations[0], net.tensors[0], {0: sample[None]}, net.tensors)
    return found.reshape(-1).astype(np.uint8)


def test_wrong_arguments_are_refused(library: ctypes.CDLL) -> None:
    """Null, groups of neighbouring equal rows, rolled rows that are said to repeat."""
    op = ordered(0, 12, 40, 4, 11, False)
    net, sample = ended(op, shapes=[(40,), (12,)]), codes(0, 40)
    run_ordered(library, op, net, sample, "block")
    own, arrays = layer_of(op)
    sums, target = np.zeros(12, np.int32), np.zeros(12, np.uint8)
    scratch = ctypes.byref(ScratchC(None, sums.ctypes.data, 12, None, 0))
    places = ctypes.c_void_p(sample.ctypes.data), U32(1), ctypes.c_void_p(target.ctypes.data), scratch
    assert arrays and library.tbn_integer_ordered_rows(ctypes.byref(own), U32(11), *places) == 0
    assert library.tbn_integer_ordered_rows(None, U32(11), *places) == 1
    own.distinct_rows, own.sums = 3, 3
    assert library.tbn_integer_ordered_rows(ctypes.byref(own), U32(11), *places) == 2
    assert library.tbn_integer_fold(None, None, None) == 1


def test_alphas_that_end_within_a_row_are_told_with_a_fix() -> None:
    model = packed(nn.Sequential(nn.Flatten(), nn.Linear(15, 20), nn.ReLU(), nn.Linear(20, 4)), "inputs", 4)
    with pytest.raises(
        TBNError, match=r"'1' ends within a row of the order 'inputs', because p = 4 does not divide its 15 inputs"
    ) as told:
        quantise(model, task(15))
    assert "alpha='layer'" in (told.value.fix or "")
    grouped = packed(
        nn.Sequential(nn.Conv2d(8, 6, 3, groups=2), nn.Flatten(), nn.Linear(6, 4)), "interleaved", 4, exclude=("2",)
    )
    with pytest.raises(TBNError, match="ends within a row of the order 'interleaved'"):
        quantise(grouped, task(8, 3, 3))


def test_training_in_integers_knows_no_sums_of_inputs() -> None:
    """Ranges that a training learned have no name of theirs: they are measured at the export."""
    given = task(36)
    model = packed(perceptron(36, 24, 9), "inputs", 4)
    ranges = calibrate(model, torch.from_numpy(given.train_inputs).float() * given.scale + given.offset)
    sums = [name for name in ranges if name.endswith("_folded")]
    assert sums == ["_1_folded"]
    known = {name: limits for name, limits in ranges.items() if name not in sums}
    np.testing.assert_array_equal(
        run(quantise(model, given, known), given.test_inputs), run(quantise(model, given), given.test_inputs)
    )
