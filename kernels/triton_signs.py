"""The bits of the distinct rows as operand A of the tensor cores: their order in memory, and how a kernel makes signs of them in registers.

Layout ("planes", made once by ``pack_planes``; still one bit a weight): uint8 (S, R, 16), a step s for 128 columns. Bit j of byte (s, r, c) is
the sign of column k = 128*s + 16*j + c of distinct row r (1 = +1, 0 = -1), columns past the last are 0 bits. So a program reads the bytes of a
step as one contiguous piece, each byte once, and bit j of all of them is a (rows, 16) operand, the K of one wgmma.

``signs`` gives up to 128 columns at once, for one product. No integer is converted to a float: the bit is shifted to the sign position and flips
the sign of a constant -1.0. The planes are put side by side with ``tl.join``, which moves nothing between threads, so that the operand stays in
registers (shifts that come from ``tl.arange`` send it through shared memory) and the wgmma of a step run on while the next step is unpacked.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import TileGeometry, unpack_bits

PLANE_BYTES = 16
STEP = 8 * PLANE_BYTES
INTERPRETED = bool(
    triton.knobs.runtime.interpret
)  # TRITON_INTERPRET=1 counts if it is set before the first import of triton
SIGNS = {
    torch.float32: (31, -0x40800000),
    torch.float16: (15, -0x4400),
    torch.bfloat16: (15, -0x4080),
}  # sign bit, bit pattern of -1.0


def distinct_signs(tile: Tensor, geometry: TileGeometry) -> Tensor:
    """(R, row_length) uint8 of the distinct rows, 1 for +1 and 0 for -1.

    Raises:
        ValueError: ``tile`` is not the uint8 bytes of one tile.
    """
    bits = unpack_bits(tile, geometry.tile_length, torch.int8) > 0
    rows = bits.repeat(geometry.tiles_per_copy).reshape(geometry.distinct_rows, geometry.row_length)
    return rows.to(torch.uint8)


def pack_rows(rows: Tensor) -> Tensor:
    """Rows of bits in the order in which the kernels read them (see the head of this file).

    Args:
        rows: (R, n) uint8 of 0 and 1.

    Returns:
        (ceil(n / 128), R, 16) uint8 on the same device.
    """
    count, length = rows.shape
    planes = torch.nn.functional.pad(rows, (0, -length % STEP)).reshape(count, -1, 8, PLANE_BYTES)
    shifts = torch.arange(8, dtype=torch.uint8, device=rows.device)[:, None]
    return (planes << shifts).sum(2, dtype=torch.uint8).transpose(0, 1).contiguous()


def operand(dtype: torch.dtype, columns: int) -> dict[str, Any]:
    """Compile-time constants of a kernel that multiplies ``columns`` of them at once; float32 takes 16, or the FMA units run out of registers."""
    sign_bit, minus_one = SIGNS[dtype]
    chunk = PLANE_BYTES if dtype == torch.float32 else columns
    return {"CAST32": INTERPRETED, "SIGN_BIT": sign_bit, "MINUS_ONE": minus_one, "CHUNK": chunk, "PLANE_BYTES": PLANE_BYTES}  # fmt: skip


@triton.jit  # type: ignore[untyped-decorator]
def _plane(packed, J: tl.constexpr, SIGN_BIT: tl.constexpr, MINUS_ONE: tl.constexpr):  # type: ignore[no-untyped-def]
    return (((packed >> J) & 1) << SIGN_BIT) ^ MINUS_ONE


@triton.jit  # type: ignore[untyped-decorator]
def _planes2(packed, J: tl.constexpr, SIGN_BIT: tl.constexpr, MINUS_ONE: tl.constexpr):  # type: ignore[no-untyped-def]
    return tl.join(_plane(packed, J, SIGN_BIT, MINUS_ONE), _plane(packed, J + 1, SIGN_BIT, MINUS_ONE))


@triton.jit  # type: ignore[untyped-decorator]
def _planes4(packed, J: tl.constexpr, SIGN_BIT: tl.constexpr, MINUS_ONE: tl.constexpr):  # type: ignore[no-untyped-def]
    return tl.join(_planes2(packed, J, SIGN_BIT, MINUS_ONE), _planes2(packed, J + 2, SIGN_BIT, MINUS_ONE))


@triton.jit  # type: ignore[untyped-decorator]
def signs(  # type: ignore[no-untyped-def]
    packed, FIRST: tl.constexpr, CHUNK: tl.constexpr, SIGN_BIT: tl.constexpr, MINUS_ONE: tl.constexpr, kind: tl.constexpr
):  # fmt: skip
    """(rows, CHUNK) of +1 and -1 in the floating type ``kind`` from the planes FIRST, FIRST + 1, ... of ``packed``, (rows, 16) of an integer type
    of the same width. CHUNK is 16, 32, 64 or 128 columns."""
    if CHUNK == 16:
        found = _plane(packed, FIRST, SIGN_BIT, MINUS_ONE)
    elif CHUNK == 32:
        found = tl.permute(_planes2(packed, FIRST, SIGN_BIT, MINUS_ONE), (0, 2, 1))
    elif CHUNK == 64:
        found = tl.permute(_planes4(packed, FIRST, SIGN_BIT, MINUS_ONE), (0, 3, 2, 1))
    else:
        low, high = _planes4(packed, 0, SIGN_BIT, MINUS_ONE), _planes4(packed, 4, SIGN_BIT, MINUS_ONE)
        found = tl.permute(tl.join(low, high), (0, 4, 3, 2, 1))
    return tl.reshape(found, (packed.shape[0], CHUNK)).to(packed.dtype).to(kind, bitcast=True)
