"""What people would use on an NVIDIA GPU instead: cuBLAS and cuDNN through torch, torch's int4, torchao, bitsandbytes, gemlite and humming.

Written from their documentation; none has been run by this project yet. Whatever one of them refuses becomes a line of "not measured" with its own
words. One-bit weights of gemlite: (W_q - 0.5) * 2 alpha is +-alpha exactly.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from kernels.bench.cases import Problem
from kernels.bench.engine import Engine, Peer, Unavailable
from kernels.bench.peers import four_bits, torch_dense

GROUP = 32


def _only_bf16(problem: Problem) -> Tensor:
    if problem.case.dtype != torch.bfloat16:
        raise Unavailable("bf16 inputs only")
    return problem.weights[0]


def _held(layer: Any) -> int:
    """Bytes of a module's tensors."""
    return sum(tensor.nbytes for tensor in (*layer.parameters(), *layer.buffers()))


def own_precision(problem: Problem) -> Engine:
    """cuBLAS or cuDNN in the case's own dtype; fp32 without TF32."""
    return torch_dense(problem, problem.case.dtype)


def torch_int4(problem: Problem) -> Engine:
    """torch's tinygemm: 4-bit weights, bf16 inputs, groups of 32."""
    weight = _only_bf16(problem)
    values, scales = four_bits(weight)
    bytes_ = ((values[:, ::2] + 8) << 4 | (values[:, 1::2] + 8)).to(torch.uint8).contiguous()
    held = torch.ops.aten._convert_weight_to_int4pack(bytes_, 8)
    factors = torch.stack([scales, torch.zeros_like(scales)], -1).transpose(0, 1).contiguous().bfloat16()
    call = partial(torch.ops.aten._weight_int4pack_mm, problem.x, held, GROUP, factors)
    return Engine("torch int4", call, held.nbytes + factors.nbytes, "int4")


def _linear(weight: Tensor) -> torch.nn.Linear:
    """A bf16 ``nn.Linear`` with this weight, on its device."""
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device=weight.device, dtype=torch.bfloat16)
    layer.weight = torch.nn.Parameter(weight.bfloat16(), requires_grad=False)
    return layer


def torchao_int4(problem: Problem) -> Engine:
    """torchao's int4 weight-only linear (https://docs.pytorch.org/ao)."""
    from torchao.quantization import Int4WeightOnlyConfig, quantize_  # type: ignore[import-not-found, unused-ignore]

    weight = _only_bf16(problem)
    model = torch.nn.Sequential(_linear(weight))
    quantize_(model, Int4WeightOnlyConfig(group_size=GROUP, int4_packing_format="tile_packed_to_4d"))
    return Engine("torchao int4", partial(model, problem.x), weight.numel() // 2 + 4 * weight.numel() // GROUP, "int4")


def bitsandbytes_nf4(problem: Problem) -> Engine:
    """bitsandbytes' 4-bit NormalFloat linear (https://huggingface.co/docs/bitsandbytes)."""
    from bitsandbytes import nn as layers  # type: ignore[import-not-found, unused-ignore]

    weight = _only_bf16(problem)
    layer = layers.Linear4bit(
        weight.shape[1], weight.shape[0], bias=False, compute_dtype=torch.bfloat16, quant_type="nf4"
    )
    layer.weight = layers.Params4bit(weight.bfloat16().cpu(), requires_grad=False, quant_type="nf4")
    layer = layer.cuda()
    return Engine("bitsandbytes NF4", partial(layer, problem.x), weight.numel() // 2 + 4 * weight.numel() // 64, "nf4")


def gemlite_1bit(problem: Problem) -> Engine:
    """gemlite's 1-bit weights with 16-bit inputs (https://github.com/dropbox/gemlite)."""
    import gemlite  # type: ignore[import-not-found, unused-ignore]

    weight = _only_bf16(problem)
    rows, columns = weight.shape
    group = min(columns, 128)
    layer = gemlite.GemLiteLinear(
        W_nbits=1,
        group_size=group,
        in_features=columns,
        out_features=rows,
        input_dtype=gemlite.DType.BF16,
        output_dtype=gemlite.DType.BF16,
    )
    scales = 2 * weight.reshape(rows, -1, group).abs().amax(-1).bfloat16()
    layer.pack((weight > 0).to(torch.uint8), scales, torch.full_like(scales, 0.5), None)
    return Engine("gemlite 1 bit", partial(layer, problem.x), weight.numel() // 8 + 2 * scales.nbytes, "1 bit")


def humming_1bit(problem: Problem) -> Engine:
    """humming's 1-bit weights with bf16 inputs (https://github.com/inclusionAI/humming)."""
    from humming.layer import HummingLayer  # type: ignore[import-not-found, unused-ignore]

    weight = _only_bf16(problem)
    rows, columns = weight.shape
    settings = {"dtype": "uint1", "group_size": 128, "scale_dtype": "bfloat16", "has_zero_point": True}
    layer = HummingLayer(shape_n=rows, shape_k=columns, weight_config=settings, torch_dtype=torch.bfloat16).cuda()
    layer.load_from_unquantized(weight.bfloat16())
    layer.transform()
    return Engine("humming 1 bit", partial(layer, inputs=problem.x), _held(layer), "1 bit")


PEERS = (
    Peer("torch", "torch", own_precision, dense=True),  # its engines are "torch bf16" and "torch fp32"
    Peer("torch int4", "torch", torch_int4, linear_only=True),
    Peer("torchao int4", "torchao", torchao_int4, linear_only=True),
    Peer("bitsandbytes NF4", "bitsandbytes", bitsandbytes_nf4, linear_only=True),
    Peer("gemlite 1 bit", "gemlite", gemlite_1bit, linear_only=True),
    Peer("humming 1 bit", "humming", humming_1bit, "humming-kernels", linear_only=True),
)
