"""How a network can be run on a CPU: dense by torch, torch.compile, ONNX Runtime and OpenVINO, packed by this package and by the same two.

An engine is a function from a network and an input to a call. One that is not to be had here, or fails, is named with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

import tbn
from kernels.bench import runtimes
from kernels.bench.engine import Unavailable
from tbn.export.onnx import to_onnx
from tbn.speed.networks import Network

Call = Callable[[], Tensor]
Build = Callable[[Network, Tensor], Call]
COMPILED_UP_TO = 16
PACKAGES = {"ONNX Runtime": ("onnx", "onnxscript", "onnxruntime"), "OpenVINO": ("onnx", "onnxscript", "openvino")}


def eager(network: Network, x: Tensor) -> Call:
    """torch as it is."""
    return partial(network.dense, x)


def compiled(network: Network, x: Tensor) -> Call:
    """torch.compile for this batch with frozen weights, so that they are laid out for the products beforehand: its fastest form."""
    from torch._inductor import config

    if len(x) > COMPILED_UP_TO:
        raise Unavailable(f"each batch takes 10 s to compile; measured up to batch {COMPILED_UP_TO}")

    with config.patch(freezing=True):
        torch.compiler.reset()
        call = torch.compile(network.dense, dynamic=False)
        with torch.no_grad():  # frozen weights want no inference mode while compiling
            call(x)
    return partial(call, x)


def packed(network: Network, x: Tensor) -> Call:
    """The packed layers as ``tbn.freeze`` leaves them, on the engine that ``kernels.dispatch`` chooses."""
    return partial(network.packed, x)


def fused(network: Network, x: Tensor) -> Call:
    """The packed network with its norms and activations folded into its layers."""
    return partial(_fused(network), x)


@cache
def _fused(network: Network) -> nn.Module:
    return tbn.fuse(network.packed)


@cache
def graph(network: Network, dense: bool) -> Any:
    """The network as an ONNX model."""
    return to_onnx(network.dense if dense else network.packed, network.input_shape)


def in_onnxruntime(network: Network, x: Tensor, dense: bool) -> Call:
    """ONNX Runtime, for this batch."""
    return runtimes.onnxruntime_call(graph(network, dense), x)


def in_openvino(network: Network, x: Tensor, dense: bool) -> Call:
    """OpenVINO, for this batch."""
    return runtimes.openvino_call(graph(network, dense), x)


DENSE: Mapping[str, Build] = {
    "torch": eager,
    "torch.compile": compiled,
    "ONNX Runtime": partial(in_onnxruntime, dense=True),
    "OpenVINO": partial(in_openvino, dense=True),
}
OURS: Mapping[str, Build] = {
    "packed": packed,
    "packed, fused": fused,
    "ONNX compute-once, ONNX Runtime": partial(in_onnxruntime, dense=False),
    "ONNX compute-once, OpenVINO": partial(in_openvino, dense=False),
}


def why_missing(name: str) -> str | None:
    """One line if an engine cannot be had here."""
    for runtime, packages in PACKAGES.items():
        if name.endswith(runtime):
            absent = [package for package in packages if find_spec(package) is None]
            return f"{name}: not installed: {', '.join(absent)}" if absent else None
    return None
