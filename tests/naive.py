"""A second implementation of the method, written as loops over plain Python numbers, from the paper's text alone."""

from __future__ import annotations

import torch
from torch import Tensor


def tiled_weight(weight: Tensor, source: Tensor, p: int, per: str) -> Tensor:
    """The scaled binary weight, element by element."""
    flat, scale = weight.reshape(-1).tolist(), source.reshape(-1).tolist()
    count = len(flat)
    q = count // p
    tile = []
    for j in range(q):
        total = 0.0
        for i in range(p):
            total += flat[i * q + j]
        tile.append(1.0 if total > 0 else -1.0)
    out = []
    for f in range(count):
        i = f // q
        block = scale[i * q : (i + 1) * q] if per == "tile" else scale
        out.append(tile[f % q] * sum(abs(v) for v in block) / len(block))
    return torch.tensor(out, dtype=weight.dtype).reshape(weight.shape)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(batch, n) times (m, n), as loops."""
    bias = None if bias is None else bias.detach()
    rows = []
    for vector in x.tolist():
        row = []
        for r, filters in enumerate(weight.tolist()):
            total = 0.0 if bias is None else float(bias[r])
            for a, b in zip(vector, filters, strict=True):
                total += a * b
            row.append(total)
        rows.append(row)
    return torch.tensor(rows, dtype=x.dtype).reshape(len(x), weight.shape[0])


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, dilation: int, groups: int
) -> Tensor:
    """(batch, c, h, w) with (m, c / groups, k, k), zero padding, as loops."""
    bias = None if bias is None else bias.detach()
    batch, _, height, width = x.shape
    m, channels, k, _ = weight.shape
    out_h = (height + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    out_w = (width + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    out = torch.zeros(batch, m, out_h, out_w, dtype=x.dtype)
    for b in range(batch):
        for r in range(m):
            first = r // (m // groups) * channels
            for i in range(out_h):
                for j in range(out_w):
                    total = 0.0 if bias is None else float(bias[r])
                    for c in range(channels):
                        for u in range(k):
                            for v in range(k):
                                y, z = i * stride + u * dilation - padding, j * stride + v * dilation - padding
                                if 0 <= y < height and 0 <= z < width:
                                    total += float(x[b, first + c, y, z]) * float(weight[r, c, u, v])
                    out[b, r, i, j] = total
    return out
