"""What is timed: the layers, their inputs and the answer that every engine must give.

Linear layers are a product alone. A convolution is what inference runs: with a folded BatchNorm and a ReLU, on both sides. The perceptron of a
ViT-B block is 768-3072-768 with GELU between, without biases and with one alpha a layer, so that it can be collapsed
(``kernels.bench.ours``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import tables
from kernels.layout import TileGeometry, Window, pack_bits
from kernels.reference import dense_weight

TOKENS = 197  # of one 224 x 224 image in patches of 16
FACTORS = (2, 4, 8, 16)
MAIN = 4  # the factor whose weight the dense peers multiply, first in ``Problem.factors``


@dataclass(frozen=True)
class Case:
    """One layer at one batch.

    Attributes:
        op: "linear", "conv" or "mlp".
        rows: m, outputs of the layer; of an mlp its hidden width.
        columns: n, inputs; of a convolution its input channels.
        batch: inputs a call; of an mlp the tokens.
        kernel, size: of a convolution, the sides of the filter and of the image.
        dtype: of input, output and products.
    """

    op: str
    rows: int
    columns: int
    batch: int
    kernel: int = 0
    size: int = 0
    dtype: torch.dtype = torch.float32

    @property
    def shape(self) -> str:
        """In words, as tables and charts show it."""
        if self.op == "linear":
            return f"{self.rows}x{self.columns}"
        if self.op == "mlp":
            return f"{self.columns}-{self.rows}-{self.columns}"
        return f"{self.columns}->{self.rows} {self.kernel}x{self.kernel} at {self.size}x{self.size}"

    @property
    def text(self) -> str:
        """One line for progress and reasons."""
        dtype = "" if self.dtype == torch.float32 else f", {str(self.dtype).removeprefix('torch.')}"
        return f"{self.op} {self.shape}, {tables.inputs_text(self.op, self.batch)}{dtype}"

    @property
    def row_length(self) -> int:
        """Weights of one row."""
        return self.columns * (self.kernel**2 if self.op == "conv" else 1)

    @property
    def window(self) -> Window | None:
        """Of a convolution: stride 1, output as large as input."""
        if self.op != "conv":
            return None
        return Window((self.kernel,) * 2, (1, 1), (self.kernel // 2,) * 2, (1, 1))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input."""
        return (self.batch, self.columns, *((self.size,) * 2 if self.op == "conv" else ()))

    @property
    def geometries(self) -> tuple[tuple[int, int], ...]:
        """(rows, row length) of each weight."""
        return ((self.rows, self.row_length), *([(self.columns, self.rows)] if self.op == "mlp" else []))

    @property
    def macs(self) -> int:
        """Multiply-adds of the dense layer."""
        positions = self.size**2 if self.op == "conv" else 1
        return self.batch * positions * sum(map(prod, self.geometries))

    @property
    def moved(self) -> int:
        """Bytes of input and output."""
        outputs = self.rows * self.size**2 if self.op == "conv" else self.columns if self.op == "mlp" else self.rows
        return (prod(self.input_shape) + self.batch * outputs) * self.dtype.itemsize


@dataclass(frozen=True)
class Layer:
    """One tiled weight: (ceil(q / 8),) bits, (p,) or (1,) alphas, shape and factor."""

    tile: Tensor
    alphas: Tensor
    geometry: TileGeometry

    @cached_property
    def weight(self) -> Tensor:
        """(rows, row_length) float32."""
        return dense_weight(self.tile, self.alphas, self.geometry)

    @property
    def packed_bytes(self) -> int:
        """Of bits and alphas."""
        return self.tile.nbytes + self.alphas.nbytes


