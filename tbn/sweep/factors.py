"""A tiling factor for each layer under a budget: what every choice would take, and the best ones by an integer programme."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Any

from tbn.errors import TBNError

if TYPE_CHECKING:
    from tbn.config import RunConfig
    from tbn.tasks import Task

FACTORS = (1, 2, 4, 8, 16, 32)
UNITS = {"": 1, "B": 1, "kB": 1000, "KB": 1000, "KiB": 1024, "MB": 10**6, "MiB": 1024**2}
LEAST_SHARE = 0.02  # of the largest sensitivity: below that is noise, and no tile is free


@dataclass(frozen=True)
class Choice:
    """One tiling factor of one layer: bytes of tile and alphas, multiply-accumulates of one input."""

    p: int
    bytes: int
    macs: int


@dataclass(frozen=True)
class Table:
    """A network and what its layers may take.

    Attributes:
        model_args: that make it.
        layers: name -> its choices, the smallest factor first; the last layer has p = 1 alone (``tbn.convert``).
        other_bytes: biases, norms, layers that keep full precision and whatever else is stored.
    """

    model_args: Mapping[str, Any]
    layers: Mapping[str, tuple[Choice, ...]]
    other_bytes: int

    def bytes(self, factors: Mapping[str, int]) -> int:
        """All that the packed file's tensors take."""
        return self.other_bytes + sum(self._choice(name, p).bytes for name, p in factors.items())

    def macs(self, factors: Mapping[str, int]) -> int:
        """Multiply-accumulates of one input, equal rows computed once."""
        return sum(self._choice(name, p).macs for name, p in factors.items())

    @property
    def smallest(self) -> int:
        """Bytes with the largest factor everywhere."""
        return self.other_bytes + sum(min(choice.bytes for choice in choices) for choices in self.layers.values())

    def uniform(self, p: int) -> dict[str, int]:
        """The same factor for all layers, or the largest below it that a layer can take."""
        return {name: max(choice.p for choice in choices if choice.p <= p) for name, choices in self.layers.items()}

    def _choice(self, name: str, p: int) -> Choice:
        return next(choice for choice in self.layers[name] if choice.p == p)


def parse_bytes(text: str) -> int:
    """``3200B``, ``3200``, ``3.2kB``, ``2KiB`` as bytes.

    Raises:
        TBNError: it reads as none of these.
    """
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if not found or found[2] not in UNITS or round(float(found[1]) * UNITS[found[2]]) < 1:
        raise TBNError(f"budget {text!r} is not a number of bytes", "write it as 3200B, 3.2kB or 4KiB")
    return round(float(found[1]) * UNITS[found[2]])


def table(config: RunConfig, task: Task) -> Table:
    """What each layer takes with each factor that divides it, without making its weights.

    Raises:
        TBNError: the network cannot be built (``tbn.sketch``).
    """
    from dataclasses import replace

    from tbn.sketch import sketch

    binary = sketch(replace(config, p=1, per_layer={}), task.model_arguments, task.input_shape)
    choices: dict[str, dict[int, Choice]] = {}
    for p in FACTORS:
        fitting = [layer for layer in binary.layers[:-1] if layer.p and p <= layer.shape[0] and layer.weights % p == 0]
        able, whole = {layer.name: p for layer in fitting}, binary
        if p > 1 and able:
            whole = sketch(replace(config, p=1, per_layer=able), task.model_arguments, task.input_shape)
        for layer in whole.layers:
            if layer.p == p and (p == 1 or layer.name in able):
                choices.setdefault(layer.name, {})[p] = Choice(p, layer.bytes, layer.macs_computed or 0)
    other = binary.other_bytes + sum(layer.bytes for layer in binary.layers if layer.p == 0)
    return Table(config.model_args, {name: tuple(found.values()) for name, found in choices.items()}, other)


def costs(found: Table, sensitivity: Mapping[str, float]) -> dict[str, dict[int, float]]:
    """What each choice costs in loss: a layer's sensitivity for every doubling of its factor."""
    least = LEAST_SHARE * max([*(abs(value) for value in sensitivity.values()), 1e-9])
    return {
        name: {choice.p: log2(choice.p) * max(sensitivity.get(name, 0.0), least) for choice in choices}
        for name, choices in found.layers.items()
    }


def propose(
    found: Table,
    sensitivity: Mapping[str, float],
    limit_bytes: float,
    limit_macs: float | None = None,
    count: int = 1,
) -> list[dict[str, int]]:
    """The ``count`` cheapest ways (by ``costs``) to choose a factor for each layer under the limits, the best first; [] where none fits.

    A 0/1 variable says whether a layer takes a factor; each answer is forbidden before the next is asked for.
    """
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp

    places = [(name, choice) for name, choices in found.layers.items() for choice in choices]
    priced = costs(found, sensitivity)
    price = np.array([priced[name][choice.p] for name, choice in places])
    each = np.array([[float(name == layer) for name, _ in places] for layer in found.layers])
    rules = [
        LinearConstraint(each, 1, 1),
        LinearConstraint(np.array([[choice.bytes for _, choice in places]]), -np.inf, limit_bytes - found.other_bytes),
    ]
    if limit_macs is not None:
        rules.append(LinearConstraint(np.array([[choice.macs for _, choice in places]]), -np.inf, limit_macs))
    answers: list[dict[str, int]] = []
    while len(answers) < count:
        answer = milp(price, integrality=np.ones(len(places)), bounds=Bounds(0, 1), constraints=rules)
        if answer.x is None:
            break
        taken = np.round(answer.x)
        answers.append({name: choice.p for (name, choice), on in zip(places, taken, strict=True) if on})
        rules.append(LinearConstraint(taken[None], -np.inf, len(found.layers) - 1))
    return answers


def best_uniform(found: Table, limit_bytes: float, limit_macs: float | None = None) -> dict[str, int] | None:
    """The smallest factor that, taken by all layers, fits; None where none does."""
    for p in FACTORS:
        factors = found.uniform(p)
        if found.bytes(factors) <= limit_bytes and (limit_macs is None or found.macs(factors) <= limit_macs):
            return factors
    return None


def contradiction(tables: Sequence[Table], limit_bytes: int) -> TBNError:
    """The error of a budget that nothing fits: it says the smallest possible."""
    least = min(tables, key=lambda found: found.smallest)
    args = ", ".join(f"{name}={value}" for name, value in least.model_args.items())
    return TBNError(
        f"nothing fits {limit_bytes:,} bytes: the smallest possible is {least.smallest:,} bytes ({args}, the largest factor in every layer)",
        f"allow --budget {least.smallest}B, or offer smaller widths",
    )
