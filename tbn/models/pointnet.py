"""PointNet: classes of point clouds, of their points in parts, and of points in scenes (Qi et al., https://arxiv.org/abs/1612.00593).

One perceptron, shared by all points (``Conv1d`` with kernel 1), describes each point, and the maximum over the points describes the cloud. Two
T-nets align the cloud first: small networks of the same make that read a matrix off the cloud and multiply the coordinates, and then the
features, with it. While training, ``penalty()`` keeps the second matrix near an orthogonal one; add it to the loss.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tbn.errors import TBNError
from tbn.models.blocks import is_shape, positive


def perceptron(*sizes: int, shared: bool = False) -> nn.Sequential:
    """Linear layer, BatchNorm and ReLU from each size to the next.

    Shapes: (batch, sizes[0]) -> (batch, sizes[-1]); ``shared``, the same for every point: (batch, sizes[0], points) -> (batch, sizes[-1], points).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (before, after) in enumerate(pairwise(sizes), 1):
        layers[f"fc{index}"] = nn.Conv1d(before, after, 1) if shared else nn.Linear(before, after)
        layers[f"bn{index}"] = nn.BatchNorm1d(after)
        layers[f"relu{index}"] = nn.ReLU()
    return nn.Sequential(layers)


class TNet(nn.Module):
    """A matrix for each cloud: I + gain * M, M read off the cloud.

    ``gain`` (1,) float32 starts at 0, so the matrix starts at the identity. A zero weight for M, the paper's way, would not do: tiled weights are
    +alpha or -alpha, never 0.
    Shapes: input (batch, channels, points), output (batch, size, size).
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.points = perceptron(channels, width, 2 * width, 16 * width, shared=True)
        self.cloud = perceptron(16 * width, 8 * width, 4 * width)
        self.matrix = nn.Linear(4 * width, size * size)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        entries = self.matrix(self.cloud(self.points(x).amax(2))).unflatten(1, (self.size, self.size))
        matrix: Tensor = torch.eye(self.size, device=x.device, dtype=entries.dtype) + self.gain * entries
        return matrix


class Described(NamedTuple):
    """What the encoder says of a batch of clouds."""

    layers: list[Tensor]  # output of each layer of the shared perceptron, (batch, its size, points)
    aligned: Tensor  # output of the layer before the feature transform, behind it
    cloud: Tensor  # maximum of the last layer over the points, (batch, its size, 1)


class Encoder(nn.Module):
    """Input transform, shared perceptron with a feature transform behind its layer ``transformed``, maximum over the points.

    Args:
        channels: rows of the input; the first three are x, y and z, which the input transform turns, the others pass by it.
        sizes: of the shared perceptron's layers.
        transformed: 1 for a feature transform behind the first layer.
        width: first size of the T-nets.
    """

    def __init__(self, channels: int, sizes: Sequence[int], transformed: int, width: int) -> None:
        super().__init__()
        self.input_transform = TNet(channels, 3, width)
        self.layers = nn.ModuleList(perceptron(*pair, shared=True) for pair in pairwise((channels, *sizes)))
        self.transformed = transformed
        self.feature_transform = TNet(sizes[transformed - 1], sizes[transformed - 1], width)
        self.last_matrix: Tensor | None = None

    def forward(self, x: Tensor) -> Described:
        x = torch.cat([self.input_transform(x) @ x[:, :3], x[:, 3:]], 1)
        outputs = []
        for index, layer in enumerate(self.layers, 1):
            x = layer(x)
            outputs.append(x)
            if index == self.transformed:
                matrix = self.feature_transform(x)
                aligned = x = matrix @ x
        self.last_matrix = matrix if self.training else None
        return Described(outputs, aligned, x.amax(2, keepdim=True))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "last_matrix": None}  # part of a graph, which cannot be copied


class PointNet(nn.Module):
    """What the three networks share."""

    encoder: Encoder

    def penalty(self) -> Tensor | None:
        """0.001 * |I - A A'|^2 (squared Frobenius norm, mean over the batch) of the last training forward's feature transform A.

        It is forgotten then: a second call returns None, as does a call after a forward in eval mode.
        """
        matrix, self.encoder.last_matrix = self.encoder.last_matrix, None
        if matrix is None:
            return None
        gap = torch.eye(matrix.shape[1], device=matrix.device) - matrix.float() @ matrix.float().mT
        return 0.001 * gap.square().sum((1, 2)).mean()


class Classifier(PointNet):
    """Encoder, perceptron, dropout, classifier ``head``. Shapes: input (batch, *input_shape), output (batch, classes)."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels, (width, 2 * width, 16 * width), 1, width)
        self.mlp = perceptron(16 * width, 8 * width, 4 * width)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.dropout(self.mlp(self.encoder(x).cloud.flatten(1))))
        return out


