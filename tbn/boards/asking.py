"""One input put to a board, and what others say of it: the same C on this computer, and the model in floating point.

A sample is as the task has it, raw: (channels, height, width) uint8 of an image, (lookback, channels) float32 of a forecast.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tbn import runs
from tbn.boards.console import Console
from tbn.boards.device import Outputs
from tbn.boards.selftest import check_model
from tbn.export.report import ExportReport
from tbn.predictions import softmax

Floats = npt.NDArray[np.float32]
Sample = npt.NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """What a board made of one sample.

    Attributes:
        outputs: in the unit of the model's, float32: (outputs,) of a classifier, (horizon, channels) of a forecast.
        raw: as the board sent it, (requests, outputs) int32 or float32.
        ticks: that the model took, over all requests (a forecast takes one a channel).
        seconds: from the question to the answer, with the line.
    """

    outputs: Floats
    raw: Outputs
    ticks: int
    seconds: float


def ask(console: Console, export: ExportReport, sample: Sample) -> Answer:
    """Send a sample to a board that runs ``export``.

    Raises:
        BoardError: it runs another model, refuses, or does not answer.
    """
    check_model(console.info or console.meet(), export)
    codes = export.encode(sample[None])
    begun = time.perf_counter()
    found = [console.infer(code) for code in codes]
    seconds = time.perf_counter() - begun
    raw = np.stack([outputs for outputs, _ in found])
    return Answer(export.decode(raw, sample[None])[0], raw, sum(ticks for _, ticks in found), seconds)


def same_c(export: ExportReport, sample: Sample) -> Outputs:
    """What the same C answers on this computer, (requests, outputs); it is compiled once, which takes some seconds.

    Raises:
        TBNError: there is no C compiler here.
    """
    from tbn.export.host import compile_model, run_library

    return run_library(compile_model(export), export, sample[None])


def float_model(run: runs.Run) -> Callable[[Sample], Floats]:
    """The run's model in floating point, with the signs and alphas that were trained: sample -> outputs, as ``Answer`` has them. Loads torch."""
    from tbn.restore import deployed_model, logits_of, task_of

    model, task = deployed_model(run), task_of(run)

    def answer(sample: Sample) -> Floats:
        one = replace(task, test_inputs=sample[None], test_targets=np.asarray(task.test_targets[:1]))
        found: Floats = logits_of(model, one)[0]
        return found

    return answer


def probabilities(outputs: Floats) -> Floats:
    """Softmax over the classes of (classes,) logits."""
    return softmax(outputs).astype(np.float32)
