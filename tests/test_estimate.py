"""Estimates of a training's time come from recorded runs, and say so where there are none."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kernels.machine import cpu_name
from tbn import estimate


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Runs on this processor and on another, with rows as ``runs.frame`` has them."""
    monkeypatch.delenv("TBN_DATA", raising=False)
    rows = []
    for number, (model, p, seconds, macs, machine, args, source) in enumerate((
        ("mlp", 4, 20.0, 1e5, cpu_name(), {}, "embedded subset, 5,000"), ("mlp", 8, 30.0, 1e5, cpu_name(), {}, "embedded subset, 5,000"),
        ("mlp", 4, 900.0, 1e6, cpu_name(), {"width": 512}, "embedded subset, 5,000"), ("mlp", 0, 5.0, 1e5, cpu_name(), {}, "embedded subset, 5,000"),
        ("cnn", 4, 70.0, 1e6, "another", {}, "embedded subset, 5,000"), ("mlp", 4, 600.0, 1e5, cpu_name(), {}, "full set, 60,000"),
    )):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.json").write_text(
            json.dumps({"task": "fashion_mnist", "model": model, "p": p, "model_args": args, "data": "auto"})
        )
        rows.append({"task": "fashion_mnist", "model": model, "p": p, "epochs": 10, "seconds": seconds, "macs_dense": macs, "machine": machine,
                     "data_source": source, "date": f"2026-11-{number + 1:02}", "path": str(folder)})  # fmt: skip
    return pd.DataFrame(rows)


def of(recorded: pd.DataFrame, macs: int | None = None, **config: Any) -> estimate.Estimate:
    return estimate.training({"task": "fashion_mnist", "model": "mlp", "p": 4, **config}, recorded, macs)


def test_the_time_of_an_epoch_of_the_same_network_here(recorded: pd.DataFrame) -> None:
    found = of(recorded, epochs=20)
    assert (found.seconds, found.low, found.high) == (50.0, 40.0, 60.0)
    assert found.source == "the time of an epoch in 2 runs of this model and task on this processor"
    assert found.text == "about 50 s (40 s to 60 s)"
    assert of(recorded, epochs=20, p=0).seconds == 10.0  # full precision is another network
    assert (
        of(recorded, epochs=10, model_args={"width": "512"}).seconds == 900.0
    )  # and so is a wider one, also where a form gives text
    assert of(recorded).seconds == 50.0  # the recipe's 20 epochs


def test_the_full_set_takes_longer(recorded: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of(recorded, epochs=10, data_root="somewhere").seconds == 600.0
    monkeypatch.setenv("TBN_DATA", "somewhere")
    assert of(recorded, epochs=10).seconds == 600.0 and of(recorded, epochs=10, data="embedded").seconds == 25.0


def test_other_machines_and_multiply_adds_are_said_to_be_what_they_are(recorded: pd.DataFrame) -> None:
    found = of(recorded, model="cnn", epochs=10)
    assert found.seconds == 70.0 and "other processors" in found.source
    guess = of(recorded, macs=500_000, model="vgg_small", epochs=10)
    assert guess.low is not None and guess.low < 450 <= (guess.high or 0) and "rough guess" in guess.source


def test_what_was_not_measured_is_not_guessed(recorded: pd.DataFrame) -> None:
    for found in (of(recorded, model="vit"), of(recorded, task="digits"), of(recorded.iloc[:0])):
        assert found.seconds is None and found.text == "not known yet" and "one epoch" in found.source


def test_several_trainings_together(recorded: pd.DataFrame) -> None:
    parts = [of(recorded, epochs=20)] * 3
    assert estimate.together(parts).seconds == 150 and estimate.together(parts, 2).seconds == 75
    assert estimate.together(parts, 8).seconds == 50  # never faster than one of them
    assert estimate.together([*parts, of(recorded, model="vit")]).seconds is None
    assert estimate.together([]).text == "about 0 s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0.4 s"), (42, "42 s"), (150, "2 min"), (7000, "1.9 h"), (400_000, "5 days")]
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert estimate.duration_text(seconds) == text
