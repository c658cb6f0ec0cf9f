"""What a run's network says of its test set: computed once, then read back from the cache without torch.

| kind | ``outputs`` | ``answers``, in the shape of ``targets`` |
|---|---|---|
| images, points | (n, classes) float32, before the softmax | (n,) the largest class |
| segmentation | (n, height, width) integers | the outputs |
| parts, scenes | (n, points) integers; a part of the shape's own category | the outputs |
| forecasting | (n, horizon, channels) float32, standardised | the outputs |
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbn import runs
from tbn.errors import TBNError
from tbn.files import write_bytes
from tbn.tasks import IGNORED, Task
from tbn.tasks.of_run import task_of

ENGINES = ("packed", "latent", "native")
SCORED = ("images", "points")  # kinds whose network gives a score a class
LARGEST = 64 * 2**20  # bytes of inputs that are looked at; of a larger test set an evenly spaced part
CACHED = 256 * 2**20  # bytes of answers that the cache keeps, the newest
BATCH = 100
FORMAT = 1
Array = NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """The test samples ``indices`` and what one network says of them.

    Attributes:
        run, task, kind: ids and the kind of task (``tbn.scores.KINDS``).
        engine: what computed them; "latent" where "packed" was asked of a full-precision run.
        source, credit: which data this is, and whose.
        inputs: (n, ...) raw, as ``tbn.tasks.base`` has them for the kind.
        targets: (n, ...) integers, 255 where nothing counts; float32 with NaN for forecasts.
        outputs: see the table above.
        classes: in the order of the labels; the channels of a forecast.
        indices: (n,) int64, places in the test set, rising.
        total: samples of the whole test set.
        categories: of kind "parts", the shape categories with their part labels.
    """

    run: str
    task: str
    kind: str
    engine: str
    source: str
    credit: str
    inputs: Array = field(repr=False)
    targets: Array = field(repr=False)
    outputs: Array = field(repr=False)
    classes: tuple[str, ...] = ()
    indices: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    total: int = 0
    categories: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def answers(self) -> Array:
        """What the network says, in the shape of ``targets``."""
        return self.outputs.argmax(1) if self.kind in SCORED else self.outputs

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(n, classes): the softmax of the scores; of the kinds images and points only."""
        if self.kind not in SCORED:
            raise TBNError(f"a network for {self.kind} is kept without probabilities", "use answers")
        return softmax(self.outputs)

    @cached_property
    def per_sample(self) -> NDArray[np.float64]:
        """(n,): the share of labels that are right, 0..1 (1 where nothing counts); of a forecast its mean squared error (NaN where unknown)."""
        rest = tuple(range(1, self.targets.ndim))
        if self.kind == "forecasting":
            known = ~np.isnan(self.targets)
            squares = np.where(known, np.square(self.outputs - np.where(known, self.targets, 0)), 0).sum(rest)
            count = known.sum(rest)
            return np.where(count, squares / np.maximum(count, 1), np.nan)
        counted = self.targets != IGNORED if rest else np.ones(len(self.targets), bool)
        right = ((self.answers == self.targets) & counted).sum(rest)
        count = counted.sum(rest)
        return np.where(count, right / np.maximum(count, 1), 1.0)


def softmax(scores: Array) -> NDArray[np.float64]:
    """(..., classes) scores as probabilities, which add up to 1 over the classes."""
    powers = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(-1, keepdims=True)
    return shares


