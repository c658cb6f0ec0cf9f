"""What the tests of sweeps share: small sweeps, made-up outcomes, and a second process that does a sweep's trials without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tbn.sweep import Sweep
from tbn.sweep.trial import Outcome, Trial


@pytest.fixture
def small(tmp_path: Path) -> Any:
    """Makes sweeps with a storage of their own."""

    def make(**changes: Any) -> Sweep:
        storage = str(tmp_path / "sweep.db")
        return Sweep(
            **(
                {
                    "task": "digits",
                    "model": "mlp",
                    "space": {"p": (1, 2, 4)},
                    "fixed": {"epochs": 1},
                    "storage": storage,
                }
                | changes
            )
        )

    return make


def outcome(trial: Trial) -> Outcome:
    """What a training might have given."""
    p = trial.params.get("p", 4)
    return Outcome(
        (0.9 - p / 100 + trial.seed / 1000, 1000.0 / p)[: len(trial.objectives)], seconds=1.0, train_seconds=0.9
    )
