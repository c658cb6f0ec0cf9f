"""How large a model is: bits, bytes, bit-width and multiply-accumulates (MACs), layer by layer.

Counted as the paper does: a layer with tiling factor p stores N / p tile bits and 32 bits for each alpha; biases, norms and embeddings are
counted apart. ``total_bytes`` is exactly what the tensors of the packed file take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kernels.dispatch import computed_rows
from kernels.layout import geometry_of, packed_length
from tbn.layers import TiledLayer, is_layer, is_transposed
from tbn.packed import PackedLayer

if TYPE_CHECKING:
    import pandas as pd


_FLOATS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}


@dataclass(frozen=True)
class LayerSize:
    """One layer.

    Attributes:
        name, kind: place in the model and operation ("linear", "transposed", "conv1d", "conv2d").
        shape: of the weight; the first number is the outputs, of a "transposed" linear layer the inputs.
        weights: N.
        p: tiling factor; 0 for a layer that is not tiled.
        q: tile length N / p (N for a layer that is not tiled).
        status: "tiled", "binary", or the numbers that it keeps: "fp32", "bf16", "fp16", "fp64".
        tile_bits, alpha_bits: what is stored of the weights; those of a layer that is not tiled count as tile bits.
        bytes: bytes of tile and alphas in the packed file.
        macs_dense, macs_computed: multiply-accumulates of one input without and with reuse of equal rows; None where the number of
            output positions is not known (``summary`` was given no input shape). Writing copies, or adding inputs up, is not counted.
        order: where the blocks lie (``kernels.orders``): "rolled" saves no multiply-accumulates.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    p: int
    q: int
    status: str
    tile_bits: int
    alpha_bits: int
    bytes: int
    macs_dense: int | None
    macs_computed: int | None
    order: str = "rows"

    @property
    def weight_bits(self) -> int:
        """Stored bits: tile and alphas."""
        return self.tile_bits + self.alpha_bits

    @property
    def bits_per_weight(self) -> float:
        """Bit-width: stored bits over weights."""
        return self.weight_bits / self.weights


