"""The front that comes along: entries as they are asked for, with the accuracy and bytes that their packed files give."""

import numpy as np
import pytest

from tbn import front, runs
from tbn.config import RunConfig
from tbn.integer import IntegerNetwork, quantise
from tbn.restore import deployed_model

GOALS = [(3_200, 0.990), (5_500, 0.9925)]


def network_of(run: runs.Run) -> IntegerNetwork:
    """Without the data: all that ``quantise`` asks a task with ranges for."""
    from types import SimpleNamespace

    model = deployed_model(run)
    image = np.zeros((1, 1, 28, 28), np.uint8)
    data = SimpleNamespace(
        name="mnist",
        input_shape=(1, 28, 28),
        scale=1 / 255 / 0.3081,
        offset=-0.1307 / 0.3081,
        train_inputs=image,
        test_inputs=image,
    )
    return quantise(model, data, model.tbn_ranges)


def entries() -> list[runs.Run]:
    return list(runs.iterate(front.root(), zoo=False))


def test_folders_are_entries_trained_as_they_say():
    assert {run.id for run in entries()} <= set(front.ENTRIES)
    for run in entries():
        asked = front.entry_config(front.ENTRIES[run.id]).to_dict()
        found = RunConfig.from_dict(run.config).to_dict()
        changed = {name for name in asked if asked[name] != found[name]}
        assert changed <= {"epochs", "lr", "warm_start", "alpha_init"}, f"{run.path} is out of date: train it again"
        assert run.state == "complete" and run.source == "zoo" and run.config["quantised"]


def test_bytes_are_those_of_the_packed_file():
    for run in entries():
        whole = run.result["integer"]
        assert network_of(run).bytes_by_part() == whole["parts"] and whole["bytes"] == sum(whole["parts"].values())
        assert whole["samples"] == 10_000 and whole["c_equal"] == 10_000


@pytest.mark.parametrize(("most", "least"), GOALS)
def test_goals_are_met(most, least):
    table = front.frame()
    assert (table[table["bytes"] <= most]["accuracy"] >= least).any()


def test_frame(tmp_path):
    assert list(front.frame(tmp_path).columns) == list(front.COLUMNS) and front.frame(tmp_path).empty
    table = front.frame()
    assert table["bytes"].is_monotonic_increasing and table["accuracy"].between(0.9, 1).all()


def test_an_entry_is_found_by_its_name():
    for run in entries():
        assert runs.find(f"{front.FOLDER}/{run.id}").path == run.path
