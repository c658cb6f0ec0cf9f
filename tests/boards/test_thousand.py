"""A thousand test images through every emulated board: the integers of the Python reference, bit for bit, and float's accuracy."""

from pathlib import Path

import numpy as np
import pytest

from tbn import restore, runs
from tbn.boards import emulator, flash, list_boards
from tbn.boards.building import place_of
from tbn.boards.device import connect
from tbn.boards.selftest import evaluate
from tbn.config import RunConfig
from tbn.export.run import export_run
from tbn.integer import quantise
from tbn.integer import run as reference
from tbn.train import fit

pytestmark = [pytest.mark.board, pytest.mark.slow]
BOARDS = [board.name for board in list_boards() if board.emulated]
TOO_SMALL = {("cnn", "uno"), ("cnn", "mega")}  # 2 KB and 8 KB of RAM


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The paper's MLP 784-128-10 and a CNN of 0.9 million multiplications."""
    root = tmp_path_factory.mktemp("runs")
    task = {"task": "fashion_mnist", "p": 4, "data": "embedded"}
    cnn = RunConfig(model="cnn", model_args={"width": 8}, min_layer_size=1000, epochs=4, **task)
    return {
        "mlp": fit(RunConfig(model="mlp", epochs=3, **task), root).path,
        "cnn": fit(cnn, root).path,
    }


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_thousand_images(model: str, board: str, entries: dict[str, Path]) -> None:
    found = runs.complete(entries[model])
    if (model, board) in TOO_SMALL:
        with pytest.raises(Exception, match="RAM"):
            flash(found.path, board, "emulator", precision="integer")
        return
    report = flash(found.path, board, "emulator", precision="integer")
    task, float_model = restore.task_of(found), restore.deployed_model(found)
    inputs, targets = task.test_inputs[:1000], task.test_targets[:1000]
    export, state = export_run(found, precision="integer"), place_of(found, board).emulator_state
    try:
        url = str(emulator.read_state(state)["url"])
        outputs, ticks = evaluate(lambda: connect(url), export, export.encode(inputs))
    finally:
        emulator.stop(state)
    np.testing.assert_array_equal(outputs, reference(quantise(float_model, task), inputs))
    floats = np.concatenate(list(restore.outputs_of(float_model, task, 1000)))
    correct, float_correct = ((found.argmax(1) == targets).mean() for found in (outputs, floats))
    assert correct >= float_correct - 0.003
    print(
        f"{model} on {board}: {len(outputs)} images, flash {report.build.flash_bytes}, RAM {report.build.ram_bytes}, "
        f"{ticks.mean():,.0f} {report.tick_unit}, accuracy {correct:.1%}, float {float_correct:.1%}"
    )
