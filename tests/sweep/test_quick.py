"""Short trainings are what ``fit`` does with the same options, in memory; and they judge by samples that they do not learn from."""

import numpy as np
import pytest

from tbn.config import RunConfig
from tbn.sweep.quick import HELD_OUT, held_out, train_quickly
from tbn.threads import threads
from tbn.train import fit


@pytest.mark.parametrize("options", [{}, {"progressive": 0.6, "estimator": "reste"}, {"norm_batches": 4, "ema": 0.9}])
def test_a_short_training_comes_to_what_fit_comes_to(options, tmp_path):
    config = RunConfig(task="digits", model="cnn", p=4, epochs=3, **options)
    with threads(1):
        metrics = fit(config, tmp_path).result["metrics"]
    found = train_quickly(config, config.load_task())
    assert (found.score, found.loss) == (metrics["accuracy"], metrics["loss"]) and found.goodness == found.score


def test_an_error_is_good_when_it_is_small():
    config = RunConfig(task="appliances", model="forecaster_mlp", epochs=1, data="embedded", limit=64)
    found = train_quickly(config, config.load_task())
    assert found.score > 0 and found.goodness == -found.score


def test_what_is_held_out_is_not_learned_and_the_test_set_is_not_touched():
    task = RunConfig(task="digits", model="cnn").load_task()
    judged = held_out(task)
    assert len(judged.test_targets) == len(task.train_targets) // HELD_OUT
    assert len(judged.train_targets) + len(judged.test_targets) == len(task.train_targets)
    there = {sample.tobytes() for sample in task.train_inputs}
    assert {sample.tobytes() for sample in np.concatenate([judged.train_inputs, judged.test_inputs])} == there
