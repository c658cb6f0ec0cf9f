"""What the Triton kernels refuse, each with its way out."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.dispatch import ACTIVATIONS
from kernels.layout import TileGeometry
from kernels.triton_signs import INTERPRETED, PLANE_BYTES, SIGNS, STEP


def check_input(x: Tensor, others: dict[str, Tensor | None]) -> None:
    """Refuse a dtype or a device that the kernels do not take, and tensors of several devices."""
    if x.dtype not in SIGNS:
        raise ValueError(
            f"the Triton kernel takes float32, float16 or bfloat16, not {x.dtype}; convert x, or use kernels.dispatch"
        )
    if not x.is_cuda and not INTERPRETED:
        raise ValueError(
            f"the Triton kernel needs a CUDA device, x is on {x.device}; kernels.dispatch chooses the engine by device"
        )
    for name, tensor in others.items():
        if tensor is not None and tensor.device != x.device:
            raise ValueError(
                f"{name} is on {tensor.device} but x on {x.device}; move the layer with .to({str(x.device)!r})"
            )


def check_layer(
    geometry: TileGeometry, alphas: Tensor, gain: Tensor | None, bias: Tensor | None, activation: str
) -> None:
    """Refuse a layer that the kernels do not take, and an epilogue that does not fit it."""
    if geometry.copies == 1 or (alphas.numel() > 1 and geometry.tiles_per_copy > 1):
        raise ValueError("no copies to write, or several alphas in one row; kernels.dispatch takes this layer")
    if alphas.dtype != torch.float32 or alphas.shape not in ((1,), (geometry.p,)):
        raise ValueError(f"alphas must be (1,) or ({geometry.p},) float32, got {tuple(alphas.shape)} {alphas.dtype}")
    if gain is not None and (gain.shape != (geometry.rows,) or gain.dtype != torch.float32):
        raise ValueError(f"gain must be ({geometry.rows},) float32, got {tuple(gain.shape)} {gain.dtype}")
    if bias is not None and bias.shape != (geometry.rows,):
        raise ValueError(f"bias must be ({geometry.rows},), got {tuple(bias.shape)}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r} is not known here; use one of {', '.join(ACTIVATIONS)}")


def check_planes(planes: Tensor, length: int, rows: int, made_by: str) -> None:
    """Refuse bytes that are not the planes of (rows, length) bits."""
    shape = (-(-length // STEP), rows, PLANE_BYTES)
    if planes.shape != shape or planes.dtype != torch.uint8 or not planes.is_contiguous():
        raise ValueError(
            f"planes must be {shape} contiguous uint8, got {tuple(planes.shape)} {planes.dtype}; make them with {made_by}"
        )
