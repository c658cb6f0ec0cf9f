"""The tiled linear layer on the native CPU kernel (``linear.c``): the order of the bits, the operator of torch, the threads.

``multiply`` is called directly, which costs 3 microseconds less than a call through torch; ``operator`` is the same under the name
``tbn::cpu_linear``, with a fake, so that torch.compile takes it as one step of a graph. Neither has a backward: ``kernels.dispatch`` calls
them where no gradient is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from kernels.cpu.engine import engine
from kernels.layout import TileGeometry, unpack_bits

if TYPE_CHECKING:
    from kernels.dispatch import Prepared

LANES = 16  # rows of a block
CHUNK = 32  # columns in a word
PART_SIGNS = 2**24  # signs to add, over all inputs, from which a thread is worth its start (0.1 ms of AVX-512)
# from how many distinct rows, and up to how many inputs, each version is faster than torch with those rows (measured on an AMD Zen 5 core)
PAYS = {"avx512": (16, inf), "avx2": (32, inf), "portable": (256, 1)}


def supports(geometry: TileGeometry, alpha_count: int) -> bool:
    """Whether each distinct row has one alpha a copy. A layer with one copy fits, too: its bits are faster than its dense weight."""
    return alpha_count == 1 or geometry.tiles_per_copy == 1


def takes(x: Tensor, layer: Prepared, bias: Tensor | None) -> bool:
    """Whether the kernel is to multiply this: ordinary float32 tensors on the CPU, no gradient asked for, and a shape where it pays.
    Everything else is torch's, which also says what is wrong with a wrong shape."""
    if torch.compiler.is_compiling():
        if torch.compiler.is_exporting() or "codes" not in layer.__dict__:
            return False  # an exported program is for other machines; codes are not made inside of a graph
    elif _needs_torch(x):
        return False
    return (
        layer.cpu_rows > 0
        and x.is_cpu
        and x.dtype == torch.float32
        and x.shape[-1:] == (layer.geometry.row_length,)
        and (bias is None or (bias.dtype == torch.float32 and bias.shape == (layer.geometry.rows,)))
        and not (torch.is_grad_enabled() and (x.requires_grad or (bias is not None and bias.requires_grad)))
        and not torch.is_autocast_enabled("cpu")
        and pays(x.numel() // layer.geometry.row_length, layer.cpu_rows)
    )


def _needs_torch(x: Tensor) -> bool:
    """Whether only torch's own operators will do: a subclass, a pending negation, a mode (FLOP counter, fake tensors), torch.func or a
    forward gradient."""
    return (
        type(x) is not Tensor
        or x.is_neg()
        or is_in_torch_dispatch_mode()
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
    )


def pays(batch: int, distinct_rows: int) -> bool:
    """Whether the kernel is expected to be faster than torch with the distinct rows; wherever there is one, if TBN_CPU forces it."""
    name, forced = _choice()
    if name == "torch":
        return False
    least_rows, most_inputs = PAYS[name]
    return forced or (distinct_rows >= least_rows and batch <= most_inputs)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _choice() -> tuple[str, bool]:
    found = engine()
    return found.name, found.forced


def pack_codes(tile: Tensor, geometry: TileGeometry) -> Tensor:
    """The distinct rows in the order in which the kernel reads them (see the head of ``linear.c``); still one bit a weight.

    Args:
        tile: (ceil(q / 8),) uint8, packed as ``kernels.layout`` says.
        geometry: shape and tiling factor.

    Returns:
        (ceil(R / 16), ceil(n / 32), 16) int32.
    """
    minus = unpack_bits(tile, geometry.tile_length, torch.int8) < 0
    rows = minus.repeat(geometry.tiles_per_copy).reshape(geometry.distinct_rows, geometry.row_length)
    rows = torch.nn.functional.pad(rows, (0, -geometry.row_length % CHUNK, 0, -geometry.distinct_rows % LANES))
    groups = rows.to(torch.uint8).reshape(-1, LANES, rows.shape[1] // CHUNK, 4, 2, 4)  # ..., bytes, nibbles, columns
    last = groups[..., 3:]
    shifts = torch.arange(4, dtype=torch.uint8)
    nibbles = (torch.cat([groups[..., :3] ^ last, last], -1) << shifts).sum(-1, dtype=torch.uint8)
    words = (nibbles[..., 0] | nibbles[..., 1] << 4).transpose(1, 2).contiguous()
    return words.view(torch.int32).squeeze(-1)


def linear(x: Tensor, codes: Tensor, alphas: Tensor, bias: Tensor | None, distinct_rows: int) -> Tensor:
    """``x @ W.T + bias`` of a packed layer, float32: what ``operator`` does. Checks what it is given and calls ``multiply``.

    Args:
        x: (..., row_length) float32 on the CPU, any strides.
        codes: ``pack_codes`` of the layer.
        alphas: (copies,) float32, one a copy.
        bias: (copies * distinct_rows,) float32 or None.
        distinct_rows: R.

    Returns:
        (..., copies * distinct_rows) float32.

    Raises:
        ValueError: a shape or dtype that the kernel does not take.
        RuntimeError: the kernel is not to be had on this machine (``kernels.cpu.status``).
    """
    if (
        codes.shape != (-(-distinct_rows // LANES), -(-x.shape[-1] // CHUNK), LANES)
        or codes.dtype != torch.int32
        or x.dtype != torch.float32
        or alphas.dtype != torch.float32
        or (bias is not None and (bias.dtype != torch.float32 or bias.numel() != alphas.numel() * distinct_rows))
        or not (x.is_cpu and codes.is_cpu and alphas.is_cpu and (bias is None or bias.is_cpu))
    ):
        raise ValueError(
            f"the CPU kernel cannot multiply x {tuple(x.shape)} {x.dtype} with codes {tuple(codes.shape)} {codes.dtype}, {alphas.numel()} alphas "
            f"and {'no' if bias is None else bias.numel()} biases for {distinct_rows} rows; kernels.dispatch.linear takes any layer"
        )
    if engine().function is None:
        raise RuntimeError(f"there is no native CPU kernel here ({engine().reason}); use kernels.dispatch.linear")
    return multiply(x, codes.contiguous(), alphas.contiguous(), bias, distinct_rows)


def multiply(x: Tensor, codes: Tensor, alphas: Tensor, bias: Tensor | None, distinct_rows: int) -> Tensor:
    """``linear`` without its checks, for a caller that has asked ``takes``; ``codes`` and ``alphas`` are contiguous."""
    function: Callable[..., None] = engine().function  # type: ignore[assignment]
    columns, blocks, copies = x.shape[-1], codes.shape[0], alphas.numel()
    x = x.contiguous()
    bias = None if bias is None else bias.contiguous()
    out = x.new_empty((*x.shape[:-1], copies * distinct_rows))
    batch = out.numel() // (copies * distinct_rows)
    fixed = (
        *(x.data_ptr(), codes.data_ptr(), alphas.data_ptr(), None if bias is None else bias.data_ptr(), out.data_ptr()),
        *(columns, distinct_rows, copies),
    )
    threads = torch.get_num_threads()
    if threads == 1 or batch * blocks * LANES * columns < 2 * PART_SIGNS:
        function(*fixed, 0, batch, 0, blocks)
        return out
    first, *others = _shares(batch, blocks, columns, threads)
    waiting = [_pool().submit(function, *fixed, *share) for share in others]
    function(*fixed, *first)
    for job in waiting:
        job.result()
    return out


def _shares(batch: int, blocks: int, columns: int, threads: int) -> list[tuple[int, int, int, int]]:
    """One (first input, end, first block, end) a thread; the answer does not depend on the cut. Inputs are cut in pairs, which share the
    reading of the codes; blocks where the inputs are too few."""
    count = min(threads, batch * blocks * LANES * columns // PART_SIGNS)
    pairs = -(-batch // 2)
    if pairs >= count:
        cuts = [min(2 * (k * pairs // count), batch) for k in range(count + 1)]
        return [(start, stop, 0, blocks) for start, stop in pairwise(cuts)]
    count = min(count, blocks)
    return [(0, batch, start, stop) for start, stop in pairwise([k * blocks // count for k in range(count + 1)])]


_threads: ThreadPoolExecutor | None = None


def _pool() -> ThreadPoolExecutor:
    """Threads for the other shares; the C function runs without the interpreter's lock."""
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="tbn-cpu")
    return _threads


def _forget_pool() -> None:
    """A forked process has no threads of its parent's pool."""
    global _threads
    _threads = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _fake(x: Tensor, codes: Tensor, alphas: Tensor, bias: Tensor | None, distinct_rows: int) -> Tensor:
    return x.new_empty((*x.shape[:-1], alphas.numel() * distinct_rows))


_LIBRARY = torch.library.Library("tbn", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("cpu_linear(Tensor x, Tensor codes, Tensor alphas, Tensor? bias, int distinct_rows) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("cpu_linear", linear, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake("tbn::cpu_linear", _fake, lib=_LIBRARY)
operator = torch.ops.tbn.cpu_linear