def predict(run: runs.Run | str | Path, count: int | None = None, engine: str = "packed") -> Predictions:
    """Send a run's test set through its network, or read back what came out last time.

    What came out is kept in the cache folder under the time and size of the model's file; reading it needs no torch.

    Args:
        run: a complete run, its id or its folder.
        count: so many test samples, evenly spaced; None takes all of them, or as many as 64 MB hold.
        engine: "packed" (dense weights of a full-precision run), "latent" or "native" (packed, fused, with the C kernel).

    Raises:
        TBNError: the run is not complete or keeps no such weights, its data is not there, or ``count`` or ``engine`` makes no sense.
    """
    if engine not in ENGINES:
        raise TBNError(f"engine {engine!r} is not one of {', '.join(ENGINES)}", "use packed")
    if count is not None and count < 1:
        raise TBNError(f"count={count} leaves no test sample", "use 1 or more, or None for all")
    found = runs.complete(run.path if isinstance(run, runs.Run) else run)
    if not found.config["p"]:
        engine = "latent"
    weights = found.path / ("model.safetensors" if engine == "latent" else "packed.safetensors")
    if not weights.is_file():
        raise TBNError(f"run {found.id!r} keeps no {weights.name}, so nothing can be predicted", "train it again")
    task = task_of(found)
    indices = _chosen(task, count)
    inputs, targets = task.test_inputs[indices], task.test_targets[indices]
    place = _place(weights, engine, task, len(indices))
    outputs = _read(place, indices)
    if outputs is None:
        part = replace(task, test_inputs=inputs, test_targets=targets)
        outputs = _computed(found, engine, part)
        _write(place, indices, outputs)
    return Predictions(
        found.id, task.name, task.kind, engine, task.source, task.credit, inputs, targets, outputs, task.classes, indices, len(task.test_targets),
        tuple((task.categories or {}).items()),
    )  # fmt: skip


def _chosen(task: Task, count: int | None) -> NDArray[np.int64]:
    """Places in the test set, evenly spaced."""
    total = len(task.test_targets)
    if count is None:
        shapes = (task.test_inputs.shape[1:], task.test_targets.shape[1:])
        count = max(16, LARGEST // (4 * sum(int(np.prod(shape)) for shape in shapes)))
    return np.unique(np.linspace(0, total - 1, min(count, total)).astype(np.int64))


def _place(weights: Path, engine: str, task: Task, count: int) -> Path:
    """The cache file for these weights, data and number of samples."""
    from tbn.export.run import cache_root

    state, total = weights.stat(), len(task.test_targets)
    parts = (FORMAT, weights.resolve(), state.st_mtime_ns, state.st_size, engine, task.name, task.source, total, count)
    return cache_root() / "predictions" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.npz"


def _read(path: Path, indices: NDArray[np.int64]) -> Array | None:
    """The outputs kept for these samples; None where there are none, or the file is damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            outputs: Array = kept["outputs"]
            return outputs if np.array_equal(kept["indices"], indices) and len(outputs) == len(indices) else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, indices: NDArray[np.int64], outputs: Array) -> None:
    """Keep the outputs, and drop the oldest files beyond ``CACHED`` bytes. A cache that cannot be written is only slower."""
    data = io.BytesIO()
    np.savez_compressed(data, indices=indices, outputs=outputs)
    try:
        write_bytes(path, data.getvalue())
    except TBNError:
        return
    held = 0
    for file in sorted(path.parent.glob("*.npz"), key=_age):
        held += _size(file)
        if held > CACHED and file != path:
            file.unlink(missing_ok=True)


def _age(file: Path) -> float:
    """Newest first; a file that another process has just removed comes last."""
    try:
        return -file.stat().st_mtime
    except OSError:
        return 0.0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _computed(run: runs.Run, engine: str, task: Task) -> Array:
    """The outputs for the task's test samples, by the network itself."""
    import torch

    from tbn.batches import Split
    from tbn.objectives import Objective
    from tbn.restore import deployed_model, latent_model, outputs_of

    model = latent_model(run) if engine == "latent" else deployed_model(run)
    if engine == "native":
        from tbn.collapse import collapse
        from tbn.fusion import fuse

        model = fuse(collapse(model)[0])
    if task.kind in (*SCORED, "forecasting"):
        return np.concatenate(list(outputs_of(model, task, batch_size=BATCH)))
    objective, data = Objective(task), Split(task.test_inputs, task.test_targets, task)
    small = np.uint8 if len(task.classes) <= IGNORED else np.int32
    return np.concatenate([
        objective.predictions(torch.from_numpy(outputs), inputs).numpy().astype(small)
        for outputs, (inputs, _) in zip(outputs_of(model, task, batch_size=BATCH), data.batches(BATCH), strict=True)
    ])  # fmt: skip
