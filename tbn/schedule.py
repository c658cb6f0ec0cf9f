"""What changes from epoch to epoch beside the learning rate: a tiling factor that is raised, an estimator that grows steeper.

Both follow from the epoch's number alone, so that a resumed run goes on bit for bit. Progressive p: a network is trained binary first, then the
blocks are summed in ever longer tiles, 1, 2, 4, ... p; latent weights and alphas go on as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from tbn.batches import Split
from tbn.config import RunConfig
from tbn.estimators import power_at
from tbn.layers import TiledLayer


def chain(p: int) -> tuple[int, ...]:
    """The factors on the way to p, each a multiple of the one before: 8 gives (1, 2, 4, 8), 12 gives (1, 2, 4, 12)."""
    found, divisor = [1], 2
    while (rest := p // found[-1]) > 1:
        while rest % divisor:
            divisor += 1
        found.append(found[-1] * divisor)
    return tuple(found)


def factor_at(p: int, epoch: int, epochs: int, share: float) -> int:
    """The tiling factor of an epoch (from 1): raised in equal stages over the first ``share`` of the epochs, p itself in the last one."""
    factors = chain(p)
    if epoch >= epochs or not share:
        return p
    return factors[min(len(factors) - 1, int((epoch - 1) * (len(factors) - 1) / (share * epochs)))]


class Schedule:
    """What the tiled layers of a run go through.

    Args:
        config: the run's.
        models: with the layers, each with the factor that it ends with (the network, and its moving average).
    """

    def __init__(self, config: RunConfig, models: Iterable[nn.Module | None]) -> None:
        assert config.epochs is not None
        self.share, self.epochs = config.progressive, config.epochs
        modules = {id(module): module for model in models if model is not None for module in model.modules()}
        self.layers = [(layer, layer.p) for layer in modules.values() if isinstance(layer, TiledLayer)]

    def enter(self, epoch: int) -> None:
        """Set the layers for an epoch (from 1)."""
        for layer, p in self.layers:
            layer.p = factor_at(p, epoch, self.epochs, self.share)
            if layer.estimator == "reste":
                layer.power = power_at((epoch - 1) / max(1, self.epochs - 1))


@torch.no_grad()
def settle_norms(model: nn.Module, split: Split, batches: int, batch_size: int) -> None:
    """Re-estimate the running statistics of a model's BatchNorms for the weights that it has now: the mean over batches of training data.

    Signs that flip in the last steps leave running statistics behind; all else of the model stays in eval mode.

    Args:
        split: of training data; ``batches`` batches of ``batch_size`` samples in an order of their own, without augmentation.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
        norm.train()
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[: batches * batch_size]
    dtype = next((parameter.dtype for parameter in model.parameters()), torch.float32)
    if norms:
        for inputs, _ in split.batches(batch_size, order):
            model(inputs.to(dtype))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    model.eval()
