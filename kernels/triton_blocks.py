"""How a Triton launch is cut into programs: a fixed rule, the candidates of the tuner, and the choice between the two. Needs no triton.

The rule was made without timings, from the registers and the shared memory that sm_90a code uses (``python -m kernels.sm90``) and from one fact:
the signs cost almost no traffic, so a program reads mostly inputs, and the more distinct rows it owns the fewer bytes it needs for a product. A
table that ``python -m kernels.tune`` measured on the device (``kernels.triton_table``) comes before the rule.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from kernels.triton_table import table

PROCESSORS = 132  # of an H100 or H200: so many programs fill it
STEP = 128  # columns that a program takes at once
Shape = tuple[int, int, int, int]
FLOAT32: tuple[Shape, ...] = ((32, 16, 4, 2), (64, 64, 8, 2))
FEW: tuple[Shape, ...] = ((64, 16, 4, 3), (64, 16, 4, 4), (128, 16, 4, 3), (128, 16, 8, 4))  # up to 16 inputs
SOME: tuple[Shape, ...] = ((64, 64, 4, 3), (64, 64, 4, 4), (128, 64, 4, 3), (128, 64, 8, 4))  # up to 64
NARROW: tuple[Shape, ...] = ((64, 128, 4, 3), (64, 128, 4, 2))  # many inputs, up to 64 rows
TALL: Shape = (256, 128, 8, 3)
MANY: tuple[Shape, ...] = ((128, 128, 8, 3), TALL, (128, 256, 8, 3))
TABLE_BATCHES = (1, 4, 16, 64, 256, 1024, 4096)


class Work(NamedTuple):
    """What a launch has to do.

    Attributes:
        op: "linear" or "conv".
        rows: R, distinct rows.
        columns: that are multiplied (a convolution: kernel positions times channels, rounded up to 16).
        batch: inputs (a convolution: places of the output).
    """

    op: str
    dtype: torch.dtype
    rows: int
    columns: int
    batch: int

    @property
    def steps(self) -> int:
        """How often a program that owns all columns takes a step."""
        return cdiv(self.columns, STEP)

    def key(self) -> str:
        """Its entry in a table, e.g. ``linear bfloat16 1024x4096 batch 64``; the largest batch of the table that is no larger than this one."""
        batch = max((size for size in TABLE_BATCHES if size <= self.batch), default=TABLE_BATCHES[0])
        return f"{self.op} {str(self.dtype).removeprefix('torch.')} {self.rows}x{self.columns} batch {batch}"


class Blocks(NamedTuple):
    """Size of one program: distinct rows, inputs, warps, stages of the load pipeline; and splits, the programs that share the columns."""

    rows: int
    batch: int
    warps: int
    stages: int
    splits: int = 1

    def grid(self, rows: int, batch: int) -> tuple[int, int]:
        """Programs of a split, and splits."""
        return cdiv(rows, self.rows) * cdiv(batch, self.batch), self.splits

    def constants(self, dtype: torch.dtype) -> dict[str, int]:
        """As a launch takes them. float32 with 8 warps has a limit of registers, or ptxas spills a few to use fewer."""
        limit = {"maxnreg": 128} if dtype == torch.float32 and self.warps == 8 else {}
        sizes = {"BLOCK_ROWS": self.rows, "BLOCK_BATCH": self.batch}
        return sizes | {"num_warps": self.warps, "num_stages": self.stages} | limit


def cdiv(count: int, size: int) -> int:
    """How many pieces of ``size`` cover ``count``."""
    return -(-count // size)


def shapes(work: Work) -> tuple[Shape, ...]:
    """The shapes of a program that fit this work, and the registers of sm_90."""
    if work.dtype == torch.float32:
        return FLOAT32
    if work.batch <= 16:
        return FEW
    if work.batch <= 64:
        return SOME
    if work.rows <= 64:
        return NARROW + SOME
    return MANY + SOME


def with_splits(work: Work, shape: Shape, splits: int | None = None) -> Blocks:
    """Blocks with about so many splits, none of them empty. None: as many as fill the GPU in one wave, each of two steps or more."""
    if splits is None:
        programs = Blocks(*shape).grid(work.rows, work.batch)[0]
        splits = min(PROCESSORS // programs, work.steps // 2)
    splits = min(max(1, splits), work.steps)
    return Blocks(*shape, cdiv(work.steps, cdiv(work.steps, splits)))


def rule(work: Work) -> Blocks:
    """The choice without a table: small blocks for small batches, the tallest ones where they still fill the GPU."""
    fitting = shapes(work)
    shape = fitting[work.batch > 16] if work.dtype == torch.float32 else fitting[0]
    if TALL in fitting and Blocks(*TALL).grid(work.rows, work.batch)[0] >= PROCESSORS:
        shape = TALL
    return with_splits(work, shape)


def candidates(work: Work) -> list[Blocks]:
    """What the tuner times, the rule's choice first: each shape with no split, the rule's number of splits, half and twice as many."""
    found = [rule(work)]
    for shape in shapes(work):
        splits = with_splits(work, shape).splits
        found += [with_splits(work, shape, count) for count in (1, splits // 2, splits, 2 * splits)]
    return list(dict.fromkeys(found))


def blocks_for(work: Work, x: Tensor) -> Blocks:
    """The table's choice if the device of ``x`` has a table with this work, else the rule's."""
    entry = table(_name(x.get_device())).get(work.key()) if x.is_cuda else None
    return Blocks(*entry) if entry else rule(work)


@lru_cache
def _name(index: int) -> str:
    return torch.cuda.get_device_name(index)
