"""The benchmark of training cost: what it prints, not how fast anything is."""

import json

import pytest

from tbn import cost


def test_rows_are_measured_side_by_side(capsys):
    assert cost.main(["--model", "mlp", "--p", "4", "--batch", "8", "--rounds", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert row["model"] == "mlp" and row["repeats"] == 3 and found["threads"] >= 1 and found["cpu"]
    assert row["dense_ms"] > 0 and row["time_ratio"] == pytest.approx(row["tiled_ms"] / row["dense_ms"], rel=0.05)
    assert row["dense_bytes"] > 0 and row["memory_ratio"] == pytest.approx(
        row["tiled_bytes"] / row["dense_bytes"], abs=0.001
    )


def test_a_step_trains():
    step = cost.step_of("mlp", 4, 8, (1, 8, 8), "sgd")
    step()
    step()


def test_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        cost.main(["--model", "nope"])
    assert stop.value.code == 2 and "invalid choice" in capsys.readouterr().err