class PartSegmenter(PointNet):
    """Encoder, shared perceptron on all that is known of a point (every layer, cloud, category), ``head``.

    Shapes: input (batch, *input_shape), the last row holding the category's index, output (batch, classes, points).
    """

    def __init__(self, channels: int, classes: int, categories: int, width: int) -> None:
        super().__init__()
        sizes = (width, 2 * width, 2 * width, 8 * width, 32 * width)
        self.categories = categories
        self.encoder = Encoder(channels, sizes, 3, width)
        self.mlp = perceptron(sum(sizes) + sizes[-1] + categories, 4 * width, 4 * width, 2 * width, shared=True)
        self.head = nn.Conv1d(2 * width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        cloud, category = x[:, :-1], x[:, -1:, :1]
        known = torch.arange(self.categories, device=x.device, dtype=x.dtype)[:, None]
        described = self.encoder(cloud)
        of_cloud = torch.cat([described.cloud, (category == known).to(described.cloud.dtype)], 1)
        of_point = torch.cat([of_cloud.expand(-1, -1, x.shape[2]), *described.layers], 1)
        out: Tensor = self.head(self.mlp(of_point))
        return out


class SceneSegmenter(PointNet):
    """Encoder, shared perceptron on aligned features and cloud, ``head``.

    Shapes: input (batch, *input_shape), output (batch, classes, points).
    """

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels, (width, 2 * width, 16 * width), 1, width)
        self.mlp = perceptron(17 * width, 8 * width, 4 * width, 2 * width, shared=True)
        self.head = nn.Conv1d(2 * width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        described = self.encoder(x)
        of_point = torch.cat([described.cloud.expand(-1, -1, x.shape[2]), described.aligned], 1)
        out: Tensor = self.head(self.mlp(of_point))
        return out


def pointnet_cls(input_shape: Sequence[int] = (3, 1024), classes: int = 40, width: int = 64) -> Classifier:
    """The paper's for ModelNet40; 3,449,472 weights at the defaults.

    Args:
        input_shape: (rows, points) of a cloud, rows x, y, z and any features of a point, e.g. its normal; the points may vary.
        classes: how many.
        width: size of the first layer; all other hidden sizes are multiples of it (64, 128, 1024; 512, 256).
    """
    positive(width=width, classes=classes)
    return Classifier(_rows(input_shape, 3), classes, width)


def pointnet_part(
    input_shape: Sequence[int] = (7, 2048), classes: int = 50, categories: int = 16, width: int = 64
) -> PartSegmenter:
    """The paper's for ShapeNetPart with normals; 8,303,872 weights at the defaults, 8,303,488 without normals, ``input_shape=(4, 2048)``.

    Args:
        input_shape: (rows, points) of a shape, rows x, y, z, any features of a point, and last the index of the shape's category.
        classes: parts, of all categories together.
        categories: how many.
        width: size of the first layer; all other hidden sizes are multiples of it (64, 128, 128, 512, 2048; 256, 256, 128).
    """
    positive(width=width, classes=classes, categories=categories)
    return PartSegmenter(_rows(input_shape, 4) - 1, classes, categories, width)


def pointnet_sem(input_shape: Sequence[int] = (9, 4096), classes: int = 13, width: int = 64) -> SceneSegmenter:
    """The paper's for S3DIS; 3,507,200 weights at the defaults.

    Args:
        input_shape: (rows, points) of a block of a scene, rows x, y, z and any features of a point, e.g. colour and place in the room.
        classes: how many a point can have.
        width: size of the first layer; all other hidden sizes are multiples of it (64, 128, 1024; 512, 256, 128).
    """
    positive(width=width, classes=classes)
    return SceneSegmenter(_rows(input_shape, 3), classes, width)


def _rows(input_shape: Sequence[int], least: int) -> int:
    """Rows of a cloud, or TBNError."""
    if not is_shape(input_shape, 2) or input_shape[0] < least:
        raise TBNError(
            f"input_shape={tuple(input_shape)} is not (rows, points) with rows x, y, z{' and category' * (least == 4)}",
            f"write e.g. ({least}, 1024)",
        )
    return input_shape[0]
