"""Short trainings that decide between networks: in memory, scored on samples held out of the training set; the test set is not touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tbn.scores import METRICS
from tbn.threads import threads

if TYPE_CHECKING:
    from tbn.config import RunConfig
    from tbn.tasks import Task

HELD_OUT = 5  # one sample in so many


@dataclass(frozen=True)
class Quick:
    """What a short training came to on the held-out samples: mean loss, the task's metric, and the metric turned so that more is better."""

    loss: float
    score: float
    goodness: float


def held_out(task: Task) -> Task:
    """The task with every fifth training sample as its test set."""
    everything = np.arange(len(task.train_targets))
    apart = everything % HELD_OUT == HELD_OUT - 1
    learn, judge = everything[~apart], everything[apart]
    return replace(
        task,
        train_inputs=task.train_inputs[learn],
        train_targets=task.train_targets[learn],
        test_inputs=task.train_inputs[judge],
        test_targets=task.train_targets[judge],
    )


def train_quickly(config: RunConfig, task: Task, keep: Path | None = None) -> Quick:
    """Train as ``tbn.train.fit`` does, on one thread; leave nothing but the weights in ``keep`` (.safetensors), if given.

    Raises:
        TBNError: as ``tbn.train.fit``.
    """
    from safetensors.torch import save_file

    from tbn.loop import epoch, score
    from tbn.schedule import Schedule, settle_norms
    from tbn.start import launch, prepare

    assert config.epochs is not None
    with threads(1):
        fabric = launch(config)
        training, _ = prepare(fabric, config, task)
        training.model, training.optimizer = fabric.setup(training.network, training.optimizer)
        schedule = Schedule(config, (training.network, training.average))
        for number in range(1, config.epochs + 1):
            schedule.enter(number)
            epoch(training, number, lambda fraction, message: None)
        if config.norm_batches:
            settle_norms(training.tested, training.train, config.norm_batches, config.batch_size or 1)
        found = score(training.tested, training.test, training.objective, fabric)
    if keep is not None:
        save_file({name: tensor.contiguous() for name, tensor in training.network.state_dict().items()}, keep)
    value = found[task.metric]
    return Quick(found["loss"], value, value if METRICS[task.metric].higher_is_better else -value)
