"""MLP-Mixer: an image classifier of perceptrons alone (Tolstikhin et al., https://arxiv.org/abs/2105.01601)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tbn.models.blocks import FeedForward, PatchEmbedding, patch_grid, positive


class MixerBlock(nn.Module):
    """Mixes the patches of each channel, then the channels of each patch, both beside a shortcut.

    Shapes: input and output (batch, patches, dim).
    """

    def __init__(self, patches: int, dim: int, token_hidden: int, channel_hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.token = FeedForward(patches, token_hidden)
        self.norm2 = nn.LayerNorm(dim)
        self.channel = FeedForward(dim, channel_hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.channel(self.norm2(x))
        return out


class MLPMixer(nn.Module):
    """Patches, blocks, LayerNorm, average over the patches, classifier ``head``.

    Shapes: input (batch, *input_shape), output (batch, classes).
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        dim: int,
        depth: int,
        patch: int,
        token_hidden: int,
        channel_hidden: int,
    ) -> None:
        super().__init__()
        positive(dim=dim, depth=depth, token_hidden=token_hidden, channel_hidden=channel_hidden, classes=classes)
        channels, rows, columns = patch_grid(input_shape, patch)
        self.embed = PatchEmbedding(channels, patch, dim)
        self.blocks = nn.Sequential(
            *(MixerBlock(rows * columns, dim, token_hidden, channel_hidden) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.blocks(self.embed(x))).mean(1))
        return out


def mlp_mixer(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    dim: int = 512,
    depth: int = 6,
    patch: int = 4,
    token_hidden: int = 256,
    channel_hidden: int = 256,
) -> MLPMixer:
    """The paper's for CIFAR-10: 64 patches of 4 x 4 pixels, perceptrons 64-256-64 and 512-256-512; 1,799,168 weights.

    Args:
        input_shape: (channels, height, width) of an image.
        classes: how many.
        dim: channels of a patch.
        depth: blocks.
        patch: side of a patch in pixels; divides the image's sides.
        token_hidden: hidden width of the perceptron over patches.
        channel_hidden: hidden width of the perceptron over channels.
    """
    return MLPMixer(input_shape, classes, dim, depth, patch, token_hidden, channel_hidden)
