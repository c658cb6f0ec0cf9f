"""Where the time of a packed network goes: ONNX Runtime's own profile of the compute-once graph, added up by kind of operation."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from kernels.bench import runtimes
from tbn.packed import PackedLayer
from tbn.speed.engines import graph
from tbn.speed.networks import Network

KINDS = ("tiled products", "other products", "attention", "copies and epilogue", "norms and activations", "rest")
PRODUCTS = ("Conv", "FusedConv", "NhwcFusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm")
NORMS = ("BatchNormalization", "LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization", "Relu", "Gelu", "FastGelu", "BiasGelu",
         "QuickGelu", "Erf", "Sigmoid", "HardSwish", "ReduceMean", "Sqrt", "Div", "Pow")  # fmt: skip
ATTENTION = ("Softmax", "Attention", "MultiHeadAttention", "GroupQueryAttention")


def time_by_kind(network: Network, batch: int, calls: int = 20, dense: bool = False) -> dict[str, float]:
    """Milliseconds of one call of the compute-once (or dense) graph by kind of operation, on torch's number of threads: medians of ``calls``
    calls after a warm-up.

    A product belongs to a tiled layer if its weight has the shape of that layer's distinct rows; one of two results to attention. A multiplication
    or sum with a constant is the epilogue of a layer; "rest" are residual sums, changes of layout, poolings, joins.
    """
    x = network.inputs(batch)
    with tempfile.TemporaryDirectory() as folder:
        session = runtimes.onnxruntime_session(graph(network, dense), batch, profile=str(Path(folder) / "profile"))
        given = {session.get_inputs()[0].name: x.numpy()}
        for _ in range(calls + 3):
            session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text())
    return added_up(events, tiled_shapes(network, dense), calls)


def tiled_shapes(network: Network, dense: bool) -> set[tuple[int, ...]]:
    """Shapes of the weights that tiled layers multiply (in the dense network: the whole ones), axes sorted: a runtime may lay them out otherwise."""
    layers = [
        module for module in network.packed.modules() if isinstance(module, PackedLayer) and module.geometry.copies > 1
    ]
    return {_plain((layer.outputs if dense else layer.computed_rows, *layer.weight_shape[1:])) for layer in layers}


def _plain(shape: Any) -> tuple[int, ...]:
    return tuple(sorted(size for size in shape if size > 1))


def added_up(events: list[dict[str, Any]], tiled: set[tuple[int, ...]], calls: int) -> dict[str, float]:
    """Milliseconds a call by kind: of each operation of a profile the median of its last ``calls`` runs."""
    total, durations, facts = dict.fromkeys(KINDS, 0.0), defaultdict(list), {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            durations[event["name"]].append(event["dur"])
            facts[event["name"]] = event["args"]
    for name, times in durations.items():
        total[kind_of(facts[name], tiled)] += median(times[-calls:]) / 1e3
    return {kind: round(value, 4) for kind, value in total.items()}


def kind_of(facts: dict[str, Any], tiled: set[tuple[int, ...]]) -> str:
    """The kind of one operation, from its name and the shapes of its inputs and output (a matrix that a runtime has laid out anew is no input)."""
    name = facts["op_name"]
    shapes, outputs = (_shapes(facts.get(f"{side}_type_shape", [])) for side in ("input", "output"))
    if name in PRODUCTS and "Conv" in name:
        return "tiled products" if _plain(shapes[1]) in tiled else "other products"
    if name in PRODUCTS:
        if len(shapes) > 1 and len(shapes[1]) > 2:
            return "attention"
        return "tiled products" if _plain((shapes[0][-1], outputs[0][-1])) in tiled else "other products"
    if name in ATTENTION:
        return "attention"
    if name in NORMS:
        return "norms and activations"
    if name in ("Mul", "Add", "Sub") and len(set(shapes)) > 1:
        return "copies and epilogue"
    return "copies and epilogue" if name in ("Expand", "Tile", "Reshape", "Unsqueeze") else "rest"


def _shapes(entries: list[dict[str, Any]]) -> list[tuple[int, ...]]:
    return [tuple(shape) for entry in entries for shape in entry.values()]