@dataclass(frozen=True)
class Summary:
    """Sizes of a model; ``str()`` is the printed table, ``to_frame()`` a pandas frame, ``to_dict()`` plain values."""

    layers: tuple[LayerSize, ...]
    other_bytes: int

    @property
    def weights(self) -> int:
        """Weights of all layers (no biases, norms or embeddings)."""
        return sum(layer.weights for layer in self.layers)

    @property
    def weight_bits(self) -> int:
        """Stored bits of all layers."""
        return sum(layer.weight_bits for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of tiles and alphas in the packed file."""
        return sum(layer.bytes for layer in self.layers)

    @property
    def fp32_bytes(self) -> int:
        """Bytes of the same weights in float32."""
        return 4 * self.weights

    @property
    def bits_per_weight(self) -> float:
        """Bit-width of the network."""
        return self.weight_bits / self.weights

    @property
    def compression(self) -> float:
        """How many times smaller than float32: 32 / bit-width counted in bytes."""
        return self.fp32_bytes / self.weight_bytes

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors in the packed file."""
        return self.weight_bytes + self.other_bytes

    def _macs(self, which: str) -> int | None:
        found = [getattr(layer, which) for layer in self.layers]
        return None if None in found else sum(found)

    @property
    def macs_dense(self) -> int | None:
        """MACs of one input if every row were computed."""
        return self._macs("macs_dense")

    @property
    def macs_computed(self) -> int | None:
        """MACs of one input with each distinct row computed once."""
        return self._macs("macs_computed")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        layers = [
            {
                **asdict(layer),
                "shape": list(layer.shape),
                "weight_bits": layer.weight_bits,
                "bits_per_weight": layer.bits_per_weight,
            }
            for layer in self.layers
        ]
        totals = {
            name: getattr(self, name)
            for name in (
                "weights",
                "weight_bits",
                "weight_bytes",
                "fp32_bytes",
                "bits_per_weight",
                "compression",
                "other_bytes",
                "total_bytes",
                "macs_dense",
                "macs_computed",
            )
        }
        return {**totals, "layers": layers}

    def to_frame(self) -> pd.DataFrame:
        """One row a layer."""
        import pandas as pd

        return pd.DataFrame(self.to_dict()["layers"])

    def __str__(self) -> str:
        head = ("layer", "shape", "kind", "p", "q", "bits", "bit-width", "bytes", "MACs dense", "MACs computed")
        rows = [
            (
                layer.name,
                "x".join(map(str, layer.shape)),
                layer.status,
                str(layer.p or "-"),
                f"{layer.q:,}",
                f"{layer.weight_bits:,}",
                f"{layer.bits_per_weight:.3f}",
                f"{layer.bytes:,}",
                _count(layer.macs_dense),
                _count(layer.macs_computed),
            )
            for layer in self.layers
        ]
        rows.append(
            (
                "all layers",
                f"{self.weights:,}",
                "",
                "",
                "",
                f"{self.weight_bits:,}",
                f"{self.bits_per_weight:.3f}",
                f"{self.weight_bytes:,}",
                _count(self.macs_dense),
                _count(self.macs_computed),
            )
        )
        widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
        lines = [
            "  ".join(f"{cell:{'<' if k < 3 else '>'}{widths[k]}}" for k, cell in enumerate(row)).rstrip()
            for row in (head, *rows)
        ]
        rule = "-" * max(map(len, lines))
        saved = f"{self.compression:.1f}x smaller than fp32 ({1 / self.compression:.4f} of {self.fp32_bytes:,} bytes)"
        return "\n".join(
            [
                lines[0],
                rule,
                *lines[1:-1],
                rule,
                lines[-1],
                f"weights {self.weight_bytes:,} bytes: {saved}",
                f"biases, norms and the rest {self.other_bytes:,} bytes; packed file's tensors {self.total_bytes:,} bytes",
            ]
        )


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def summary(model: nn.Module, input_shape: Sequence[int] | None = None) -> Summary:
    """Sizes of a dense, tiled or packed model; a tiled one is counted as what ``freeze`` makes of it.

    Args:
        model: any module.
        input_shape: of one input, without the batch; needed to count the MACs of convolutions.
    """
    layers = {name: module for name, module in model.named_modules() if _is_counted(module)}
    positions = _positions(model, layers, input_shape)
    first: dict[int, str] = {}  # layers with one weight in common are one row: stored once, its positions added up
    for name, module in layers.items():
        owner = first.setdefault(id(_stored(module)), name)
        if owner != name and name in positions:
            positions[owner] = positions.get(owner, 0) + positions[name]
    counted = {
        id(tensor)
        for module in layers.values()
        for key, tensor in _tensors(module)
        if key in ("weight", "alpha_source", "tile", "alphas")
    }
    other = {id(tensor): tensor.nbytes for _, tensor in _tensors(model) if id(tensor) not in counted}
    rows = (_layer_size(name, layers[name], positions.get(name)) for name in first.values())
    return Summary(tuple(rows), sum(other.values()))


def _is_counted(module: nn.Module) -> bool:
    """Whether a module is a row: a layer that owns its weight (one that computes it, as weight_norm does, stores something else)."""
    return isinstance(module, PackedLayer) or (is_layer(module) and "weight" in module._parameters)


def _stored(layer: nn.Module) -> Tensor:
    """The tensor that holds a layer's weights: bits or numbers."""
    stored = layer.tile if isinstance(layer, PackedLayer) else layer.weight
    assert isinstance(stored, Tensor)
    return stored


def _outputs(layer: nn.Module) -> int:
    return layer.outputs if isinstance(layer, PackedLayer) else _stored(layer).shape[1 if is_transposed(layer) else 0]


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and stored buffers, each with its name (shared ones come more than once)."""
    return list(module.state_dict(keep_vars=True).items())


def _layer_size(name: str, module: nn.Module, positions: int | None) -> LayerSize:
    order = module.order if isinstance(module, PackedLayer | TiledLayer) else "rows"
    share = getattr(module, "groups", 1) == 1 or order == "inputs"
    if isinstance(module, PackedLayer):
        shape, p, alphas = module.weight_shape, module.p, module.alphas.numel()
    else:
        shape = tuple(_stored(module).shape)
        p, alphas = (module.p, module.alphas.numel()) if isinstance(module, TiledLayer) else (0, 0)
    weights = int(torch.Size(shape).numel())
    kind = {2: "linear", 3: "conv1d", 4: "conv2d"}[len(shape)]
    if is_transposed(module) or (isinstance(module, PackedLayer) and module.transposed):
        kind = "transposed"
    dense = None if positions is None else weights * positions
    if p == 0:
        stored, status = _stored(module), _FLOATS.get(_stored(module).dtype, "left")
        return LayerSize(
            name, kind, shape, weights, 0, weights, status, 8 * stored.nbytes, 0, stored.nbytes, dense, dense
        )
    geometry = geometry_of(shape, p, order)
    computed = None if positions is None else computed_rows(geometry, alphas, share) * geometry.row_length * positions
    size = packed_length(geometry.tile_length) + 4 * alphas
    return LayerSize(
        name,
        kind,
        shape,
        weights,
        p,
        geometry.tile_length,
        "tiled" if p > 1 else "binary",
        geometry.tile_length,
        32 * alphas,
        size,
        dense,
        computed,
        order,
    )


def _positions(model: nn.Module, layers: dict[str, nn.Module], input_shape: Sequence[int] | None) -> dict[str, int]:
    """How many output positions each layer has for one input: 1 for a linear layer on a vector, height x width for a convolution."""
    if input_shape is None:
        return {name: 1 for name, module in layers.items() if not hasattr(module, "kernel_size")}
    found: dict[str, int] = {}

    def hook(name: str, module: nn.Module) -> Any:
        outputs = _outputs(module)

        def record(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            found[name] = found.get(name, 0) + output.numel() // outputs

        return record

    handles = [module.register_forward_hook(hook(name, module)) for name, module in layers.items()]
    training = {module: module.training for module in model.modules()}
    like = next(
        (tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()), torch.empty(0)
    )
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape, device=like.device, dtype=like.dtype))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    return found
