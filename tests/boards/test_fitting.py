"""Sizes before a build: what is read from the source, what is stored, and which boards a run fits."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tbn import code_sizes, memory, runs
from tbn.boards import fitting, get_board, list_boards
from tbn.boards.fit import predict
from tbn.boards.probes import functions_of, types_of
from tbn.cli.fit import app
from tbn.code_sizes import CodeSizes, calls_of
from tbn.errors import TBNError
from tbn.export.report import BLOCK, ArenaPart, ExportedLayer, ExportReport

SOURCE = """\
static const uint8_t tbn_0_fc_tile[3136] TBN_FLASH = {
};
static const tbn_integer_layer tbn_0_fc = {
};
static const tbn_integer_layer tbn_1_head = {
};

tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, tbn_model_arena *arena, int32_t *outputs, uint32_t output_count)
{
    tbn_status status = tbn_integer_fully_connected(&tbn_0_fc, input, 784, arena->codes, 128, &scratch);
    if (status == TBN_OK) {
        status = tbn_integer_outputs(&tbn_1_head, arena->codes, 128, outputs, 10, &scratch);
    }
    return status;
}
"""
CODE = CodeSizes(
    "sim", "integer", {"startup": 100, "self-test": 1000},
    {"tbn_integer_fully_connected": {"tbn_integer_fully_connected": (200, "runtime"), "tbn_sums": (300, "runtime"), "memcpy": (40, "startup")},
     "tbn_integer_outputs": {"tbn_integer_outputs": (150, "runtime"), "tbn_sums": (300, "runtime"), "": (8, "other")},
     "tbn_integer_add": {"tbn_integer_add": (999, "runtime")}},
    {"tbn_integer_layer": 60}, False, (40.0, 4.0),
    (("tbn_device_silent", 1, 1), ("tbn_device_request", 796, 1), ("tbn_device_reply", 60, 4), (memory.ARENA, 4, 4)), 300, {},
)  # fmt: skip


@pytest.fixture
def report(tmp_path: Path) -> ExportReport:
    """The 784-128-10 network in integers, p = 4."""
    (tmp_path / "model.c").write_text(SOURCE)
    layers = (
        ExportedLayer(
            "fc", "integer", 128, 784, 4, 32, True, 3144, {"tile": ("tbn_0_fc_tile", 3136), "multipliers": ("m", 8)}
        ),
        ExportedLayer("head", "integer", 10, 128, 1, 10, False, 162, {"tile": ("t", 160), "multipliers": ("n", 2)}),
    )
    arena = (ArenaPart("sums of an operation", 0, 128), ArenaPart("fc", 128, 128))
    return ExportReport(tmp_path, "0" * 16, "mnist", 784, 10, 3306, 256, 32, layers, arena, precision="integer")


TILED = {"fc": 100352}


def test_calls_are_read_from_the_source() -> None:
    calls = calls_of(SOURCE)
    assert calls.functions == {"tbn_integer_fully_connected", "tbn_integer_outputs"} and calls.arguments == 12
    assert calls.constants == (("tbn_integer_layer", "tbn_0_fc"), ("tbn_integer_layer", "tbn_1_head"))


def test_what_two_functions_share_counts_once(report: ExportReport) -> None:
    blocks = memory.predicted(report, CODE)
    flash = 3306 + 1100 + (200 + 300 + 40) + (150 + 8) + (40 + 4 * 12) + 2 * 60
    # silent at 0, request at 1 (12 + 784), 3 bytes of gap, reply, arena
    assert memory.totals(blocks) == {"flash": flash, "ram": 1 + 796 + 3 + 60 + 256}
    assert [b["bytes"] for b in blocks if b["symbol"] == memory.ARENA] == [256]
    assert {b["owner"] for b in blocks} == {"fc", "head", "startup", "self-test", "runtime", "other", "arena"}
    many = replace(report, outputs=1000, input_bytes=3)
    assert memory.totals(memory.predicted(many, CODE))["ram"] == 1 + 20 + 3 + 4004 + 256
    assert memory.totals(memory.predicted(report)) == {"flash": 3306, "ram": 256}


def test_constants_that_a_core_cannot_read_from_flash_take_ram_too(report: ExportReport) -> None:
    ram = memory.totals(memory.predicted(report, replace(CODE, constants_in_ram=True)))["ram"]
    assert ram == memory.totals(memory.predicted(report, CODE))["ram"] + 120


def test_a_small_board_has_a_shorter_block(report: ExportReport) -> None:
    with_block = replace(report, arena_bytes=768, arena=(*report.arena, ArenaPart(BLOCK, 256, 512)))
    ram = memory.totals(memory.predicted(with_block, CODE))["ram"]
    small = replace(CODE, constants={**CODE.constants, "tbn_integer_block": 256})
    assert memory.totals(memory.predicted(with_block, small))["ram"] == ram - 256
    assert memory.totals(memory.predicted(report, small)) == memory.totals(memory.predicted(report, CODE))


def test_an_operation_that_was_not_there_is_told(report: ExportReport, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = {"tbn_integer_outputs": CODE.functions["tbn_integer_outputs"]}
    with pytest.raises(TBNError, match="size of tbn_integer_fully_connected was never measured"):
        memory.predicted(report, replace(CODE, functions=functions))
    monkeypatch.setattr("tbn.boards.fit.code_sizes", lambda *_: replace(CODE, functions=functions))
    assert predict(report, get_board("nucleo_f411re"), True) is None


def test_the_smallest_p_that_fits(report: ExportReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tbn.boards.fitting.code_sizes", lambda *_: CODE)
    board = get_board("nucleo_f411re")
    whole = memory.totals(memory.predicted(report, CODE))
    weights = {p: fitting.at_factor(report, TILED, p)[0] for p in fitting.FACTORS}
    assert weights[4] == report.weight_bytes and weights[1] == 12544 + 2 + 162 and weights[16] == 784 + 32 + 162
    # fewer rows to add up with more copies: 4 bytes a distinct row, of the largest layer
    assert [fitting.at_factor(report, TILED, p)[1] - 128 for p in (1, 4, 16)] == [512, 128, 40]
    for room, smallest, fits in (
        (10**6, 1, True),
        (weights[4], 4, True),
        (weights[4] - 1, 8, False),
        (100, None, False),
    ):
        limit = whole["flash"] - report.weight_bytes + room
        found = fitting.fit(report, replace(board, flash_bytes=limit), TILED)
        assert (found.smallest_p, found.fits, found.measured) == (smallest, fits, True)
        assert found.flash_left == limit - whole["flash"]
    tight = replace(board, ram_bytes=whole["ram"] + board.stack_reserve_bytes)
    assert fitting.fit(report, tight, TILED).fits and fitting.fit(report, tight, TILED).ram_left == 0
    assert not fitting.fit(report, replace(tight, ram_bytes=tight.ram_bytes - 1), TILED).fits
    assert fitting.fit(report, board, {}).smallest_p is None


def test_a_board_that_was_not_measured_says_so(report: ExportReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tbn.boards.fitting.code_sizes", lambda environment, _: CODE if environment == "sim_nucleo_f411re" else None
    )
    found = fitting.fit(report, get_board("esp32dev"), TILED)
    assert not found.measured and found.flash_bytes > 280_000 and found.to_dict()["flash_left"] == found.flash_left
    monkeypatch.setattr("tbn.boards.fitting.code_sizes", lambda *_: None)
    with pytest.raises(TBNError, match="no code sizes"):
        fitting.fit(report, get_board("esp32dev"), TILED)


def test_every_board_has_a_framework_or_was_measured() -> None:
    missing = [
        b.name
        for b in list_boards()
        if b.platform not in fitting.FRAMEWORKS
        and not (b.emulated and code_sizes.code_sizes(b.emulator_environment, "integer"))
    ]
    assert missing == []


@pytest.mark.parametrize(("name", "layers"), [("p4", ["fc1"]), ("binary", ["fc1"]), ("fp32", ["fc1"])])
def test_layers_that_could_be_tiled(name: str, layers: list[str]) -> None:
    assert list(fitting.tileable(runs.find(f"fashion_mnist-mlp-{name}-s0"))) == layers


@pytest.mark.parametrize("board", [board.name for board in list_boards() if board.emulated])
def test_the_stored_table_is_of_this_runtime(board: str) -> None:
    """Every function that a generated model may call was measured, on every emulated board."""
    for precision in ("integer", "float32"):
        code = code_sizes.code_sizes(get_board(board).emulator_environment, precision)
        assert code is not None and set(code.functions) == set(functions_of(precision)), (
            "run python -m tbn.boards.measuring"
        )
        assert set(types_of()) == set(code.constants) and code.made["date"]
        assert code.stack_bytes or get_board(board).core == "avr"


def test_the_command_lists_every_board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    done = CliRunner().invoke(app, ["fashion_mnist-mlp-p4-s0", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [entry["board"] for entry in told["boards"]] == [board.name for board in list_boards()]
    nucleo = next(entry for entry in told["boards"] if entry["board"] == "nucleo_f411re")
    assert told["precision"] == "integer" and nucleo["fits"] and nucleo["measured"] and nucleo["smallest_p"] == 1
    text = (
        CliRunner().invoke(app, ["fashion_mnist-mlp-p4-s0", "--board", "nucleo_f411re", "--board", "esp32dev"]).stdout
    )
    lines = text.splitlines()
    assert lines[2].startswith("fits    nucleo_f411re") and "~" not in lines[2]
    assert lines[3].startswith("fits    esp32dev") and "~" in lines[3] and len(lines) == 5
