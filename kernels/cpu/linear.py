"""The tiled linear layer on the native CPU kernel (``linear.c``): where it pays, the operator of torch, the shares of the threads.

``multiply`` is called directly, which costs 3 microseconds less than a call through torch; ``operator`` is the same under the name
``tbn::cpu_linear``, with a fake, so that torch.compile takes it as one step of a graph. Neither has a backward: ``kernels.dispatch`` calls
them where no gradient is asked for.

With ``TBN_CPU=int8`` in the environment the layer rounds each row of x to multiples of max|x| / 127 (``int8.c``): a product with signs is then off
by at most row_length * max|x| / 254, about 1 % of the largest output for normally distributed x. It is for CPUs
with AVX-512 VNNI ("native int8" in the benchmark); without VNNI it is slower than float32.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kernels.cpu.codes import CHUNK, LANES, distinct_minus, pack_rows
from kernels.cpu.engine import Engine, engine
from kernels.cpu.ordinary import choice, fits, ordinary
from kernels.cpu.threads import run
from kernels.layout import TileGeometry

if TYPE_CHECKING:
    from kernels.dispatch import Prepared

MOST_COLUMNS = 2**24  # whose sum of 8-bit inputs fits 32 bits
PART_SIGNS = 2**24  # signs to add, over all inputs, from which a thread is worth its start (0.1 ms of AVX-512)
# from how many distinct rows, and up to how many inputs, each version is faster than torch with those rows (measured on an AMD Zen 5 core)
PAYS = {"avx512": (16, inf), "avx2": (32, inf), "portable": (256, 1)}


def supports(geometry: TileGeometry, alpha_count: int) -> bool:
    """Whether each distinct row has one alpha a copy. A layer with one copy fits, too: its bits are faster than its dense weight."""
    return alpha_count == 1 or geometry.tiles_per_copy == 1


def takes(x: Tensor, layer: Prepared, bias: Tensor | None) -> bool:
    """Whether the kernel is to multiply this: an ordinary call (``kernels.cpu.ordinary``) and a shape where it pays."""
    return (
        layer.cpu_rows > 0
        and ordinary(x, bias, layer.geometry.rows, "codes" in layer.__dict__)
        and x.shape[-1:] == (layer.geometry.row_length,)
        and layer.geometry.row_length <= MOST_COLUMNS
        and pays(x.numel() // layer.geometry.row_length, layer.cpu_rows)
    )


def pays(batch: int, distinct_rows: int) -> bool:
    """Whether the kernel is expected to be faster than torch with the distinct rows; wherever there is one, if TBN_CPU forces it."""
    name: str
    name, forced = choice()
    if forced or name == "torch":
        return name != "torch"
    least_rows, most_inputs = PAYS[name]
    return distinct_rows >= least_rows and batch <= most_inputs


def pack_codes(tile: Tensor, geometry: TileGeometry) -> Tensor:
    """The distinct rows in the kernel's order.

    Args:
        tile: (ceil(q / 8),) uint8, packed as ``kernels.layout`` says.
        geometry: shape and tiling factor.

    Returns:
        (ceil(R / 16), ceil(n / 32), 16) int32.
    """
    return pack_rows(distinct_minus(tile, geometry))


def linear(
    x: Tensor, codes: Tensor, scale: Tensor, bias: Tensor | None, distinct_rows: int, relu: bool = False
) -> Tensor:
    """``relu(scale * (x @ signs.T) + bias)`` of a packed layer, float32: what ``operator`` does. Checks what it is given and calls ``multiply``.

    Args:
        x: (..., row_length) float32 on the CPU, any strides.
        codes: ``pack_codes`` of the layer.
        scale: (copies,) float32, one a copy, or (copies, distinct_rows), one an output.
        bias: (copies * distinct_rows,) float32 or None.
        distinct_rows: R.
        relu: whether negative outputs become 0.

    Returns:
        (..., copies * distinct_rows) float32.

    Raises:
        ValueError: a shape or dtype that the kernel does not take.
        RuntimeError: the kernel is not to be had on this machine (``kernels.cpu.status``).
    """
    if not fits(x, codes, -(-x.shape[-1] // CHUNK), scale, bias, distinct_rows) or x.shape[-1] > MOST_COLUMNS:
        raise ValueError(
            f"the CPU kernel cannot multiply x {tuple(x.shape)} {x.dtype} with codes {tuple(codes.shape)} {codes.dtype}, scale "
            f"{tuple(scale.shape)} and {'no' if bias is None else bias.numel()} biases for {distinct_rows} rows; kernels.dispatch.linear takes "
            "any layer"
        )
    if engine().linear is None:
        raise RuntimeError(f"there is no native CPU kernel here ({engine().reason}); use kernels.dispatch.linear")
    return multiply(x, codes.contiguous(), scale.contiguous(), bias, distinct_rows, relu)


def multiply(
    x: Tensor,
    codes: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    distinct_rows: int,
    relu: bool = False,
    by: Engine | None = None,
) -> Tensor:
    """``linear`` without its checks, for a caller that has asked ``takes``; ``codes`` and ``scale`` are contiguous. ``by``: another engine than
    this process's."""
    found = by or engine()
    columns, blocks, copies = x.shape[-1], codes.shape[0], scale.shape[0]
    x = x.contiguous()
    bias = None if bias is None else bias.contiguous()
    out = x.new_empty((*x.shape[:-1], copies * distinct_rows))
    batch = out.numel() // (copies * distinct_rows)
    fixed = (
        *(found.lut, x.data_ptr(), codes.data_ptr(), scale.data_ptr(), None if bias is None else bias.data_ptr()),
        *(out.data_ptr(), columns, distinct_rows, copies, scale.dim() == 2, relu),
    )
    threads = torch.get_num_threads()
    if threads == 1 or batch * blocks * LANES * columns < 2 * PART_SIGNS:
        found.linear(*fixed, 0, batch, 0, blocks)  # type: ignore[misc]
    else:
        run(found.linear, fixed, _shares(batch, blocks, columns, threads))  # type: ignore[arg-type]
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


def _fake(
    x: Tensor, codes: Tensor, scale: Tensor, bias: Tensor | None, distinct_rows: int, relu: bool = False
) -> Tensor:
    return x.new_empty((*x.shape[:-1], scale.shape[0] * distinct_rows))


_LIBRARY = torch.library.Library("tbn", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define(  # type: ignore[no-untyped-call]
    "cpu_linear(Tensor x, Tensor codes, Tensor scale, Tensor? bias, int distinct_rows, bool relu=False) -> Tensor"
)
_LIBRARY.impl("cpu_linear", linear, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake("tbn::cpu_linear", _fake, lib=_LIBRARY)
operator = torch.ops.tbn.cpu_linear
