"""What the host does around a forecast is what the forecaster itself does."""

import numpy as np
import pytest
import torch
from torch import nn

from tbn import models
from tbn.integer.series import MASKED_SERIES, SERIES, forecasts, standardised


@pytest.mark.parametrize("front", [SERIES, MASKED_SERIES])
@torch.no_grad()
def test_in_pieces_as_in_one(front: str) -> None:
    masked = front == MASKED_SERIES
    torch.manual_seed(0)
    model = models.create(
        "forecaster_mlp", input_shape=(24, 3 * (1 + masked)), output_shape=(12, 3), hidden=[16]
    ).eval()
    windows = torch.randn(7, 24, 3) * 5 + 2
    if masked:
        observed = (torch.rand(7, 24, 3) > 0.3).float()
        observed[2, :, 1] = 0  # nothing is known of a channel
        windows = torch.cat([windows * observed, observed], 2)
    series = standardised(windows.numpy(), front)
    assert series.shape == (21, 24 * (1 + masked))
    core = nn.Sequential(model.layers, model.head)
    ahead = core(torch.from_numpy(series).float()).numpy()
    np.testing.assert_allclose(forecasts(ahead, windows.numpy(), front), model(windows).numpy(), rtol=1e-4, atol=1e-4)
