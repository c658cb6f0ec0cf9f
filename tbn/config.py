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
from tbn.recipes import MIN_LAYER_SIZE, PAPER_MIN_LAYER_SIZE, recipe


@dataclass(frozen=True)
class RunConfig:
    """What is trained and how. Checked when it is made; None takes the recipe's or the task's default and is filled in.

    Attributes:
        task, model: names of the registries; ``model_args`` go to the model.
        p: tiling factor; 0 trains full precision (fp32), 1 the binary-weight network.
        min_layer_size, alpha, alpha_source, exclude, per_layer: as in ``TilingConfig``.
        recipe: name of the hyper-parameters; epochs, batch_size and lr override it.
        data: "auto", "full" or "embedded" (see ``tbn.tasks.create``); ``data_root`` is the folder of full sets.
    """

    task: str
    model: str
    p: int = 4
    min_layer_size: int | None = None
    alpha: str = "tile"
    alpha_source: str = "separate"
    exclude: tuple[str, ...] = ()
    per_layer: dict[str, int] = field(default_factory=dict)
    model_args: dict[str, Any] = field(default_factory=dict)
    recipe: str = "adamw"
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    data: str = "auto"
    data_root: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        tbn.tasks.check(self.task)
        tbn.models.check(self.model)
        defaults = recipe(self.recipe)
        for name in ("epochs", "batch_size", "lr"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(defaults, name))
        if self.min_layer_size is None:
            object.__setattr__(self, "min_layer_size", MIN_LAYER_SIZE.get(self.task, PAPER_MIN_LAYER_SIZE))
        object.__setattr__(self, "exclude", tuple(self.exclude))
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise TBNError(
                    f"{name}={value!r} is not a whole number of at least {least}", f"use {name}={least} or more"
                )
        if not isinstance(self.lr, int | float) or not 0 < self.lr < math.inf:
            raise TBNError(f"lr={self.lr!r} is not a positive number", f"the recipe's is {defaults.lr}")
        if self.p != 0 or isinstance(self.p, bool):
            self.tiling()
        if self.device != "cpu" and not (self.device.startswith("cuda") and torch.cuda.is_available()):
            raise TBNError(
                f"device {self.device!r} is not on this machine", "use cpu" + ", cuda" * torch.cuda.is_available()
            )

    def tiling(self) -> TilingConfig:
        """The tiling part (p >= 1)."""
        kwargs: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("p", "min_layer_size", "alpha", "alpha_source", "exclude", "per_layer")
        }
        return TilingConfig(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "exclude": list(self.exclude)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """From a run's ``config.json``; keys of other versions are left out."""
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
