"""A packed model from elsewhere becomes a run: ``python -m tbn.adopt FILE --task TASK``.

The file is checked (``tbn.load``: format, sha256, shapes), its network is rebuilt from the registry, sent through the task's test set, and the run
folder that is left is like any other: it is on the trade-off, can be looked into, exported and put on a board. What only its training knows
(seed, epochs, lambda, latent weights) is not in it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tbn import models, runs, tasks
from tbn.errors import TBNError
from tbn.files import write_bytes, write_json

BATCH = 500
MOST_MB = 200  # of a file
MOST_WEIGHTS = 200_000_000  # of a network: nothing larger is built
NO_FILE = "make one with tbn.save(tbn.freeze(model), path), or take packed.safetensors of a run"


@dataclass(frozen=True)
class Described:
    """What a packed file says of itself.

    Attributes:
        model, arguments: of the registry.
        kind: of the tasks that it is for.
        layers: how many are packed; ``weights`` of all of them; ``p``: the largest tiling factor.
        alpha: "tile", or "layer" where every tile of a layer has one scale.
        bytes: of the file.
    """

    model: str
    arguments: Mapping[str, Any]
    kind: str
    layers: int
    weights: int
    p: int
    alpha: str
    bytes: int


def look(path: str | Path) -> Described:
    """Read the header of a packed file, without torch.

    Raises:
        TBNError: it is no packed file, of a model that is not in the registry, or of one that is too large.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise TBNError(f"{path.name} is no safetensors file ({error})", NO_FILE) from error
    if metadata.get("format") != "tbn":
        raise TBNError(f"{path.name} is a safetensors file, but not a packed tiled network", NO_FILE)
    try:
        told = json.loads(metadata["model"])
        layers = list(told["layers"].values())
        weights = sum(prod(int(size) for size in layer["shape"]) for layer in layers)
        p = max(int(layer["p"]) for layer in layers)
        single = all(int(layer["alphas"]) == 1 for layer in layers if int(layer["p"]) > 1)
        registry = told["registry"]
        name, arguments = (str(registry["name"]), dict(registry["kwargs"])) if registry else ("", {})
    except (KeyError, TypeError, ValueError) as error:
        raise TBNError(
            f"{path.name} has a header that makes no sense ({error!r})", "save it again with tbn.save"
        ) from error
    if not name:
        raise TBNError(
            f"{path.name} holds a model that is not in the registry", "load it in Python: tbn.load(path, into=model)"
        )
    if weights > MOST_WEIGHTS:
        raise TBNError(
            f"{path.name} is of {weights:,} weights and {MOST_WEIGHTS:,} can be taken in",
            "load it in Python with tbn.load",
        )
    alpha = "layer" if p > 1 and single else "tile"
    return Described(name, arguments, models.kind_of(name), len(layers), weights, p, alpha, path.stat().st_size)


def fits(described: Described, task: tasks.Task) -> str:
    """Why a model cannot take a task's inputs or answer in its classes, or "" where it can."""
    if described.kind != task.kind:
        return f"it is for tasks of kind {described.kind}, {task.name!r} is of kind {task.kind}"
    for name, wanted in task.model_arguments.items():
        held = described.arguments.get(name)
        if held is not None and _listed(held) != _listed(wanted):
            return f"its {name} is {held}, that of {task.name!r} is {wanted}"
    return ""


def _listed(value: Any) -> list[Any]:
    """A shape as a list, whatever held it."""
    return list(value) if isinstance(value, list | tuple) else [value]


def adopt(
    file: str | Path,
    task: str,
    task_args: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    root: Path | None = None,
    name: str | None = None,
) -> runs.Run:
    """Make a run of a packed file.

    Args:
        file: written by ``tbn.save``.
        task, task_args, data_root: what it is tested on.
        root: the runs folder.
        name: of the file, as its owner calls it.

    Raises:
        TBNError: as ``look`` and ``tbn.load``, or the model does not fit the task.
    """
    import torch

    from tbn import artifact
    from tbn.batches import Split
    from tbn.objectives import Objective, score_baselines
    from tbn.provenance import provenance
    from tbn.restore import outputs_of
    from tbn.size import summary

    file, started = Path(file), time.monotonic()
    described = look(file)
    data = tasks.create(task, data_root, **(task_args or {}))
    if reason := fits(described, data):
        raise TBNError(f"{name or file.name} does not fit: {reason}", "choose the task that it was trained on")
    with torch.device("meta"):
        made = sum(
            parameter.numel() for parameter in models.create(described.model, **described.arguments).parameters()
        )
    if made > MOST_WEIGHTS:
        raise TBNError(
            f"its arguments make {made:,} weights and {MOST_WEIGHTS:,} can be taken in",
            "load it in Python with tbn.load",
        )
    model = artifact.load(file)
    objective, split = Objective(data), Split(data.test_inputs, data.test_targets, data)
    metrics = objective.metrics()
    for outputs, (inputs, targets) in zip(outputs_of(model, data, batch_size=BATCH), split.batches(BATCH), strict=True):
        metrics.update(objective.predictions(torch.from_numpy(outputs), inputs), targets, inputs)
    config = {
        "task": task, "model": described.model, "p": described.p, "alpha": described.alpha, "seed": 0, "uploaded": name or file.name,
        "model_args": {key: value for key, value in described.arguments.items() if key not in data.model_arguments},
        "task_args": dict(task_args or {}), "data_root": None if data_root is None else str(data_root),
    }  # fmt: skip
    folder = runs.new_folder(config, root)
    write_json(folder / "config.json", config)
    write_bytes(folder / "packed.safetensors", file.read_bytes())
    result = {
        "run": folder.name,
        "task": {
            "name": data.name, "kind": data.kind, "metric": data.metric, "source": data.source, "train": len(data.train_targets),
            "test": len(data.test_targets), "credit": data.credit,
        },
        "model": described.model,
        "metrics": metrics.compute(),
        "baselines": score_baselines(data),
        "size": summary(model, data.input_shape).to_dict(),
        "seconds": round(time.monotonic() - started, 3),
        "provenance": provenance(),
    }  # fmt: skip
    write_json(folder / "result.json", result)
    return runs.Run(folder)


def main(argv: Sequence[str] | None = None) -> None:
    """The command: one JSON object on stdout; status 1 with the reason where the file is refused."""
    from tbn.jobs import Progress, here

    parser = argparse.ArgumentParser(prog="python -m tbn.adopt", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--task", required=True)
    parser.add_argument("--task-args", type=json.loads, default={}, help="a JSON object")
    parser.add_argument("--data-root")
    parser.add_argument("--name", help="of the file, as its owner calls it")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if (folder := here()) is not None:
        Progress(folder).update(0.1, f"{options.name or options.file.name} through the test set of {options.task}")
    try:
        run = adopt(options.file, options.task, options.task_args, options.data_root, name=options.name)
    except TBNError as error:
        print(json.dumps({"error": error.message, "fix": error.fix}))
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    if folder is not None:
        Progress(folder).update(1.0, run.id)
    print(json.dumps({"run": str(run.path), "metrics": (run.result or {})["metrics"]}))


if __name__ == "__main__":
    main()
