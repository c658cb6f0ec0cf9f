"""One answer, everywhere: a run's test set through any engine, compared with its reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kernels.cpu
import tbn.tasks
from tbn import runs
from tbn.batches import Split, edges
from tbn.collapse import collapse
from tbn.errors import TBNError
from tbn.fusion import fuse
from tbn.objectives import Objective
from tbn.restore import Outputs, deployed_model, latent_model, outputs_of, task_of

BATCH = 500
ENGINES = ("latent", "packed", "native", "triton", "onnx", "c", "board")


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one engine and how far its outputs are from the reference's.

    Attributes:
        metric: name of the one that the task is judged by.
        metrics: all of them by name (``tbn.scores``), over ``samples`` test inputs.
        reference: "latent", or "packed" where the latent weights were not kept (zoo).
        max_difference: largest absolute difference of an output from the reference.
        max_relative_difference: the same over the largest absolute output of the reference.
        instructions: per inference, where the engine counts them (emulated board), else None.
        precision: of the generated C (engines c and board), "integer" or "float32"; None elsewhere.
    """

    run: str
    engine: str
    metric: str
    metrics: dict[str, float]
    samples: int
    reference: str
    max_difference: float
    max_relative_difference: float
    seconds: float
    data_source: str
    instructions: float | None = None
    precision: str | None = None

    @property
    def score(self) -> float:
        """The value of ``metric``."""
        return self.metrics[self.metric]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; each metric is a key of its own, too."""
        return {**self.metrics, **asdict(self)}


def evaluate(
    run: str | Path,
    engine: str = "packed",
    *,
    root: Path | None = None,
    limit: int | None = None,
    progress: Callable[[float, str], None] | None = None,
    precision: str | None = None,
    board: str = "nucleo_f411re",
    port: str | None = "emulator",
) -> Evaluation:
    """Send the test set through one engine.

    Args:
        run: id or path of a complete run.
        engine: "latent" (training layers), "packed" (compute-once layers on the CPU, as ``tbn.load`` gives them), "native" (the same collapsed and
            fused, with the C kernel), "triton" (on an NVIDIA GPU), "onnx" (the exported ONNX file in ONNX Runtime), "c" (the generated C,
            compiled for this machine) or "board" (the same C on a board, which is flashed unless it runs it already).
        limit: only the first so many test inputs.
        progress: called with (fraction, message) where an engine is slow.
        precision: of the generated C: "integer", "float32", or None (integer where the model has a twin in whole numbers).
        board, port: of the engine "board": a name of ``tbn.boards``, and "emulator", a serial port or None for the board's only one.

    Raises:
        TBNError: unknown engine, run not complete, or the engine cannot run it here.
    """
    if engine not in ENGINES:
        raise TBNError(f"unknown engine {engine!r}", f"choose one of {', '.join(ENGINES)}")
    if limit is not None and limit < 1:
        raise TBNError(f"limit={limit} leaves no test input", "use 1 or more")
    found = runs.complete(run, root)
    if precision is not None and engine not in ("c", "board"):
        raise TBNError(
            f"the {engine} engine has no precision to choose", "leave --precision out, or use --engine c or board"
        )
    task = task_of(found)
    keeps = (found.path / "model.safetensors").is_file()
    reference = "latent" if keeps else "packed"
    if engine in ("packed", "native", "triton") and not found.config["p"]:
        raise TBNError(
            f"run {found.id!r} is full precision: there is nothing packed in it",
            "use --engine latent, onnx, c or board",
        )
    if engine == "triton" and not torch.cuda.is_available():
        raise TBNError("the triton engine needs an NVIDIA GPU, and this machine has none", "use --engine packed")
    if engine == "native" and (status := kernels.cpu.status()).partition(":")[0] in ("torch", "none"):
        raise TBNError(f"the native engine needs the C kernel, and there is none: {status}", "use --engine packed")
    counted: list[float] = []
    if engine == "board":
        outputs = _on_board(found, board, port, limit, precision, progress, counted)
    else:
        outputs = _outputs(found, engine, task, limit, progress, precision)
    expected = None if engine == reference else _outputs(found, reference, task, limit)
    objective, data = Objective(task), Split(task.test_inputs, task.test_targets, task)
    metrics, samples, difference, largest, seconds = objective.metrics(), 0, 0.0, 0.0, 0.0
    while True:
        started = time.monotonic()
        batch = next(outputs, None)
        seconds += time.monotonic() - started
        if batch is None:
            break
        index = torch.arange(samples, samples + len(batch))
        inputs, targets = next(data.batches(len(batch), index))
        metrics.update(objective.predictions(torch.from_numpy(batch), inputs), targets, inputs)
        samples += len(batch)
        wanted = batch if expected is None else next(expected)
        difference = max(difference, float(np.abs(batch - wanted).max()))
        largest = max(largest, float(np.abs(wanted).max()))
    return Evaluation(
        run=found.id,
        engine=engine,
        metric=task.metric,
        metrics=metrics.compute(),
        samples=samples,
        reference=reference,
        max_difference=difference,
        max_relative_difference=difference / max(largest, 1e-30),
        seconds=round(seconds, 3),
        data_source=task.source,
        instructions=counted[0] if counted else None,
        precision=_precision(found, precision) if engine in ("c", "board") else None,
    )


def _outputs(
    run: runs.Run,
    engine: str,
    task: tbn.tasks.Task,
    limit: int | None,
    progress: Callable[[float, str], None] | None = None,
    precision: str | None = None,
) -> Iterator[Outputs]:
    """An engine's outputs in batches of ``BATCH``; the work is done as they are asked for."""
    if engine == "c":
        from tbn.export.host import evaluate_on_host

        outputs = evaluate_on_host(run.path, precision=precision, limit=limit, progress=progress)
        yield from np.split(outputs, edges(len(outputs), BATCH)[1:-1])
        return
    if engine == "onnx":
        from tbn.export.onnx import runtime_model

        model: torch.nn.Module = runtime_model(run, task)
    else:
        model = latent_model(run) if engine == "latent" else deployed_model(run)
        if engine == "native":
            model = fuse(collapse(model)[0])
    yield from outputs_of(model, task, limit, "cuda" if engine == "triton" else "cpu", BATCH)


def _on_board(
    run: runs.Run,
    board: str,
    port: str | None,
    limit: int | None,
    precision: str | None,
    progress: Callable[[float, str], None] | None,
    counted: list[float],
) -> Iterator[Outputs]:
    """A board's outputs in batches of ``BATCH``; ``counted`` receives instructions per inference where they are counted."""
    from tbn.boards import evaluate_on_board

    outputs, instructions = evaluate_on_board(
        run.path, board, port, limit=limit, progress=progress, precision=precision
    )
    if instructions is not None:
        counted.append(instructions)
    yield from np.split(outputs, edges(len(outputs), BATCH)[1:-1])


def _precision(run: runs.Run, asked: str | None) -> str:
    """What the generated C of the run is in."""
    from tbn.export.run import export_run

    return export_run(run, precision=asked).precision
