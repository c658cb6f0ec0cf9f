"""What all packed layers share: the stored tensors, what the engines expand from them, and how long that stays true.

Stored: ``tile`` (ceil(q / 8),) uint8 with the bit order of ``kernels.layout``; ``alphas`` (p,) or (1,) float32; ``bias`` (m,) or None. What the
engine expands from them is a cache beside the state dict, made at the first forward and again after any change, also one in place. A layer that
``tbn.fuse`` has worked on also holds ``gain`` (m,) float32 and ``activation``: what came behind it, done where its copies are written.
"""

from __future__ import annotations

import itertools
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels import dispatch, layout
from kernels.layout import Window, geometry_of
from kernels.orders import Order
from tbn.errors import TBNError

AUTOCAST_DEVICES = ("cpu", "cuda", "xpu", "mps")
AUTOCAST = (torch.float32, torch.float16, torch.bfloat16)  # what autocast casts
DTYPES = frozenset((*AUTOCAST, torch.float64))  # of inputs; integers would cut the alphas off


def _writes(tensor: Tensor | None) -> int:
    """torch's count of writes to a tensor; it keeps none for inference tensors."""
    return 0 if tensor is None or tensor.is_inference() else tensor._version


_COUNTER = itertools.count()


def _edition() -> str:
    """A name that no other layer has: torch.compile uses a graph again for each layer of one class that looks the same, and its constants
    with it. Not a number, which torch.compile would take for an input of the graph."""
    return str(next(_COUNTER))


def _moved(factor: Tensor | None, other: Tensor | None) -> Tensor | None:
    """A factor where ``other``, its twin that was cast, is now, and in the dtype that it had. From the meta device no numbers come."""
    if factor is None or other is None:
        return None
    return other.to(factor.dtype) if factor.is_meta else factor.to(other.device)


class WeightFacts:
    """What a packed layer can tell of its ``weight``: shape, dtype and device, for models that ask (``x.to(self.fc.weight.dtype)``).

    It has no values. A model that multiplies with it goes around the layer and is told so; ``tile_`` leaves such layers where it sees them.
    """

    requires_grad = False

    def __init__(self, shape: tuple[int, ...], like: Tensor) -> None:
        self.shape, self.dtype, self.device = torch.Size(shape), like.dtype, like.device

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> None:
        raise TBNError(
            f"the model passes the weight of a packed layer to {getattr(function, '__name__', function)} itself, and so goes around the layer",
            "keep that layer dense: tile_(model, TilingConfig(exclude=(its name,)))",
        )