@dataclass(frozen=True)
class Problem:
    """A case with numbers in it.

    Attributes:
        factors: tiling factors; the peers multiply the dense weight of the first.
        x: the input.
        layers: by factor, a layer for each weight of the case.
        gain, bias: (rows,) float32 of a convolution's folded BatchNorm, or None.
    """

    case: Case
    factors: tuple[int, ...]
    x: Tensor
    layers: dict[int, tuple[Layer, ...]]
    gain: Tensor | None = None
    bias: Tensor | None = None
    kept: dict[int, Tensor] = field(default_factory=dict)

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """The dense weights that peers multiply, float32, a BatchNorm's factors folded in: (rows, row_length) each."""
        return self._weights(self.factors[0])

    def _weights(self, p: int) -> tuple[Tensor, ...]:
        first, *others = (layer.weight for layer in self.layers[p])
        return (first if self.gain is None else first * self.gain[:, None], *others)

    def expected(self, p: int) -> Tensor:
        """The right answer at factor p, computed in float64."""
        if p not in self.kept:
            weights = [weight.double() for weight in self._weights(p)]
            self.kept[p] = run_dense(
                self.case, self.x.double(), weights, None if self.bias is None else self.bias.double()
            )
        return self.kept[p]

    def relative_error(self, answer: Tensor, p: int) -> float:
        """Largest difference over the largest expected value; infinite for a wrong shape."""
        expected = self.expected(p)
        if answer.shape != expected.shape:
            return float("inf")
        return float((answer.double() - expected).abs().max() / expected.abs().max())


def run_dense(case: Case, x: Tensor, weights: Sequence[Tensor], bias: Tensor | None) -> Tensor:
    """The case in plain torch, with dense weights."""
    if case.op == "linear":
        return F.linear(x, weights[0])
    if case.op == "mlp":
        return F.linear(F.gelu(F.linear(x, weights[0])), weights[1])
    filters = weights[0].reshape(case.rows, case.columns, case.kernel, case.kernel)
    return F.conv2d(x, filters, bias, padding=case.kernel // 2).relu_()


def problem_of(case: Case, factors: Sequence[int], device: str = "cpu", seed: int = 0) -> Problem:
    """Random numbers for a case; factors that do not divide the rows of every weight are left out.

    Raises:
        ValueError: no factor is left.
    """
    usable = tuple(p for p in factors if all(rows % p == 0 for rows, _ in case.geometries))
    if not usable:
        raise ValueError(f"none of p = {factors} divides the rows of {case.text}")
    if MAIN in usable:
        usable = (MAIN, *(p for p in usable if p != MAIN))
    torch.manual_seed(seed)
    layers = {}
    for p in usable:
        made = []
        for rows, length in case.geometries:
            geometry = TileGeometry(rows, length, p)
            tile = pack_bits(torch.randn(geometry.tile_length))
            alphas = (torch.rand(1 if case.op == "mlp" else p) + 0.5) / length**0.5
            made.append(Layer(tile.to(device), alphas.to(device), geometry))
        layers[p] = tuple(made)
    x = torch.randn(case.input_shape).to(device, case.dtype)
    if case.op != "conv":
        return Problem(case, usable, x, layers)
    gain, bias = (torch.rand(case.rows) + 0.5).to(device), torch.randn(case.rows).to(device)
    return Problem(case, usable, x, layers, gain, bias)


LINEAR = ((3072, 768), (768, 3072), (4096, 4096), (784, 128))
CONV = ((64, 64, 3, 56), (128, 128, 3, 28), (256, 256, 3, 14), (512, 512, 3, 7), (256, 64, 1, 56))


def cases_of(device: str, quick: bool) -> list[Case]:
    """What is timed on a device, the most telling first: a run out of time skips the rest."""
    if device == "cpu":
        if quick:
            return [
                Case("linear", 3072, 768, 1),
                Case("linear", 3072, 768, 64),
                Case("conv", 256, 256, 1, 3, 14),
                Case("mlp", 3072, 768, TOKENS),
            ]
        convs = [Case("conv", m, n, batch, kernel, size) for m, n, kernel, size in CONV for batch in (1, 8)]
        return [
            *(Case("linear", m, n, batch) for m, n in LINEAR for batch in (1, 64)),
            *convs,
            Case("mlp", 3072, 768, TOKENS),
        ]
    half = torch.bfloat16
    first = [Case("linear", 14336, 4096, batch, dtype=half) for batch in (1, 256, 4096)]
    block = [Case("mlp", 3072, 768, 64 * TOKENS, dtype=half)]
    if quick:
        return [*first, *block]
    linear = [Case("linear", m, n, batch, dtype=half) for m, n in LINEAR[:3] for batch in (1, 16, 256, 4096)]
    convs = [Case("conv", m, n, 64, kernel, size, half) for m, n, kernel, size in CONV]
    return [*first, *block, *linear, *convs, *(Case("linear", 4096, 4096, batch) for batch in (1, 256))]
