"""What one run trains and how: checked once, when it is made."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

import tbn.models
import tbn.tasks
from tbn.convert import TilingConfig
from tbn.errors import TBNError
from tbn.recipes import min_layer_size, recipe

PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed", "bf16-true")
TILING = (
    "p",
    "min_layer_size",
    "alpha",
    "alpha_source",
    "alpha_init",
    "exclude",
    "per_layer",
    "order",
    "estimator",
    "standardise",
)


@dataclass(frozen=True)
class RunConfig:
    """What is trained and how. Checked when it is made; None takes the recipe's or the task's default and is filled in.

    Attributes:
        task, model: names of the registries; ``task_args`` and ``model_args`` go to them.
        p: tiling factor; 0 trains full precision (fp32), 1 the binary-weight network.
        min_layer_size, alpha, alpha_source, alpha_init, exclude, per_layer, order, estimator, standardise: as in ``TilingConfig``.
        recipe: name of the hyper-parameters; epochs, batch_size, lr, label_smoothing and augment override it.
        batch_size: samples of one optimiser step, over all devices and ``accumulate`` parts.
        accumulate: parts that a device computes its share of a batch in, one after the other.
        ema: decay of an exponential moving average of the weights, which then is the model that is tested and kept; 0 is off.
        progressive: share of the epochs over which p is raised, from 1 in steps (p = 8: 1, 2, 4, 8); 0 trains with p from the start.
        norm_batches: so many training batches re-estimate the statistics of the BatchNorms behind the last epoch; 0 keeps the running ones.
        warm_start: run (id or folder) or .safetensors file whose weights the network starts from; dense weights become the latent ones.
        teacher: run (id or folder) whose outputs are learned beside the targets, with weight ``distillation`` at ``temperature``.
        data: "auto", "full" or "embedded" (see ``tbn.tasks.create``); ``data_root`` is the folder of full sets.
        limit: at most so many training and test samples, evenly spaced, for a quick look; the result says so.
        device, devices, nodes, precision: "cpu" or "cuda"; processes of each machine, machines; one of ``PRECISIONS``.
    """

    task: str
    model: str
    p: int = 4
    min_layer_size: int | None = None
    alpha: str = "tile"
    alpha_source: str = "separate"
    alpha_init: str | None = None
    exclude: tuple[str, ...] = ()
    per_layer: dict[str, int] = field(default_factory=dict)
    model_args: dict[str, Any] = field(default_factory=dict)
    task_args: dict[str, Any] = field(default_factory=dict)
    recipe: str = "adamw"
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    label_smoothing: float | None = None
    augment: str | None = None
    accumulate: int = 1
    ema: float = 0.0
    order: str = "rows"
    estimator: str = "identity"
    standardise: bool = False
    progressive: float = 0.0
    norm_batches: int = 0
    warm_start: str | None = None
    teacher: str | None = None
    distillation: float = 0.5
    temperature: float = 2.0
    seed: int = 0
    data: str = "auto"
    data_root: str | None = None
    limit: int | None = None
    device: str = "cpu"
    devices: int = 1
    nodes: int = 1
    precision: str = "32-true"

    def __post_init__(self) -> None:
        self._check_names()
        defaults = recipe(self.recipe)
        filled: dict[str, Any] = {"epochs": defaults.epochs, "batch_size": defaults.batch_size, "lr": defaults.lr}
        filled |= {"label_smoothing": defaults.label_smoothing, "augment": defaults.augmentation}
        filled |= {
            "alpha_init": "weight" if self.warm_start and self.alpha_source == "separate" else defaults.alpha_init
        }
        filled |= {"min_layer_size": min_layer_size(self.task, self.recipe)}
        for name, value in filled.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        object.__setattr__(self, "exclude", tuple(self.exclude))
        counts = {"epochs": 1, "batch_size": 1, "seed": 0, "accumulate": 1, "devices": 1, "nodes": 1, "norm_batches": 0}
        for name, least in counts.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise TBNError(
                    f"{name}={value!r} is not a whole number of at least {least}", f"use {name}={least} or more"
                )
        if not isinstance(self.lr, int | float) or not 0 < self.lr < math.inf:
            raise TBNError(f"lr={self.lr!r} is not a positive number", f"the recipe's is {defaults.lr}")
        limits = (("label_smoothing", 0.999), ("ema", 0.99999), ("distillation", 1.0), ("progressive", 0.9))
        for name, high in limits:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
                raise TBNError(f"{name}={value!r} is not a number from 0 to {high:g}", f"use e.g. {name}=0.1")
        if not isinstance(self.temperature, int | float) or not 0 < self.temperature < math.inf:
            raise TBNError(f"temperature={self.temperature!r} is not a positive number", "use temperature=2")
        if self.p != 0 or isinstance(self.p, bool):
            self.tiling()
        if self.device != "cpu" and not (self.device.startswith("cuda") and torch.cuda.is_available()):
            raise TBNError(
                f"device {self.device!r} is not on this machine", "use cpu" + ", cuda" * torch.cuda.is_available()
            )

    def _check_names(self) -> None:
        of_task, of_model = tbn.tasks.kind_of(self.task), tbn.models.kind_of(self.model)
        recipe(self.recipe)
        if of_task != of_model:
            raise TBNError(
                f"model {self.model!r} is for tasks of kind {of_model}, {self.task!r} is of kind {of_task}",
                f"use {', '.join(tbn.models.names(of_task))}",
            )
        if self.precision not in PRECISIONS:
            raise TBNError(f"precision={self.precision!r} is unknown", f"choose one of {', '.join(PRECISIONS)}")

    def tiling(self) -> TilingConfig:
        """The tiling part (p >= 1)."""
        return TilingConfig(
            **{name: getattr(self, name) for name in TILING if name in TilingConfig.__dataclass_fields__}
        )

    def load_task(self) -> tbn.tasks.Task:
        """The data.

        Raises:
            TBNError: it is not found or not well-formed.
        """
        return tbn.tasks.create(self.task, self.data_root, self.data, self.limit, **self.task_args)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "exclude": list(self.exclude)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """From a run's ``config.json``; keys of other versions are left out."""
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
