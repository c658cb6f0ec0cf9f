"""One answer, everywhere: a run's test set through any engine, compared with its reference."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tbn import runs
from tbn.errors import TBNError
from tbn.restore import deployed_model, latent_model, logits_of, task_of

ENGINES = ("latent", "packed", "triton", "c", "board")


@dataclass(frozen=True)
class Evaluation:
    """Accuracy of one engine and how far its logits are from the reference's.

    Attributes:
        accuracy: 0..1 over ``samples`` test inputs.
        reference: "latent", or "packed" where the latent weights were not kept (zoo).
        max_difference: largest absolute difference of a logit from the reference.
        max_relative_difference: the same over the largest absolute logit of the reference.
        instructions: per inference, where the engine counts them (emulated board), else None.
    """

    run: str
    engine: str
    accuracy: float
    samples: int
    reference: str
    max_difference: float
    max_relative_difference: float
    seconds: float
    data_source: str
    instructions: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def evaluate(
    run: str | Path,
    engine: str = "packed",
    *,
    root: Path | None = None,
    limit: int | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Evaluation:
    """Send the test set through one engine.

    Args:
        run: id or path of a complete run.
        engine: "latent" (training layers), "packed" (compute-once torch), "triton" (the same on an NVIDIA GPU), "c" (the generated C,
            compiled for this machine) or "board" (the same C on the emulated board).
        limit: only the first so many test inputs.
        progress: called with (fraction, message) where an engine is slow.

    Raises:
        TBNError: unknown engine, run not complete, or the engine cannot run it here.
    """
    if engine not in ENGINES:
        raise TBNError(f"unknown engine {engine!r}", f"choose one of {', '.join(ENGINES)}")
    if limit is not None and limit < 1:
        raise TBNError(f"limit={limit} leaves no test input", "use 1 or more")
    found = runs.complete(run, root)
    task = task_of(found)
    labels = task.test_labels[:limit]
    keeps = (found.path / "model.safetensors").is_file()
    reference = "latent" if keeps else "packed"
    if engine in ("packed", "triton") and not found.config["p"]:
        raise TBNError(
            f"run {found.id!r} is full precision: there is nothing packed in it", "use --engine latent, c or board"
        )
    started = time.monotonic()
    instructions = None
    if engine == "latent":
        logits = logits_of(latent_model(found), task, limit)
    elif engine == "packed":
        logits = logits_of(deployed_model(found), task, limit)
    elif engine == "triton":
        if not torch.cuda.is_available():
            raise TBNError("the triton engine needs an NVIDIA GPU, and this machine has none", "use --engine packed")
        logits = logits_of(deployed_model(found), task, limit, "cuda")
    elif engine == "c":
        from tbn.export.host import evaluate_on_host

        logits = evaluate_on_host(found.path, limit=limit)
    else:
        from tbn.boards import evaluate_on_board

        logits, instructions = evaluate_on_board(found.path, limit=limit, progress=progress)
    seconds = round(time.monotonic() - started, 3)
    expected = logits
    if engine != reference:
        expected = logits_of(latent_model(found) if keeps else deployed_model(found), task, limit)
    difference = float(np.abs(logits - expected).max())
    return Evaluation(
        found.id,
        engine,
        float((logits.argmax(1) == labels).mean()),
        len(labels),
        reference,
        difference,
        difference / max(float(np.abs(expected).max()), 1e-30),
        seconds,
        task.source,
        instructions,
    )
