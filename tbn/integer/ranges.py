"""The range that each tensor's codes have to cover, measured on real inputs.

A range clips what is rare: of the candidate limits the one with the smallest squared error of the codes is taken.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tbn.errors import TBNError
from tbn.integer.graph import steps_of
from tbn.integer.steps import INPUT, PoolStep, Step, SwapStep, ViewStep

BATCH = 64
SAMPLES = 2**17  # values of a tensor that are looked at
SHARES = tuple(share / 40 for share in range(8, 41))  # of the largest value: candidates for the limit
Range = tuple[float, float]


def calibrate(model: nn.Module, inputs: Tensor) -> Mapping[str, Range]:
    """Ranges by tensor, each containing 0.

    Args:
        model: packed or dense, in eval mode.
        inputs: (samples, *shape) float32 as the network gets them; some hundred training samples are enough.

    Raises:
        TBNError: the model has a part without an integer twin, or its values are not finite.
    """
    if not len(inputs):
        raise TBNError("there are no inputs to calibrate on", "give some hundred training samples")
    return measure(steps_of(model, tuple(inputs.shape[1:])), inputs)


@torch.no_grad()
def measure(steps: tuple[Step, ...], inputs: Tensor) -> Mapping[str, Range]:
    """Ranges of the steps that have one of their own; the last one gives int32, and has none."""
    seen: dict[str, list[Tensor]] = {step.name: [] for step in steps[:-1] if has_range(step)}
    numbers = torch.Generator().manual_seed(0)
    for batch in torch.split(inputs, BATCH):
        values = {INPUT: batch}
        for step in steps:
            values[step.name] = step(*(values[source] for source in step.sources))
            if step.name in seen:
                flat = values[step.name].flatten().float()
                share = SAMPLES * len(batch) // len(inputs)
                if share < flat.numel():  # drawn, for a stride would meet the same channels and pixels again and again
                    flat = flat[torch.randint(flat.numel(), (share,), generator=numbers)]
                seen[step.name].append(flat)
    return {name: best_range(name, torch.cat(parts)) for name, parts in seen.items()}


def has_range(step: Step) -> bool:
    """Whether a step's codes have a scale of their own; those of a view, of swapped axes and of a maximum are the source's."""
    return not isinstance(step.what, ViewStep | SwapStep) and not (
        isinstance(step.what, PoolStep) and step.what.largest
    )


def best_range(name: str, values: Tensor) -> Range:
    """The limits (low <= 0 <= high) whose 256 codes give the values back with the smallest mean squared error."""
    if not values.isfinite().all():
        raise TBNError(f"'{name}' has values that are not finite", "train the run again with a lower learning rate")
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if low == high:
        return 0.0, 1.0
    candidates = [(low * share, high * share) for share in SHARES]
    return min(candidates, key=lambda limits: squared_error(values, *limits))


def squared_error(values: Tensor, low: float, high: float) -> float:
    """Mean squared error of values that become codes of a range."""
    scale, zero = coding(low, high)
    back = ((values / scale).round() + zero).clamp(0, 255).sub(zero).mul(scale)
    return float((back - values).square().mean())


def coding(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of a range; 0 is a code."""
    scale = (high - low) / 255
    return scale, min(255, max(0, round(-low / scale)))
