"""The cases as ONNX graphs, written node by node, for ONNX Runtime and OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kernels.bench.cases import Case, Layer, Problem
from kernels.layout import unpack_bits

OPSET = 18


@dataclass
class Graph:
    """A graph under construction; names are given in order."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """One operation; the name of its (first) output."""
        from onnx import helper

        names = [f"v{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0]

    def constant(self, value: Tensor) -> str:
        """An initialiser."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.contiguous().numpy(), name))
        return name

    def model(self, problem: Problem, last: str) -> Any:
        """The finished ModelProto with input ``x`` and output ``y``."""
        from onnx import TensorProto, helper

        self.nodes.append(helper.make_node("Identity", [last], ["y"]))
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(problem.x.shape))
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "case", [x], [y], self.constants)
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=9)

    def gelu(self, x: str) -> str:
        """0.5 x (1 + erf(x / sqrt 2))."""
        half, root, one = (self.constant(torch.tensor(value)) for value in (0.5, 0.5**0.5, 1.0))
        return self.add(
            "Mul", self.add("Mul", x, half), self.add("Add", self.add("Erf", self.add("Mul", x, root)), one)
        )

    def copies(self, z: str, case: Case, layer: Layer, gain: Tensor | None, bias: Tensor | None) -> str:
        """Scaled copies of the distinct rows: (batch, R, *space) -> (batch, m, *space)."""
        geometry, tail = layer.geometry, (1, 1) if case.op == "conv" else ()
        scale = layer.alphas.expand(geometry.copies)[:, None].expand(-1, geometry.distinct_rows)
        if gain is not None:
            scale = scale * gain.reshape(scale.shape)
        z = self.add(
            "Mul",
            self.add("Unsqueeze", z, self.constant(torch.tensor([1]))),
            self.constant(scale.reshape(*scale.shape, *tail)),
        )
        if bias is not None:
            z = self.add("Add", z, self.constant(bias.reshape(*scale.shape, *tail)))
        space = (case.size,) * 2 if case.op == "conv" else ()
        return self.add("Reshape", z, self.constant(torch.tensor([case.batch, geometry.rows, *space])))


def rows_of(layer: Layer) -> Tensor:
    """(R, row_length) float32: the signs of the distinct rows."""
    geometry = layer.geometry
    return unpack_bits(layer.tile, geometry.tile_length).reshape(geometry.distinct_rows, geometry.row_length)


def _product(graph: Graph, x: str, case: Case, weight: Tensor, bias: Tensor | None = None) -> str:
    """A matrix product or convolution with ``weight`` (rows, row_length)."""
    if case.op != "conv":
        return graph.add("MatMul", x, graph.constant(weight.T))
    filters = graph.constant(weight.reshape(len(weight), case.columns, case.kernel, case.kernel))
    inputs = [x, filters, *([] if bias is None else [graph.constant(bias)])]
    return graph.add("Conv", *inputs, pads=[case.kernel // 2] * 4)


def dense(problem: Problem) -> Any:
    """The case with its dense weights."""
    graph, case = Graph(), problem.case
    y = _product(graph, "x", case, problem.weights[0], problem.bias)
    if case.op == "conv":
        y = graph.add("Relu", y)
    if case.op == "mlp":
        y = _product(graph, graph.gelu(y), case, problem.weights[1])
    return graph.model(problem, y)


def compute_once(problem: Problem, p: int) -> Any:
    """The case with the distinct rows and their scaled copies."""
    graph, case = Graph(), problem.case
    first, *others = problem.layers[p]
    y = graph.copies(_product(graph, "x", case, rows_of(first)), case, first, problem.gain, problem.bias)
    if case.op == "conv":
        y = graph.add("Relu", y)
    for layer in others:
        y = graph.copies(_product(graph, graph.gelu(y), case, rows_of(layer)), case, layer, None, None)
    return graph.model(problem, y)


def collapsed(problem: Problem, first: Tensor, second: Tensor, copies: int) -> Any:
    """The perceptron with its copies contracted (``kernels.bench.ours.contract``)."""
    graph, case = Graph(), problem.case
    y = _product(graph, graph.gelu(_product(graph, "x", case, first)), case, second)
    return graph.model(problem, graph.add("Concat", *[y] * copies, axis=1))
