"""Which calls a C function may answer in the place of torch: ordinary float32 tensors on the CPU of which nobody asks a gradient.
Everything else is torch's, which also says what is wrong with a wrong shape."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from kernels.cpu.codes import LANES
from kernels.cpu.engine import engine


def ordinary(x: Tensor, bias: Tensor | None, rows: int, prepared: bool) -> bool:
    """Whether the tensors of a call are ordinary.

    Args:
        x: the input.
        bias: None, or what should be (rows,) float32.
        rows: outputs of the layer.
        prepared: whether the codes are there; they are not made inside of a graph.
    """
    if torch.compiler.is_compiling():
        if torch.compiler.is_exporting() or not prepared:
            return False  # an exported program is for other machines
    elif _needs_torch(x):
        return False
    return (
        x.is_cpu
        and x.dtype == torch.float32
        and (bias is None or (bias.dtype == torch.float32 and bias.shape == (rows,)))
        and not (torch.is_grad_enabled() and (x.requires_grad or (bias is not None and bias.requires_grad)))
        and not torch.is_autocast_enabled("cpu")
    )


def _needs_torch(x: Tensor) -> bool:
    """Whether only torch's own operators will do: a subclass, a pending negation, a mode (FLOP counter, fake tensors), torch.func,
    torch.jit.trace or a forward gradient."""
    return (
        type(x) is not Tensor
        or x.is_neg()
        or is_in_torch_dispatch_mode()
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
    )


def fits(x: Tensor, codes: Tensor, words: int, scale: Tensor, bias: Tensor | None, distinct_rows: int) -> bool:
    """Whether codes, factors and bias are those of a layer of R rows and ``words`` words a row, all in the right dtype and on the CPU."""
    outputs = len(scale) * distinct_rows
    return (
        codes.shape == (-(-distinct_rows // LANES), words, LANES)
        and codes.dtype == torch.int32
        and x.dtype == scale.dtype == torch.float32
        and scale.shape in ((len(scale),), (len(scale), distinct_rows))
        and (bias is None or (bias.dtype == torch.float32 and bias.shape == (outputs,)))
        and all(tensor.is_cpu for tensor in (x, codes, scale, bias) if tensor is not None)
    )


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def choice() -> tuple[str, bool]:
    """Name of the version that runs here, and whether it was forced."""
    found = engine()
    return found.name, found.forced