class PackedLayer(nn.Module):
    """What the packed layers share.

    Args:
        weight_shape: shape of the weight that the layer stands for; the first number is m (the inputs where ``transposed``).
        p: tiling factor.
        alpha_count: p, or 1 for one alpha a layer.
        bias: whether there is one.
        window: of a convolution.
        order: where the blocks lie in the weight (``kernels.orders``).
    """

    tile: Tensor
    alphas: Tensor
    bias: Tensor | None
    gain: Tensor | None
    like: Tensor
    transposed = False
    border: list[int] | None = None
    padding_mode: str

    def __init__(
        self,
        weight_shape: tuple[int, ...],
        p: int,
        alpha_count: int,
        bias: bool,
        window: Window | None = None,
        order: Order = "rows",
    ) -> None:
        super().__init__()
        self.weight_shape = weight_shape
        self.p = p
        self.window = window
        self.activation = "none"
        self.geometry = geometry_of(weight_shape, p, order)
        self.register_buffer("tile", torch.zeros(layout.packed_length(self.geometry.tile_length), dtype=torch.uint8))
        self.register_buffer("alphas", torch.zeros(alpha_count))
        self.register_buffer("bias", torch.zeros(self.outputs) if bias else None)
        self.register_buffer("gain", None)
        self.register_buffer(
            "like", torch.empty(0), persistent=False
        )  # the model's dtype and device, through all casts
        # how often tile, alphas and gain were written, and what was made of them then
        self._ready: tuple[tuple[int, ...], dispatch.Prepared] | None = None
        self._edition = _edition()  # of what a compiled graph holds of this layer

    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        """Moves and casts as torch does, but the factors stay float32: they are few and they scale everything."""
        alphas, gain = self.alphas, self.gain
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.alphas, self.gain = cast("Tensor", _moved(alphas, self.alphas)), _moved(gain, self.gain)
        self._forget()
        return self

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._forget()

    def _forget(self) -> None:
        """What was expanded, here and in compiled graphs, is no longer true."""
        self._ready, self._edition = None, _edition()

    def prepared(self, dtype: torch.dtype) -> dispatch.Prepared:
        """What the engine multiplies with, for one dtype; made once and kept until the bits or factors change.

        A graph of torch.compile takes it as constant, and is made again after a move, a cast or a load, but does not see a write into ``tile``,
        ``alphas`` or ``gain``; an exported program unpacks the bits itself.
        """
        if torch.compiler.is_compiling():
            return self._prepare(dtype) if torch.compiler.is_exporting() else self._constant(dtype, self._edition)
        return self._kept(dtype)

    def _kept(self, dtype: torch.dtype) -> dispatch.Prepared:
        buffers = self._buffers  # every attribute of its own would cost as much as all of the rest
        tile, alphas, gain = buffers["tile"], buffers["alphas"], buffers["gain"]
        writes = _writes(tile), _writes(alphas), _writes(gain)
        if self._ready is not None:
            seen, ready = self._ready
            same = ready.tile is tile and ready.alphas is alphas and ready.gain is gain and seen == writes
            if same and ready.dtype is dtype and ready.activation == self.activation:
                return ready
        ready = self._prepare(dtype)
        self._ready = writes, ready
        return ready

    def _prepare(self, dtype: torch.dtype) -> dispatch.Prepared:
        return dispatch.prepare(self.tile, self.alphas, self.geometry, dtype, self.window, self.gain, self.activation)

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _constant(self, dtype: torch.dtype, edition: str) -> dispatch.Prepared:
        return self._kept(dtype).expanded()

    def _given(self, input: Tensor) -> tuple[Tensor, Tensor | None, dispatch.Prepared]:
        """Input and bias in the dtype of the products, which autocast may set, and what the engine multiplies with.

        Raises:
            TBNError: the input is no tensor of floats.
        """
        dtype = getattr(input, "dtype", None)
        if dtype not in DTYPES:
            what = dtype if isinstance(input, Tensor) else type(input).__name__
            raise TBNError(f"{type(self).__name__} got {what} for input", "give it a tensor of floats, x.float()")
        device = "cpu" if input.is_cpu else input.device.type
        if device in AUTOCAST_DEVICES and torch.is_autocast_enabled(device) and dtype in AUTOCAST:
            dtype = torch.get_autocast_dtype(device)
            input = input.to(dtype)
        bias = self._buffers["bias"]
        if bias is not None and bias.dtype is not dtype:
            bias = bias.to(dtype)
        return input, bias, self.prepared(dtype)

    def _fits(self, x: Tensor) -> None:
        """Whether an input has the layer's channels, where they are added up before anything of torch's own would look.

        Raises:
            TBNError: it has others.
        """
        axis = -1 if self.window is None else -1 - len(self.window.kernel)
        count = self.weight_shape[0 if self.transposed else 1] * (1 if self.window is None else self.window.groups)
        if x.dim() < -axis or x.shape[axis] != count:
            where = f"its last axis must have {count}" if axis == -1 else f"it is expected to have {count} channels"
            raise TBNError(f"{type(self).__name__} got an input of shape {tuple(x.shape)}", where)

    def framed(self, input: Tensor) -> Tensor:
        """The input with the border that ``window`` has not: of another mode than zeros, or with sides of two widths."""
        if self.border is None:
            return input
        return F.pad(input, self.border, mode="constant" if self.padding_mode == "zeros" else self.padding_mode)

    @property
    def share(self) -> bool:
        """Whether equal rows see equal inputs; in a grouped convolution they do not, unless the rows are the inputs."""
        return self.window is None or self.window.groups == 1 or self.order == "inputs"

    @property
    def order(self) -> Order:
        """Where the blocks lie in the weight."""
        return self.geometry.order

    @property
    def fused(self) -> bool:
        """Whether the layer also does what came behind it."""
        return self.gain is not None or self.activation != "none"

    @property
    def outputs(self) -> int:
        """Outputs (or output channels) of the layer."""
        return self.weight_shape[1 if self.transposed else 0]

    @property
    def weight(self) -> WeightFacts:
        """Shape, dtype and device of the weight that the layer stands for; no values."""
        return WeightFacts(self.weight_shape, self.like)

    @property
    def computed_rows(self) -> int:
        """Rows that are multiplied (the dense layer multiplies m)."""
        return dispatch.computed_rows(self.geometry, self.alphas.numel(), self.share)

    def dense_weight(self) -> Tensor:
        """The scaled weight that the bits stand for: ``weight_shape`` float32."""
        from kernels.reference import dense_weight

        weight = dense_weight(self.tile, self.alphas, self.geometry)
        if self.order != "inputs":
            return weight.reshape(self.weight_shape)
        return weight.reshape(self.weight_shape[1], self.weight_shape[0], *self.weight_shape[2:]).transpose(0, 1)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_edition": _edition()})  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        then = f", then {self.activation}" if self.activation != "none" else ""
        shape = "x".join(map(str, self.weight_shape))
        order = f", order={self.order}" if self.order != "rows" else ""
        return f"{shape}, p={self.p}, alphas={self.alphas.numel()}, bias={self.bias is not None}{order}{then}"
