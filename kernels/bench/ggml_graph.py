"""A matrix product in ggml (llama.cpp's tensor library) through ggml-python, with a weight in one of its few-bit formats.

https://github.com/ggml-org/ggml; Q1_0 holds +-d with one scale for 128 weights, TQ2_0 ternary weights with one for 256.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kernels.bench.cases import Problem
from kernels.bench.engine import Unavailable

BLOCKS = {"Q1_0": 128, "TQ2_0": 256}


def multiply(problem: Problem, weight: Tensor, format: str) -> tuple[Callable[[], Tensor], int]:
    """``x @ weight.T`` on torch's number of threads: the call and the bytes of the weight.

    The graph is planned once. A call copies nothing: the input was written into ggml's memory before, the answer is a view of it.

    Raises:
        Unavailable: the row length is no multiple of the format's block, or this ggml has no such format.
    """
    import ggml  # type: ignore[import-not-found, unused-ignore]

    rows, columns = weight.shape
    if columns % BLOCKS[format]:
        raise Unavailable(f"a row of {columns} weights is no multiple of the format's block of {BLOCKS[format]}")
    kind = getattr(ggml, f"GGML_TYPE_{format}", None)
    if kind is None:
        raise Unavailable("this version has no such format")
    x, batch = problem.x, problem.case.batch
    room = weight.nbytes + 4 * batch * (rows + columns) + 2**22
    context = ggml.ggml_init(ggml.ggml_init_params(mem_size=room, mem_buffer=None, no_alloc=False))
    held = ggml.ggml_new_tensor_2d(context, kind, columns, rows)
    given = ggml.ggml_new_tensor_2d(context, ggml.GGML_TYPE_F32, columns, batch)
    answer = ggml.ggml_mul_mat(context, held, given)
    graph = ggml.ggml_new_graph(context)
    ggml.ggml_build_forward_expand(graph, answer)
    values = ctypes.cast(weight.contiguous().data_ptr(), ctypes.POINTER(ctypes.c_float))
    size = int(ggml.ggml_quantize_chunk(kind, values, ggml.ggml_get_data(held), 0, rows, columns, None))
    ctypes.memmove(ggml.ggml_get_data(given), x.data_ptr(), x.nbytes)
    plan = ggml.ggml_graph_plan(graph, torch.get_num_threads(), None)
    work = (ctypes.c_uint8 * max(1, plan.work_size))()
    plan.work_data = ctypes.cast(work, type(plan.work_data))
    reference: Any = ctypes.byref(plan)
    numbers = (ctypes.c_float * (batch * rows)).from_address(ggml.ggml_get_data(answer))
    out = torch.frombuffer(numbers, dtype=torch.float32).reshape(batch, rows)
    compute = ggml.ggml_graph_compute

    def call() -> Tensor:
        compute(graph, reference)
        return out

    call.work = work  # type: ignore[attr-defined]  # lives as long as the call
    weakref.finalize(call, ggml.ggml_free, context)
    return call, size
