"""What people would use on a CPU instead: torch, ONNX Runtime, OpenVINO and ggml.

Each peer multiplies the whole weight of the same layer. Quantised peers get weights of two values a group, which they hold exactly or nearly;
the error that is left is in the row. A peer that is not installed, cannot take a shape, fails or answers wrongly is named with its reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kernels.bench import ggml_graph, graphs, runtimes
from kernels.bench.cases import Problem, run_dense
from kernels.bench.engine import Engine, Peer, Unavailable

GROUP = 32  # weights that share a scale in the 4-bit formats


def torch_dense(problem: Problem, dtype: torch.dtype = torch.float32) -> Engine:
    """``F.linear`` or ``F.conv2d`` with ReLU; in bf16 the input comes in bf16."""
    case, x = problem.case, problem.x.to(dtype)
    weights = [weight.to(dtype) for weight in problem.weights]
    bias = None if problem.bias is None else problem.bias.to(dtype)
    kind = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    size = sum(weight.nbytes for weight in weights)
    name = str(dtype).removeprefix("torch.")
    return Engine(f"torch {kind}", lambda: run_dense(case, x, weights, bias), size, name, macs=case.macs)


def torch_int8(problem: Problem) -> Engine:
    """torch's dynamic int8 linear: a scale a row, the input quantised at each call; FBGEMM, or oneDNN where that is missing."""
    weight = problem.weights[0]
    supported = torch.backends.quantized.supported_engines
    known = [name for name in ("fbgemm", "x86", "onednn", "qnnpack") if name in supported]
    if not known:
        raise Unavailable("this build of torch has no quantised engine")
    before = torch.backends.quantized.engine
    try:
        torch.backends.quantized.engine = known[0]
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # "deprecated": there is nothing else with the same kernels yet
            scales, zeros = weight.abs().amax(1) / 127, torch.zeros(len(weight), dtype=torch.long)
            quantised = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
            held = torch.ops.quantized.linear_prepack(quantised, None)
    finally:
        torch.backends.quantized.engine = before
    return Engine(
        "torch dynamic int8",
        lambda: torch.ops.quantized.linear_dynamic(problem.x, held),
        weight.numel() + 4 * len(weight),
        "int8",
    )


def four_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers -7..7 (rows, row_length) int32 and (rows, groups) scales, symmetric, in groups of ``GROUP``."""
    if weight.shape[1] % GROUP:
        raise Unavailable(f"a row of {weight.shape[1]} weights is no multiple of the group of {GROUP}")
    groups = weight.reshape(len(weight), -1, GROUP)
    scales = groups.abs().amax(-1) / 7
    return (groups / scales[..., None]).round().to(torch.int32).reshape(weight.shape), scales


def torch_int4(problem: Problem) -> Engine:
    """torch's 4-bit weights with bf16 inputs (the fp32 input path of this operator is not vectorised)."""
    weight = problem.weights[0]
    if weight.shape[0] % 16:
        raise Unavailable(f"{weight.shape[0]} rows are no multiple of 16")
    values, scales = four_bits(weight)
    held = torch.ops.aten._convert_weight_to_int4pack_for_cpu(values + 8, 1)
    factors = torch.stack([scales, torch.zeros_like(scales)], -1).transpose(0, 1).contiguous().bfloat16()
    x = problem.x.bfloat16()
    call: Callable[[], Tensor] = partial(torch.ops.aten._weight_int4pack_mm_for_cpu, x, held, GROUP, factors)
    return Engine("torch int4", call, held.nbytes + factors.nbytes, "int4")


def in_graph(problem: Problem, name: str, call_of: Callable[[Any, Tensor], Callable[[], Tensor]]) -> Engine:
    """The dense case as an ONNX graph in a runtime."""
    size = sum(weight.nbytes for weight in problem.weights)
    return Engine(name, call_of(graphs.dense(problem), problem.x), size, macs=problem.case.macs)


def onnxruntime_int8(problem: Problem) -> Engine:
    """ONNX Runtime's dynamic int8: a scale a row, the input quantised at each call."""
    weight = problem.weights[0]
    scales = weight.abs().amax(1) / 127
    graph = graphs.Graph()
    held = graph.constant((weight / scales[:, None]).round().to(torch.int8).T)
    graph.add("DynamicQuantizeLinear", "x", outputs=3)
    x, step, zero = graph.nodes[-1].output
    whole = graph.add("Cast", graph.add("MatMulInteger", x, held, zero), to=1)
    y = graph.add("Mul", whole, graph.add("Mul", step, graph.constant(scales)))
    return Engine(
        "ONNX Runtime dynamic int8",
        runtimes.onnxruntime_call(graph.model(problem, y), problem.x),
        weight.numel() + scales.nbytes,
        "int8",
    )


def onnxruntime_int4(problem: Problem) -> Engine:
    """ONNX Runtime's MatMulNBits with 4-bit weights and int8 accumulation (accuracy_level 4)."""
    weight = problem.weights[0]
    values, scales = four_bits(weight)
    nibbles = (values + 8).to(torch.uint8).reshape(len(weight), -1, GROUP // 2, 2)
    held = nibbles[..., 0] | nibbles[..., 1] << 4
    graph = graphs.Graph()
    settings = {"K": weight.shape[1], "N": len(weight), "bits": 4, "block_size": GROUP, "accuracy_level": 4}
    y = graph.add("MatMulNBits", "x", graph.constant(held), graph.constant(scales), domain="com.microsoft", **settings)
    call = runtimes.onnxruntime_call(graph.model(problem, y), problem.x)
    return Engine("ONNX Runtime MatMulNBits 4 bit", call, held.nbytes + scales.nbytes, "int4")


def ggml(problem: Problem, format: str) -> Engine:
    """One of ggml's formats; the input is quantised to int8 at each call."""
    call, size = ggml_graph.multiply(problem, problem.weights[0], format)
    return Engine(f"ggml {format}", call, size, {"Q1_0": "1 bit", "TQ2_0": "2 bit"}[format])


PEERS = (
    Peer("torch fp32", "torch", torch_dense, dense=True),
    Peer("torch bf16", "torch", partial(torch_dense, dtype=torch.bfloat16)),
    Peer("torch dynamic int8", "torch", torch_int8, linear_only=True),
    Peer("torch int4", "torch", torch_int4, linear_only=True),
    Peer(
        "ONNX Runtime fp32",
        "onnxruntime",
        lambda problem: in_graph(problem, "ONNX Runtime fp32", runtimes.onnxruntime_call),
        dense=True,
    ),
    Peer("ONNX Runtime dynamic int8", "onnxruntime", onnxruntime_int8, linear_only=True),
    Peer("ONNX Runtime MatMulNBits 4 bit", "onnxruntime", onnxruntime_int4, linear_only=True),
    Peer(
        "OpenVINO fp32",
        "openvino",
        lambda problem: in_graph(problem, "OpenVINO fp32", runtimes.openvino_call),
        dense=True,
    ),
    Peer("ggml Q1_0", "ggml", partial(ggml, format="Q1_0"), "ggml-python", linear_only=True),
    Peer("ggml TQ2_0", "ggml", partial(ggml, format="TQ2_0"), "ggml-python", linear_only=True),
)
