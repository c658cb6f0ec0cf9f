"""Generated float32 C of layers in other orders than the paper's: equal to torch for every geometry."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from tbn.boards.selftest import relative_difference
from tbn.errors import TBNError
from tbn.export.c_source import export_c
from tbn.export.host import compile_model, run_library
from tests.export.ordered_models import ORDERS, logits, packed, perceptron, task

SIZES = [(36, 24, 18, 9), (64, 32, 16, 9), (15, 20, 21, 9)]


@pytest.mark.filterwarnings("ignore:.*have equal signs")
@pytest.mark.parametrize("alpha", ["tile", "layer"])
@pytest.mark.parametrize("p", [3, 8])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_c_equals_torch(sizes: tuple[int, ...], order: str, p: int, alpha: str, tmp_path: Path) -> None:
    """Whole rows on byte borders and not, rows of several alphas; with biases and ReLUs, as first, middle and last layer."""
    model, given = packed(perceptron(*sizes), order, p, alpha, ("5",) if alpha == "layer" else ()), task(sizes[0])
    try:
        report = export_c(model, given, tmp_path / "model")
    except TBNError as error:
        assert order == "inputs" and alpha == "tile" and "ends within a row" in str(error)
        assert any(layer.in_features % layer.p for layer in model if hasattr(layer, "tile"))
        return
    found = run_library(compile_model(report), report, given.test_inputs)
    assert relative_difference(found, logits(model, given)).max() < 1e-5


@pytest.mark.parametrize(
    ("order", "operation", "arrays"),
    [("rows", "tiled", 272), ("interleaved", "interleaved", 272), ("inputs", "tiled", 276), ("rolled", "ordered", 272)],
)
def test_flash_stays_the_tiles(order: str, operation: str, arrays: int, tmp_path: Path) -> None:
    """A tile of 32 x 32 / 4 signs, 4 alphas, 32 biases; and where inputs are added up, the layer's own alpha."""
    model, given = packed(nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 4)), order, 4, exclude=("1",)), task(32)
    report = export_c(model, given, tmp_path / "model")
    assert (report.layers[0].operation, report.layers[0].bytes) == (operation, arrays - 96)
    sizes = report.layers[0].symbols
    assert sizes["tile"][1] == 32 and sum(size for _, size in sizes.values()) == report.layers[0].bytes
    for symbol, _ in sizes.values():
        assert f"{symbol}[" in report.source.read_text()
    found = run_library(compile_model(report), report, given.test_inputs)
    assert np.isfinite(found).all()
