"""Integer networks: a trained tiled network with uint8 activations and int32 sums, as a microcontroller computes it.

``quantise(model, task)`` makes one, ``run(network, inputs)`` is the exact reference, ``calibrate(model, inputs)`` the ranges alone. Names
are loaded at first use: the network, its reference and its C source need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tbn.integer.network import IntegerNetwork
    from tbn.integer.quantising import quantise
    from tbn.integer.ranges import calibrate
    from tbn.integer.reference import run

__all__ = ["IntegerNetwork", "calibrate", "quantise", "run"]

_HOME = {"IntegerNetwork": "network", "calibrate": "ranges", "quantise": "quantising", "run": "reference"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tbn.integer' has no attribute {name!r}")
    return getattr(import_module(f"tbn.integer.{_HOME[name]}"), name)
