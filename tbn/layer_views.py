"""The layers of a run as they are stored, to look at: bits of the tile, alphas, dense weights. numpy only, no torch.

The bit order is that of ``kernels.layout``: element 8 j + k of the tile is bit k of byte j, 1 means +1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from tbn import runs
from tbn.errors import TBNError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PackedView:
    """A tiled or binary layer.

    Attributes:
        shape: of the weight; its first number is m, the product of the others n.
        p: tiling factor.
        order: how the p copies of the tile lie in the weight ("rows": one after the other, row-major).
        tile: (q,) int8 of +1 and -1.
        alphas: (p,) or (1,) float32.
    """

    name: str
    shape: tuple[int, ...]
    p: int
    order: str
    tile: NDArray[np.int8] = field(repr=False)
    alphas: Floats = field(repr=False)

    @property
    def rows(self) -> int:
        """m."""
        return self.shape[0]

    @property
    def columns(self) -> int:
        """n."""
        return prod(self.shape[1:])

    @property
    def status(self) -> str:
        """ "tiled" or "binary"."""
        return "tiled" if self.p > 1 else "binary"

    @property
    def balance(self) -> float:
        """Mean sign of the tile, -1..1."""
        return float(self.tile.mean())

    @cached_property
    def grid(self) -> NDArray[np.int8]:
        """(rows, n) the tile as it lies in the first rows of the weight; 0 beyond its end. (1, q) where it is shorter than one row."""
        width = min(self.columns, len(self.tile))
        padded = np.zeros(-(-len(self.tile) // width) * width, np.int8)
        padded[: len(self.tile)] = self.tile
        return padded.reshape(-1, width)

    @cached_property
    def weight(self) -> Floats:
        """(m, n) the weight that the layer multiplies with: alpha_i times the tile."""
        return self._laid(self.tile * np.broadcast_to(self.alphas, (self.p,))[:, None]).astype(np.float32)

    @cached_property
    def distinct_rows(self) -> int:
        """How many rows have signs of their own; the others are copies of them up to an alpha."""
        return len(np.unique(np.packbits(self.weight > 0, axis=1), axis=0))

    def _laid(self, blocks: NDArray[Any]) -> NDArray[Any]:
        """(p, q) numbers as they lie in the weight: (m, n)."""
        if self.order == "rows":
            return blocks.reshape(self.rows, self.columns)
        import torch  # the one place that knows the other orders works on tensors

        from kernels import orders

        laid = orders.from_blocks(torch.from_numpy(np.ascontiguousarray(blocks)), self.shape, self.order)  # type: ignore[arg-type]
        return np.asarray(laid.reshape(self.rows, self.columns))


@dataclass(frozen=True)
class DenseView:
    """A layer whose weights are float32: those of a full-precision run, or one that was left.

    Attributes:
        weight: (m, n) float32.
    """

    name: str
    shape: tuple[int, ...]
    weight: Floats = field(repr=False)
    p: int = 0
    status: str = "fp32"

    @property
    def balance(self) -> float:
        """Mean sign, -1..1."""
        return float(np.sign(self.weight).mean())


View = PackedView | DenseView


def views(run: runs.Run) -> list[View]:
    """The layers of a complete run, in the order of its result.

    Raises:
        TBNError: its weights were not kept, or the file cannot be read.
    """
    packed, dense = run.path / "packed.safetensors", run.path / "model.safetensors"
    path = packed if run.config["p"] and packed.is_file() else dense
    if not path.is_file():
        wanted = packed if run.config["p"] else dense
        raise TBNError(f"run {run.id!r} keeps no {wanted.name}, so its layers cannot be looked at", "train it again")
    sizes = ((run.result or {}).get("size") or {}).get("layers") or []
    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {}).get("model", "{}"))
            found = [_view(layer["name"], tuple(layer["shape"]), file, about) for layer in sizes]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise TBNError(f"{path} cannot be read ({error})", "train the run again, or restore the file") from error
    return [view for view in found if view is not None]


def _view(name: str, shape: tuple[int, ...], file: Any, about: dict[str, Any]) -> View | None:
    """One layer; None where the file has no weight of that name (a layer that is counted under another name)."""
    tied, keys = about.get("tied", {}), set(file.keys())
    spec = about.get("layers", {}).get(name)
    if spec is None:
        key = tied.get(f"{name}.weight", f"{name}.weight")
        if key not in keys:
            return None
        weight = np.asarray(file.get_tensor(key), np.float32)
        return DenseView(name, shape, weight.reshape(weight.shape[0], -1))
    bits, alphas = (file.get_tensor(tied.get(f"{name}.{part}", f"{name}.{part}")) for part in ("tile", "alphas"))
    shape, p = tuple(spec["shape"]), int(spec["p"])
    ones = np.unpackbits(bits, count=prod(shape) // p, bitorder="little")
    return PackedView(name, shape, p, spec.get("order", "rows"), ones.astype(np.int8) * 2 - 1, alphas)
