"""What a budget search is asked for, what it chooses between, and what it answers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tbn.errors import TBNError
from tbn.runs import Run
from tbn.sweep.limits import Limits, Taken

if TYPE_CHECKING:
    import pandas as pd

    from tbn.config import RunConfig
    from tbn.tasks import Task

USUAL = {  # the model that a kind of task is fitted with, if none is named
    "images": "micro_cnn", "segmentation": "unet", "points": "pointnet_cls", "parts": "pointnet_part", "scenes": "pointnet_sem",
    "forecasting": "forecaster_mlp",
}  # fmt: skip
SCALED = ("width", "channels", "hidden", "dim")  # arguments that make a network wider
SCALES = (1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)


@dataclass(frozen=True)
class Goal:
    """What is wanted. Checked when it is made.

    Attributes:
        task, model: names of the registries; no model is the usual one of the task's kind.
        limits: bytes of the packed file's tensors, and what a board has.
        fixed: further options of ``RunConfig`` for all trainings.
        widths: arguments of the model to choose from; by default parts of its usual width.
        seeds: full trainings of the winner.
        short_epochs: of a short training in the first round; by default a fifth of the full ones.
    """

    task: str
    limits: Limits
    model: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    widths: tuple[Mapping[str, Any], ...] = ()
    seeds: int = 1
    short_epochs: int | None = None

    def __post_init__(self) -> None:
        import tbn.models
        import tbn.tasks

        kind = tbn.tasks.kind_of(self.task)
        object.__setattr__(self, "model", self.model or USUAL[kind])
        tbn.models.kind_of(self.model)
        for name, value in (("seeds", self.seeds), ("short_epochs", self.short_epochs or 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise TBNError(f"{name}={value!r} is not a whole number of at least 1", f"use {name}=1 or more")
        if taken := {"p", "per_layer", "seed", "min_layer_size"} & set(self.fixed):
            raise TBNError(f"{sorted(taken)[0]!r} is what a budget chooses", "leave it out")

    def config(
        self, model_args: Mapping[str, Any], layers: Mapping[str, int] | None = None, **changes: Any
    ) -> RunConfig:
        """The configuration of a network with these factors (all binary by default)."""
        from tbn.config import RunConfig

        tiled = {name: p for name, p in (layers or {}).items() if p > 1}
        options = {**self.fixed, "model_args": {**self.fixed.get("model_args", {}), **model_args}}
        return RunConfig(**{"task": self.task, "model": self.model, "p": 1, "per_layer": tiled, **options, **changes})


@dataclass(frozen=True)
class Candidate:
    """A network that fits: its arguments and factors, and what the short trainings said (more is better)."""

    model_args: Mapping[str, Any]
    layers: Mapping[str, int]
    bytes: int
    uniform: bool
    scores: tuple[float, ...] = ()
    goodness: float = float("-inf")


@dataclass(frozen=True)
class Found:
    """The answer to a goal.

    Attributes:
        best, uniform: the winner, and the best candidate with one factor for all layers.
        candidates: all of them, the best first, as a frame.
        sensitivity: layer -> loss that it costs at p = 8.
        runs: full trainings of the winner; ``uniform_runs`` of the other one, where that was asked for.
        taken: what the winner takes of the board, if there is one.
    """

    goal: Goal
    best: Candidate
    uniform: Candidate | None
    candidates: pd.DataFrame
    sensitivity: Mapping[str, float]
    runs: tuple[Run, ...]
    uniform_runs: tuple[Run, ...] = ()
    taken: Taken | None = None


def widths(goal: Goal, task: Task) -> Sequence[Mapping[str, Any]]:
    """The arguments to choose from, the narrowest first.

    Raises:
        TBNError: the model has no argument that makes it wider.
    """
    if goal.widths:
        return goal.widths
    from tbn.models import _builder

    given = goal.fixed.get("model_args", {})
    for name, parameter in inspect.signature(_builder(goal.model)).parameters.items():
        if name in SCALED:
            usual = given.get(name, parameter.default)
            step = 8 if name == "dim" else 2
            found = {str(_scaled(usual, scale, step)): {name: _scaled(usual, scale, step)} for scale in SCALES}
            return list(found.values())
    raise TBNError(f"it is not known what makes {goal.model!r} wider", "say it: --width NAME=16,24,32")


def _scaled(value: Any, scale: float, step: int) -> Any:
    if isinstance(value, list | tuple):
        return [_scaled(part, scale, step) for part in value]
    return max(step, step * round(value * scale / step))


def describe(one: Candidate) -> str:
    """A candidate in words."""
    tiled = ", ".join(f"{name} p={p}" for name, p in one.layers.items() if p > 1) or "all binary"
    return f"{arguments(one.model_args)}; {tiled}; {one.bytes:,} bytes"


def arguments(model_args: Mapping[str, Any]) -> str:
    """The model's arguments in words."""
    return ", ".join(f"{name}={value}" for name, value in model_args.items()) or "the usual width"
