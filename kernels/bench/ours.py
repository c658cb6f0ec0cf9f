"""The engines of this package, each on the whole packed layer.

compute-once multiplies the distinct rows and writes the scaled copies; memory-only writes the whole weight out of the bits at every call and
multiplies that, which saves memory but no time: what the paper's own inference does. "collapsed" is for the perceptron, where the copies between
its two layers are never written: the second weight is contracted beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import dispatch
from kernels.bench import graphs, runtimes
from kernels.bench.cases import Problem, run_dense
from kernels.bench.engine import Engine, Unavailable
from kernels.layout import TileGeometry
from kernels.reference import dense_weight

Builder = tuple[str, Callable[[], Engine]]


def builders(problem: Problem) -> list[Builder]:
    """Every engine at every factor of the problem, by name; memory-only at the first factor alone, as it multiplies all rows whatever p is."""
    kernel = "triton" if problem.x.is_cuda else "native"
    once = {"torch": once_torch, kernel: once_kernel, "onnxruntime": once_onnxruntime}
    if problem.case.op == "linear" and kernel == "native":
        once["native int8"] = once_int8
    contracted = {"torch": collapsed_torch, kernel: collapsed_kernel, "onnxruntime": collapsed_onnxruntime}
    if problem.x.is_cuda:
        del once["onnxruntime"], contracted["onnxruntime"], contracted[kernel]
    found: list[Builder] = [
        ("memory-only (torch)", partial(memory_only, problem, "memory-only (torch)", problem.factors[0]))
    ]
    for p in problem.factors:
        found += [
            (f"compute-once ({key})", partial(build, problem, f"compute-once ({key})", p))
            for key, build in once.items()
        ]
        if problem.case.op == "mlp":
            found += [
                (f"collapsed ({key})", partial(build, problem, f"collapsed ({key})", p))
                for key, build in contracted.items()
            ]
    return found


def prepared(problem: Problem, p: int) -> list[dispatch.Prepared]:
    """What ``kernels.dispatch`` multiplies: the layers of the problem."""
    case = problem.case
    activations = {"linear": ("none",), "conv": ("relu",), "mlp": ("gelu", "none")}[case.op]
    return [
        dispatch.prepare(layer.tile, layer.alphas, layer.geometry, case.dtype, case.window, problem.gain, activation)
        for layer, activation in zip(problem.layers[p], activations, strict=True)
    ]


def chain(problem: Problem, layers: list[dispatch.Prepared], one: Callable[..., Tensor]) -> Callable[[], Tensor]:
    """One layer after the other."""
    bias = None if problem.bias is None else problem.bias.to(problem.case.dtype)
    if len(layers) == 1:
        return partial(one, problem.x, layers[0], bias)
    return lambda: one(one(problem.x, layers[0]), layers[1])


def once_torch(problem: Problem, name: str, p: int) -> Engine:
    """torch's product or convolution with the expanded distinct rows, then one pass for the copies."""
    layers = prepared(problem, p)
    one = dispatch.conv_torch if problem.case.op == "conv" else dispatch.linear_torch
    size = sum(layer.weight.nbytes + layer.scale.nbytes for layer in layers)
    return Engine(name, chain(problem, layers, one), size, dtype_of(problem), p, problem.case.macs // p)


def once_kernel(problem: Problem, name: str, p: int) -> Engine:
    """The packed bits in the C kernel (tables looked up, so no multiply-adds are counted) or in the Triton kernel."""
    layers = prepared(problem, p)
    if problem.x.is_cuda:
        if not dispatch.uses_triton(problem.x):
            raise Unavailable("dispatch does not take the Triton kernel here")
    else:
        require_native(problem, layers[0])
    one = dispatch.conv if problem.case.op == "conv" else dispatch.linear
    macs = problem.case.macs // p if problem.x.is_cuda else None
    return Engine(name, chain(problem, layers, one), packed_bytes(problem, p), dtype_of(problem), p, macs)


def once_int8(problem: Problem, name: str, p: int) -> Engine:
    """The packed bits in the C kernel that rounds the inputs to 8 bits, which nobody gets unasked (TBN_CPU=int8)."""
    from kernels.cpu.engine import chosen
    from kernels.cpu.linear import multiply

    (layer,) = prepared(problem, p)
    require_native(problem, layer)
    call = partial(multiply, problem.x, *layer.codes, problem.bias, layer.cpu_rows, by=chosen("int8"))
    return Engine(name, call, packed_bytes(problem, p), "int8", p)


def once_onnxruntime(problem: Problem, name: str, p: int) -> Engine:
    """ONNX Runtime with the expanded distinct rows."""
    x = in_float32(problem)
    call = runtimes.onnxruntime_call(graphs.compute_once(problem, p), x)
    rows = sum(4 * layer.geometry.distinct_rows * layer.geometry.row_length for layer in problem.layers[p])
    return Engine(name, call, rows, "float32", p, problem.case.macs // p)


def memory_only(problem: Problem, name: str, p: int) -> Engine:
    """The whole weight unpacked at each call, then torch's dense operation."""
    case, layers = problem.case, problem.layers[p]
    bias = None if problem.bias is None else problem.bias.to(case.dtype)

    def call() -> Tensor:
        weights = [dense_weight(layer.tile, layer.alphas, layer.geometry) for layer in layers]
        if problem.gain is not None:
            weights[0] *= problem.gain[:, None]
        return run_dense(case, problem.x, [weight.to(case.dtype) for weight in weights], bias)

    return Engine(name, call, packed_bytes(problem, p), dtype_of(problem), p, case.macs)


def contract(problem: Problem, p: int) -> tuple[Tensor, Tensor]:
    """The perceptron without copies between its layers: (R1, n) scaled distinct rows of the first, (R2, R1) of the second, whose columns that
    meet equal hidden values are added up. Exact for one alpha a layer."""
    first, second = problem.layers[p]
    added = graphs.rows_of(second).reshape(-1, first.geometry.copies, first.geometry.distinct_rows).sum(1)
    dtype = problem.case.dtype
    return (graphs.rows_of(first) * first.alphas).to(dtype), (added * second.alphas).to(dtype)


def collapsed_torch(problem: Problem, name: str, p: int) -> Engine:
    """Two small products in torch, and the copies of the last one."""
    first, second = contract(problem, p)
    macs, x = problem.case.batch * (first.numel() + second.numel()), problem.x
    return Engine(
        name,
        lambda: F.linear(F.gelu(F.linear(x, first)), second).repeat(1, p),
        first.nbytes + second.nbytes,
        dtype_of(problem),
        p,
        macs,
    )


def collapsed_kernel(problem: Problem, name: str, p: int) -> Engine:
    """The first product by the C kernel, as a layer of one copy."""
    layer, (_, second), case = problem.layers[p][0], contract(problem, p), problem.case
    geometry = TileGeometry(layer.geometry.distinct_rows, layer.geometry.row_length, 1)
    once = dispatch.prepare(layer.tile, layer.alphas, geometry, case.dtype, activation="gelu")
    require_native(problem, once)
    x, size = problem.x, layer.packed_bytes + second.nbytes
    return Engine(name, lambda: F.linear(dispatch.linear(x, once), second).repeat(1, p), size, dtype_of(problem), p)


def collapsed_onnxruntime(problem: Problem, name: str, p: int) -> Engine:
    """The two small products as an ONNX graph."""
    x, (first, second) = in_float32(problem), contract(problem, p)
    call = runtimes.onnxruntime_call(graphs.collapsed(problem, first, second, p), x)
    return Engine(
        name, call, first.nbytes + second.nbytes, "float32", p, problem.case.batch * (first.numel() + second.numel())
    )


def require_native(problem: Problem, layer: dispatch.Prepared) -> None:
    """Refuse what dispatch would leave to torch."""
    if layer.window is None:
        from kernels.cpu import linear

        taken = linear.takes(problem.x, layer, problem.bias)
    else:
        from kernels.cpu import conv

        taken = conv.takes(problem.x, layer, problem.bias, layer.window)
    if not taken:
        raise Unavailable("left to torch, which is faster or the only one")


def in_float32(problem: Problem) -> Tensor:
    """The input, if ONNX Runtime can have it."""
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise Unavailable(f"the package {package} is not installed")
    if problem.case.dtype != torch.float32:
        raise Unavailable("float32 inputs only")
    return problem.x


def packed_bytes(problem: Problem, p: int) -> int:
    """Bits and alphas of all layers."""
    return sum(layer.packed_bytes for layer in problem.layers[p])


def dtype_of(problem: Problem) -> str:
    """As rows name it."""
    return str(problem.case.dtype).removeprefix("torch.")
