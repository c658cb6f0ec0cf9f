"""What a task is: real data, split, and what a network needs to know of it. Needs no torch: arrays are numpy's.

| kind | inputs of one sample | target of one sample | output of the network for a batch |
|---|---|---|---|
| images | (channels, height, width) | class | (batch, classes) |
| segmentation | (channels, height, width) | (height, width) classes | (batch, classes, height, width) |
| points | (3, points) x y z | class | (batch, classes) |
| parts | (4, points) x y z and the shape's category | (points,) parts | (batch, parts, points) |
| scenes | (9, points) x y z in the block, r g b, x y z in the room | (points,) classes | (batch, classes, points) |
| forecasting | (lookback, channels), standardised; see ``with_gaps`` | (horizon, channels), NaN where unknown | (batch, horizon, channels) |
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.scores import HEADLINE

IGNORED = 255  # label of a pixel or point that counts in no loss and no metric


class Samples(Protocol):
    """Inputs or targets: an array, or whatever gives one for an array of indices (files that are read when asked for)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> NDArray[Any]: ...


Baselines = Callable[[], Mapping[str, Samples]]


def no_baselines() -> Mapping[str, Samples]:
    """For a task without a trivial baseline."""
    return {}


@dataclass(frozen=True)
class Task:
    """Data and what a network needs to know of it.

    Attributes:
        name, kind: e.g. "fashion_mnist", "images".
        source: which data this is, in words.
        classes: class or part names in the order of the labels; of a forecasting task the names of the channels.
        train_inputs, test_inputs: (N, ...) as the table above says, raw; uint8 images, else float32.
        train_targets, test_targets: (N, ...) integers, or float32 for forecasting. 255 marks a pixel or point that is ignored.
        scale, offset: the network's input is ``raw * scale + offset``, float32.
        credit: licence and origin of the data.
        categories: of kind "parts", the shape categories, and the part labels that belong to each.
        baselines: what trivial methods predict for the test set, by name, each in the shape of ``test_targets``; they are scored as a network is.
    """

    name: str
    kind: str
    source: str
    classes: tuple[str, ...]
    train_inputs: Samples
    train_targets: Samples
    test_inputs: Samples
    test_targets: Samples
    scale: float
    offset: float
    credit: str
    categories: Mapping[str, tuple[int, ...]] | None = None
    baselines: Baselines = no_baselines

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train_inputs.shape[1:])

    @property
    def metric(self) -> str:
        """Name of the metric that the task is judged by (``tbn.scores``)."""
        return HEADLINE[self.kind]

    @property
    def model_arguments(self) -> dict[str, Any]:
        """What every model of this kind is built with; plain values, ready for JSON."""
        arguments: dict[str, Any] = {"input_shape": list(self.input_shape)}
        if self.kind == "forecasting":
            return arguments | {"output_shape": list(self.train_targets.shape[1:])}
        if self.categories is not None:
            arguments["categories"] = len(self.categories)
        return arguments | {"classes": len(self.classes)}


def majority(train_targets: Samples, test_targets: Samples) -> Baselines:
    """The baseline of classification and segmentation: always the training set's most frequent class."""

    def predict() -> Mapping[str, Samples]:
        counts: Counter[int] = Counter()
        for start in range(0, len(train_targets), 1000):
            values, times = np.unique(train_targets[start : start + 1000], return_counts=True)
            counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
        dense = len(train_targets.shape) > 1
        most = max((label for label in counts if not (dense and label == IGNORED)), key=lambda label: counts[label])
        return {"majority class": np.full(test_targets.shape, most, np.int64)}

    return predict


def thinned(task: Task, limit: int) -> Task:
    """The task with at most ``limit`` training and ``limit`` test samples, evenly spaced over all of them; its source says so.

    Raises:
        TBNError: ``limit`` is no whole number of at least 2.
    """
    check_whole("limit", limit, 2, 10**9)

    def chosen(samples: Samples) -> NDArray[Any]:
        return samples[np.unique(np.linspace(0, len(samples) - 1, limit).astype(int))]

    train, test = min(limit, len(task.train_targets)), min(limit, len(task.test_targets))
    return replace(
        task,
        source=f"{train:,} training and {test:,} test samples of the {task.source}",
        train_inputs=chosen(task.train_inputs),
        train_targets=chosen(task.train_targets),
        test_inputs=chosen(task.test_inputs),
        test_targets=chosen(task.test_targets),
        baselines=lambda: {name: chosen(predictions) for name, predictions in task.baselines().items()},
    )


def data_root(root: Path | None) -> Path | None:
    """The folder of full sets: the one given, or the environment's TBN_DATA."""
    if root is None and os.environ.get("TBN_DATA"):
        return Path(os.environ["TBN_DATA"])
    return root


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    """Raise TBNError unless an option's value is a whole number of ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise TBNError(f"{name}={value!r} is out of range", f"use a whole number from {low} to {high}")
