"""Sizes that were predicted before the build, beside those that were linked."""

import re
from pathlib import Path

import pytest

from tbn import code_sizes, memory, memory_charts, runs
from tbn.boards import build, get_board
from tbn.boards.fit import predict, sizes_of
from tbn.boards.probes import SIZE_OF, Bench, functions_of, types_of, write_probe
from tbn.errors import TBNError
from tbn.export.report import ExportReport
from tbn.export.run import export_run
from tests.boards.flashed_run import Flashed

pytestmark = pytest.mark.board
NOTHING = ExportReport(Path(), "", "", 0, 0, 0, 0, 0, (), ())
NEAR = 0.05  # of the whole flash; RAM and weights are exact


def check(run: Path, elf: Path, precision: str, board: str = "nucleo_f411re") -> None:
    export, linked = export_run(run, precision=precision), sizes_of(elf)
    guess = predict(export, get_board(board), emulated=True)
    assert guess is not None, "run python -m tbn.boards.measuring"
    assert guess.ram_bytes == linked.ram_bytes
    assert abs(guess.flash_bytes - linked.flash_bytes) < NEAR * linked.flash_bytes
    assert memory.linked_weight_bytes(elf, export) == export.weight_bytes


def test_the_flashed_run(flashed: Flashed) -> None:
    build_report = flashed.report.build
    check(flashed.run, build_report.elf, build_report.precision)
    assert build_report.predicted_ram_bytes == build_report.ram_bytes
    assert build_report.predicted_flash_bytes is not None
    told = next(message for step, state, message in flashed.events if (step, state) == ("generate", "done"))
    assert f"flash {build_report.predicted_flash_bytes:,}" in told
    export = export_run(flashed.run, precision=build_report.precision)
    code = code_sizes.code_sizes("sim_nucleo_f411re", build_report.precision)
    both = memory_charts.comparison(
        memory.frame(memory.predicted(export, code)), memory.frame(memory.linked(build_report.elf, export))
    ).set_index(["region", "owner"])
    for layer in export.layers:
        assert both.loc[("flash", layer.name), "predicted"] == both.loc[("flash", layer.name), "linked"] == layer.bytes
    assert both.loc[("ram", "all"), "predicted"] == both.loc[("ram", "all"), "linked"] == build_report.ram_bytes


@pytest.mark.parametrize(
    ("entry", "precision"), [("fashion_mnist-cnn-p4-s0", "integer"), ("fashion_mnist-mlp-p8-s0", "float32")]
)
def test_other_networks(entry: str, precision: str) -> None:
    report = build(runs.zoo_root() / entry, precision=precision)
    assert report.predicted_ram_bytes == report.ram_bytes
    check(runs.zoo_root() / entry, report.elf, precision)


def test_a_probe_brings_one_function_along(tmp_path: Path) -> None:
    """The measuring command on two functions: what it links is what it says, and a function that is not there is told."""
    bench = Bench(get_board("nucleo_f411re"), tmp_path)
    empty = bench.probe("integer", None).read_bytes()
    assert b"tbn_integer_add\0" not in empty
    assert b"tbn_integer_add\0" in bench.probe("integer", "tbn_integer_add").read_bytes()
    assert bench.alignments()[memory.ARENA] == 4
    sizes = {b["symbol"]: b["bytes"] for b in memory.linked(bench.probe("integer", SIZE_OF), NOTHING)}
    assert sizes[f"{SIZE_OF}tbn_image"] == 12 and sizes[f"{SIZE_OF}tbn_window"] == 32
    with pytest.raises(TBNError, match="tbn_integer_nothing cannot be linked"):
        bench.probe("integer", "tbn_integer_nothing")


def test_probes_know_all_functions(tmp_path: Path) -> None:
    assert "tbn_integer_conv2d" in functions_of("integer") and "tbn_relu" in functions_of("float32")
    assert not set(functions_of("integer")) & set(functions_of("float32"))
    assert {"tbn_integer_layer", "tbn_tiled_layer", "tbn_window"} <= set(types_of())
    write_probe(tmp_path, "integer", SIZE_OF)
    assert f"{SIZE_OF}tbn_window[sizeof(tbn_window)]" in (tmp_path / "model.c").read_text()
    write_probe(tmp_path, "float32", "tbn_relu")
    assert re.search(r"= \(void \(\*\)\(void\)\)tbn_relu;", (tmp_path / "model.c").read_text())


def test_owners_of_static_functions_come_from_their_files(flashed: Flashed) -> None:
    export = export_run(flashed.run, precision=flashed.report.build.precision)
    owners = {b["symbol"]: b["owner"] for b in memory.linked(flashed.report.build.elf, export)}
    assert owners["answer_info"] == "self-test" and owners["Reset_Handler"] == "startup"
    assert owners["tbn_model_run"] == "runtime" and owners[memory.ARENA] == "arena"


def test_stack_is_measured(flashed: Flashed) -> None:
    from tbn.boards.stack import deepest_stack

    build_report = flashed.report.build
    export = export_run(flashed.run, precision=build_report.precision)
    stack = deepest_stack("nucleo_f411re", build_report.elf, export)
    assert stack is not None and 100 < stack < get_board("nucleo_f411re").stack_reserve_bytes
    assert deepest_stack("esp32dev", build_report.elf, export) is None
