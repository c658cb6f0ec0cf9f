"""The firmware project's example model, in integers: what the generator writes today (run this file as a script to renew it)."""

from pathlib import Path

import numpy as np

from tbn.export import firmware_root
from tbn.export.c_integer import export_integer
from tbn.export.host import compile_model, run_library
from tbn.export.report import HEADER, REFERENCE, REPORT, SOURCE, ExportReport
from tbn.integer import IntegerNetwork, quantise, run
from tests.export.packed_models import example, images

GOLDEN = firmware_root() / "example_model"


def network() -> IntegerNetwork:
    """With ranges that are given, so that no float sum decides anything."""
    return quantise(example(), images(1, 8, 8), {"fc1": (0.0, 6.0)})


def export(folder: Path) -> ExportReport:
    return export_integer(network(), images(1, 8, 8), folder, "example, MLP 64-32-10")


def test_example_model(tmp_path: Path) -> None:
    report = export(tmp_path / "model")
    for name in (HEADER, SOURCE):
        assert (report.folder / name).read_text() == (GOLDEN / name).read_text()
    task = images(1, 8, 8)
    np.testing.assert_array_equal(
        run_library(compile_model(report), report, task.test_inputs), run(network(), task.test_inputs)
    )


if __name__ == "__main__":
    export(GOLDEN)
    for leftover in (REFERENCE, REPORT):
        (GOLDEN / leftover).unlink()
