"""``tbn bench mcu`` on a small network: the same answers from all engines, counts and sizes that fit together, and the table of a record."""

import json
from pathlib import Path

import pytest

from tbn.boards import bench
from tbn.boards.catalogue import get_board
from tbn.boards.plain import plain_source
from tbn.errors import TBNError
from tests.integer.networks import codes, ended, layer, network

SMALL = {"small": bench.Model("mlp", 1_000, (("hidden", (32,)),))}


@pytest.fixture(scope="module")
def record() -> dict:
    said: list[str] = []
    found = bench.measure(SMALL, ["cortex-m4f"], said.append)
    assert len(said) == len(bench.ENGINES)
    return found


def test_engines_are_compared(record: dict) -> None:
    rows = {row["engine"]: row for row in record["rows"]}
    assert list(rows) == list(bench.ENGINES)
    dense = 784 * 32 + 32 * 10
    assert all(row["multiplies"] == dense for row in rows.values())
    assert rows["integer"]["computed"] == 784 * 8 + 32 * 10
    assert rows["integer p=1 (BWNN)"]["computed"] == dense
    assert rows["integer"]["instructions"] < rows["integer p=1 (BWNN)"]["instructions"] < rows["fp32"]["instructions"]
    assert rows["plain loop"]["instructions"] > 12 * dense
    assert rows["fp32"]["flash_bytes"] > 4 * dense > rows["integer"]["flash_bytes"]
    assert all(row["ram_bytes"] > 784 for row in rows.values())


def test_table_has_a_line_for_each_board_and_engine(record: dict) -> None:
    lines = bench.table(record).splitlines()
    boards = [board["name"] for board in record["boards"]]
    assert {"nucleo_f411re", "nano33ble"} <= set(boards) and all(
        get_board(name).core == "cortex-m4f" for name in boards
    )
    assert len(lines) == 1 + len(boards) * len(bench.ENGINES)
    assert any("nucleo_f411re" in line and "plain loop" in line and line.endswith("1.0x") for line in lines)
    small = record | {"boards": [record["boards"][0] | {"flash_bytes": 20_000}]}
    assert [line.split("  ")[0] for line in bench.table(small).splitlines() if "does not fit" in line] == [
        "nucleo_f411re"
    ]


def test_a_plain_loop_that_answers_something_else_is_an_error(tmp_path: Path) -> None:
    """The other network's numbers instead of this one's."""
    one, other = (network(layer(seed, 10, 64, 2, target=-1), shapes=[(64,)]) for seed in (1, 2))
    own, _ = bench._float_program("cortex-m4f", one, "plain", tmp_path)
    assert bench._run_float(own, one, codes(1, 1, 64)[0]) > 640 * 10
    with pytest.raises(TBNError, match="the plain loop answers"):
        bench._run_float(own, other, codes(1, 1, 64)[0])


def test_networks_without_a_plain_loop_are_refused() -> None:
    cut = ended(layer(1, 10, 64, 4), shapes=[(64,), (10,)])
    with pytest.raises(TBNError, match="no plain loop for 'fc'; choose p"):
        plain_source(cut, "plain")


@pytest.mark.parametrize(("core", "least"), [("cortex-m4f", 40), ("cortex-m0", 150), ("cortex-m0plus", 150)])
def test_the_recorded_table_keeps_what_is_promised(core: str, least: int) -> None:
    """So many times fewer instructions than the plain loop for the MLP; at least 100,000 multiplies in the CNN, and fewer than any other way."""
    record = json.loads(bench.OUT.read_text())
    rows = {(row["model"], row["engine"]): row for row in record["rows"] if row["core"] == core}
    assert set(rows) == {(model, engine) for model in bench.MODELS for engine in bench.ENGINES}
    assert rows["mlp", "plain loop"]["instructions"] >= least * rows["mlp", "integer"]["instructions"]
    assert rows["cnn", "integer"]["multiplies"] >= 100_000
    for model in bench.MODELS:
        assert min(bench.ENGINES, key=lambda engine: rows[model, engine]["instructions"]) == "integer"
        assert rows[model, "integer"]["flash_bytes"] < rows[model, "fp32"]["flash_bytes"]
