"""A toy to look at: one small tiled weight that learns a random target, step by step, with the library's own functions.

The loss is half the squared distance between the tiled weight and the target, alphas come from a tensor A of their own (at first |W|), the
optimiser is plain gradient descent. Everything follows from the arguments, so a link that has them shows the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tbn.errors import TBNError
from tbn.tiling import AlphaPer, alphas_of, binary_weight, blocks_of, tile_of, tiled_weight

Floats = NDArray[np.float32]
MOST_WEIGHTS, MOST_STEPS = 1024, 500
START = 0.6  # spread of the latent weights before the first step


@dataclass(frozen=True)
class Toy:
    """The weight after some steps.

    Attributes:
        weight: (rows, columns) latent weights W.
        target: (rows, columns) what the tiled weight should be.
        sums: (q,) the blocks of W added up.
        tile: (q,) of +1 and -1, the signs of the sums.
        alphas: (p,) or (1,).
        tiled: (rows, columns) the weight that a layer would multiply with.
        flipped: (q,) whether the last step changed the sign.
        loss: half the squared distance of ``tiled`` from ``target``.
    """

    p: int
    weight: Floats
    target: Floats
    sums: Floats
    tile: Floats
    alphas: Floats
    tiled: Floats
    flipped: NDArray[np.bool_]
    loss: float

    @property
    def blocks(self) -> Floats:
        """(p, q) latent weights, a block a row."""
        return self.weight.reshape(self.p, -1)

    @property
    def disagrees(self) -> NDArray[np.bool_]:
        """(p, q) where a latent weight has another sign than its place in the tile."""
        wrong: NDArray[np.bool_] = (self.blocks > 0) != (self.tile > 0)
        return wrong

    @property
    def best_alphas(self) -> Floats:
        """(p,) or (1,) the alphas with which this tile is nearest to the target: mean of target times sign, never below 0."""
        agreement = self.target.reshape(self.p, -1) * self.tile
        means = agreement.mean(1) if len(self.alphas) == self.p else agreement.mean(keepdims=True).reshape(1)
        best: Floats = np.maximum(means, 0).astype(np.float32)
        return best

    @property
    def distinct_rows(self) -> int:
        """How many rows of the tiled weight have signs of their own."""
        return len(np.unique(np.sign(self.tiled), axis=0))


def play(
    rows: int,
    columns: int,
    p: int,
    per: AlphaPer = "tile",
    seed: int = 0,
    steps: int = 0,
    lr: float = 0.1,
    alpha: float | None = None,
) -> list[Toy]:
    """The weight before the first step and after each.

    Args:
        rows, columns: shape of the weight, 1,024 weights at most.
        p: tiling factor; it has to divide rows * columns.
        per: one alpha per "tile" or per "layer".
        seed: of the latent weights at the start, and of the target.
        steps: of gradient descent, 500 at most.
        lr: learning rate.
        alpha: every alpha is this number and stays so; None learns them from A.

    Raises:
        TBNError: p does not divide the weights, there are too many of them, or an alpha is negative.
    """
    if not 1 <= rows * columns <= MOST_WEIGHTS or not 0 <= steps <= MOST_STEPS:
        raise TBNError(
            f"{rows} x {columns} weights and {steps} steps are too many to look at",
            f"choose up to {MOST_WEIGHTS:,} weights and {MOST_STEPS} steps",
        )
    if alpha is not None and alpha < 0:
        raise TBNError(f"alpha={alpha:g} is negative, and alphas are means of sizes", "choose 0 or more")
    random = torch.Generator().manual_seed(seed)
    weight = (START * torch.randn(rows, columns, generator=random)).requires_grad_()
    source = (weight.detach().abs() if alpha is None else torch.full_like(weight, alpha)).requires_grad_()
    target = torch.randn(rows, columns, generator=random)
    found: list[Toy] = []
    for step in range(steps + 1):
        try:
            tiled = tiled_weight(weight, source, p, per)
        except ValueError as error:
            raise TBNError(
                str(error).split(";")[0], f"choose one of {', '.join(map(str, factors(rows * columns)))}"
            ) from error
        loss = 0.5 * (tiled - target).square().sum()
        before = found[-1] if found else None
        found.append(_state(weight.detach(), source.detach(), target, tiled.detach(), loss.item(), p, per, before))
        if step < steps:
            of_weight, of_source = torch.autograd.grad(loss, (weight, source))
            weight = (weight.detach() - lr * of_weight).requires_grad_()
            if alpha is None:
                source = (source.detach() - lr * of_source).requires_grad_()
    return found


def factors(count: int, most: int = 64) -> list[int]:
    """The tiling factors up to ``most`` that divide ``count`` weights."""
    return [p for p in range(1, min(count, most) + 1) if count % p == 0]


def _state(
    weight: Tensor,
    source: Tensor,
    target: Tensor,
    tiled: Tensor,
    loss: float,
    p: int,
    per: AlphaPer,
    before: Toy | None,
) -> Toy:
    tile = tile_of(weight, p).numpy()
    flipped = np.zeros(len(tile), bool) if before is None else tile != before.tile
    return Toy(
        p, weight.numpy().copy(), target.numpy(), blocks_of(weight, p).sum(0).numpy(), tile, alphas_of(source, p, per).numpy(),
        tiled.numpy().copy(), flipped, loss,
    )  # fmt: skip


@dataclass(frozen=True)
class Curves:
    """One latent weight w moves, the same place of the other blocks stays.

    Attributes:
        w: (points,) values of the latent weight.
        forward: (points,) its binary weight.
        straight: (points,) gradient that reaches w, by autograd.
        true: (points,) derivative of the forward curve: 0 wherever there is one.
    """

    w: Floats
    forward: Floats
    straight: Floats
    true: Floats


def straight_through(p: int, rest: float, gradient: float, points: int = 401, span: float = 2.0) -> Curves:
    """The forward and backward curve of a tile's sign, drawn by calling ``binary_weight``.

    Args:
        p: number of blocks.
        rest: sum of the other p - 1 blocks at this place (0 where p = 1: there are none).
        gradient: dL/db that comes back from the layer.
        points, span: w goes from -span to span in so many points.
    """
    w = torch.linspace(-span, span, points)
    others = torch.full((p - 1, points), rest / max(1, p - 1))
    weight = torch.cat([w[None], others]).requires_grad_()
    forward = binary_weight(weight, p)[0]
    (back,) = torch.autograd.grad(forward, weight, torch.full((points,), gradient))
    values = forward.detach().numpy()
    true = np.zeros(points, np.float32)
    true[1:][np.diff(values) != 0] = np.nan  # no derivative at the jump
    return Curves(w.numpy(), values, back[0].numpy(), true)


def inertia(p: int, rest: float, target: float, lr: float, steps: int) -> tuple[Floats, Floats]:
    """(steps + 1,) latent weight and binary weight, while gradient descent moves one latent weight from -1 towards b = ``target``.

    Every block's copy of the tile gets the same gradient in a real layer; here the others stand still, so that one motion can be seen.
    """
    w, latent, binary = torch.tensor(-1.0), [], []
    for _ in range(steps + 1):
        weight = torch.cat([w.reshape(1, 1), torch.full((p - 1, 1), rest / max(1, p - 1))]).requires_grad_()
        b = binary_weight(weight, p)[0, 0]
        latent.append(w.item())
        binary.append(b.item())
        (back,) = torch.autograd.grad(0.5 * (b - target) ** 2, weight)
        w = w - lr * back[0, 0]
    return np.array(latent, np.float32), np.array(binary, np.float32)
