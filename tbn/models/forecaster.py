"""Forecasters of many channels at once: a transformer and a perceptron.

Both take each window's own mean and deviation off before, channel by channel, and put them back on after (RevIN, Kim et al.,
https://openreview.net/forum?id=cGDAkQo1C0p). Gaps: an input of twice as many channels as the output brings, behind the values (0 where
missing), a mask of 1 where a value was observed and 0 where not. Mean and deviation are then those of the observed values, and the networks
see the mask beside the values.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tbn.errors import TBNError
from tbn.models.blocks import is_shape, positive
from tbn.models.vit import EncoderBlock

SMALLEST_VARIANCE = 1e-5  # added to a window's: a constant channel must not be divided by 0


class Forecaster(nn.Module):
    """Standardises each channel of each sample, lets ``forecast`` predict, and undoes the standardisation.

    Shapes: input (batch, *input_shape), output (batch, *output_shape).

    Raises:
        TBNError: the shapes are none, or the input has neither as many channels as the output nor twice as many.
    """

    def __init__(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> None:
        super().__init__()
        for name, shape in (("input_shape", input_shape), ("output_shape", output_shape)):
            if not is_shape(shape, 2):
                raise TBNError(f"{name}={tuple(shape)} is not (time steps, channels)", "write e.g. (96, 26)")
        (self.lookback, given), (self.horizon, channels) = input_shape, output_shape
        if given not in (channels, 2 * channels):
            raise TBNError(
                f"{given} input channels do not fit {channels} channels to forecast",
                f"use input_shape=({self.lookback}, {channels}), or ({self.lookback}, {2 * channels}) with a mask of what was observed",
            )
        self.masked = given != channels
        self.inputs = self.lookback * (1 + self.masked)  # numbers that ``forecast`` gets of a channel

    def forecast(self, series: Tensor) -> Tensor:
        """Standardised past, with the mask behind it where there is one, to standardised future.

        Shapes: (batch, channels, inputs) -> (batch, channels, horizon).
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)  # (batch, channels, lookback)
        values, observed = x.chunk(2, 1) if self.masked else (x, torch.ones_like(x))
        count = observed.sum(2, keepdim=True).clamp(min=1)
        mean = (values * observed).sum(2, keepdim=True) / count
        centred = (values - mean) * observed
        deviation = (centred.square().sum(2, keepdim=True) / count + SMALLEST_VARIANCE).sqrt()
        series = centred / deviation
        ahead = self.forecast(torch.cat([series, observed], 2) if self.masked else series)
        return (ahead * deviation + mean).transpose(1, 2)


class ChannelTransformer(Forecaster):
    """A token for each channel's whole look back, with an embedding (1, channels, dim) of which channel it is; blocks, LayerNorm, ``head``.

    The attention mixes channels, the perceptrons time steps; of one channel alone it is a residual perceptron.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        output_shape: Sequence[int],
        dim: int,
        depth: int,
        heads: int,
        hidden: int,
    ) -> None:
        super().__init__(input_shape, output_shape)
        positive(dim=dim, depth=depth, heads=heads, hidden=hidden)
        self.embed = nn.Linear(self.inputs, dim)
        self.channel = nn.Parameter(0.02 * torch.randn(1, output_shape[1], dim))
        self.blocks = nn.Sequential(*(EncoderBlock(dim, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, self.horizon)

    def forecast(self, series: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.blocks(self.embed(series) + self.channel)))
        return out


class Perceptron(Forecaster):
    """Linear and ReLU for each hidden width, ``head``; every channel by itself with the same weights."""

    def __init__(self, input_shape: Sequence[int], output_shape: Sequence[int], hidden: Sequence[int]) -> None:
        super().__init__(input_shape, output_shape)
        positive(hidden=hidden)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        size = self.inputs
        for index, width in enumerate(hidden, 1):
            layers[f"fc{index}"] = nn.Linear(size, width)
            layers[f"relu{index}"] = nn.ReLU()
            size = width
        self.layers = nn.Sequential(layers)
        self.head = nn.Linear(size, self.horizon)

    def forecast(self, series: Tensor) -> Tensor:
        out: Tensor = self.head(self.layers(series))
        return out


def forecaster_transformer(
    input_shape: Sequence[int] = (96, 26),
    output_shape: Sequence[int] = (96, 26),
    dim: int = 256,
    depth: int = 2,
    heads: int = 8,
    hidden: int = 512,
) -> ChannelTransformer:
    """An encoder with one token a channel (iTransformer, Liu et al., https://arxiv.org/abs/2310.06625); 1,097,728 weights at the defaults.

    Args:
        input_shape: (lookback, channels), or (lookback, 2 * channels) with a mask.
        output_shape: (horizon, channels).
        dim: width of a token; a multiple of ``heads``.
        depth: encoder blocks.
        heads: of the attention.
        hidden: hidden width of the perceptrons.
    """
    return ChannelTransformer(input_shape, output_shape, dim, depth, heads, hidden)


def forecaster_mlp(
    input_shape: Sequence[int] = (96, 26), output_shape: Sequence[int] = (96, 26), hidden: Sequence[int] = (512, 512)
) -> Perceptron:
    """A perceptron from one channel's past to its future, the same for all channels; 360,448 weights at the defaults.

    Args:
        input_shape: (lookback, channels), or (lookback, 2 * channels) with a mask.
        output_shape: (horizon, channels).
        hidden: widths of the hidden layers; () is a linear forecast.
    """
    return Perceptron(input_shape, output_shape, hidden)
