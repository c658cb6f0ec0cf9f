"""How large a network would be, before any of its weights is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tbn.build import build
from tbn.config import RunConfig
from tbn.size import Summary, summary


def sketch(config: RunConfig, arguments: Mapping[str, Any], input_shape: Sequence[int]) -> Summary:
    """Sizes of the network that ``tbn train`` would start with.

    Args:
        config: the run's.
        arguments: ``Task.model_arguments``.
        input_shape: of one input, for the multiply-adds.

    Raises:
        TBNError: as ``tbn.build.build``.
    """
    with torch.device("meta"):
        network, _ = build(config, arguments)
        return summary(network, input_shape)
