"""What people watch in binary training, layer by layer and epoch by epoch: how many signs of the tile flipped, their balance, the alphas.

Latent weights are inertia, and the learning rate sets how often signs flip (Helwegen et al., https://arxiv.org/abs/1906.02107): a healthy flip ratio
falls with the learning rate and is near zero at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tbn.layers import TiledLayer

BINS = 16


def tiles_of(model: nn.Module) -> dict[str, Tensor]:
    """The tile of each tiled or binary layer: (q,) of +-1, detached."""
    return {name: layer.tile for name, layer in model.named_modules() if isinstance(layer, TiledLayer)}


@torch.no_grad()
def signals(model: nn.Module, before: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """One epoch's signals by layer.

    Args:
        model: after the epoch.
        before: ``tiles_of`` it at the epoch's start.

    Returns:
        by layer: flip_ratio (0..1, share of the tile's signs that changed), balance (-1..1, mean sign), alphas (counts of 16 equal bins from
        alpha_low to alpha_high).
    """
    found = {}
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, TiledLayer)}
    for name, layer in layers.items():
        tile, alphas = layer.tile, layer.alphas.cpu()
        low, high = float(alphas.min()), float(alphas.max())
        found[name] = {
            "flip_ratio": round(float((tile != before[name]).float().mean()), 7),
            "balance": round(float(tile.float().mean()), 7),
            "alphas": torch.histc(alphas, BINS, low, high).int().tolist() if high > low else [len(alphas)],
            "alpha_low": round(low, 7),
            "alpha_high": round(high, 7),
        }
    return found
