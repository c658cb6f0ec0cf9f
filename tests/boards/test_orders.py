"""A trained network in each order of its tiles, built by PlatformIO, flashed into an emulated board and verified there."""

from pathlib import Path

import pytest

from tbn import memory
from tbn.boards import emulator, flash, get_board
from tbn.boards.fit import predict, sizes_of
from tbn.config import RunConfig
from tbn.export.run import export_run
from tbn.train import fit

pytestmark = pytest.mark.board
CNN = {"task": "digits", "model": "cnn", "p": 4, "epochs": 1, "min_layer_size": 1000}
MLP = {"task": "fashion_mnist", "model": "mlp", "p": 4, "epochs": 1, "data": "embedded"}


@pytest.mark.parametrize(
    ("order", "board", "model", "precision", "function"),
    [
        ("interleaved", "nucleo_f411re", CNN, "integer", "tbn_integer_ordered_conv2d"),
        ("inputs", "microbit", MLP, "integer", "tbn_integer_fold"),
        ("rolled", "microbit", CNN, "integer", "tbn_integer_ordered_conv2d"),
        ("rolled", "nucleo_f411re", MLP, "float32", "tbn_fully_connected_ordered"),
    ],
)
def test_an_emulated_board_answers_as_the_reference(
    order: str, board: str, model: dict[str, object], precision: str, function: str, tmp_path: Path
) -> None:
    """The self-test's images bit for bit (float32: as near as ever); sizes as they were predicted."""
    run = fit(RunConfig(order=order, **model), tmp_path).path
    try:
        report = flash(run, board=board, port="emulator", precision=precision)
    finally:
        emulator.stop(run / "firmware" / board / "pio" / "emulator.json")
    assert report.passed == report.total >= 4 and (precision == "float32" or report.max_difference == 0)
    assert report.instructions
    export, linked = export_run(run, precision=precision), sizes_of(report.build.elf)
    assert f"{function}(" in export.source.read_text()
    guess = predict(export, get_board(board), emulated=True)
    assert guess is not None and guess.ram_bytes == linked.ram_bytes
    assert abs(guess.flash_bytes - linked.flash_bytes) < 0.05 * linked.flash_bytes
    assert memory.linked_weight_bytes(report.build.elf, export) == export.weight_bytes
