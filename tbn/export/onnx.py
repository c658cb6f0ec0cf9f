"""A model as an ONNX file that computes each distinct row once and holds bits, not weights; and ONNX Runtime as an engine.

The file has one input, ``input`` (batch, *input_shape) float32, which is ``raw * scale + offset`` of the task's raw numbers, and one output,
``output`` (batch, ...) float32; batch is free. Scale, offset, classes and the rest of what a user needs beside the graph lie in its
``metadata_props`` (``metadata_of``). Opset 18 is the first with all that is used; its youngest operation is BitwiseAnd.

Writing needs the packages onnx and onnxscript, running onnxruntime; they are imported when a function asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import tbn
from tbn import artifact, runs
from tbn.errors import TBNError
from tbn.export.onnx_layers import RecognisedForms, unpacking
from tbn.export.run import cache_root
from tbn.files import write_bytes
from tbn.fusion import fuse
from tbn.layers import TiledLayer
from tbn.restore import deployed_model, task_of
from tbn.tasks import Task

OPSET = 18
FILE = "model.onnx"
LARGEST = 2**31 - 2**20  # bytes: protobuf's limit, and room for the graph
FOLDED = 16  # constants of up to so many elements are computed on export; larger ones (tiles above all) stay as they are stored


@dataclass(frozen=True)
class OnnxReport:
    """An exported file.

    Attributes:
        path: of the file.
        file_bytes: its length.
        nodes: operations in the graph.
        opset: version of the operations.
        metadata: what the file says of itself.
    """

    path: Path
    file_bytes: int
    nodes: int
    opset: int
    metadata: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "path": str(self.path)}


def export_run(run: str | Path | runs.Run, out_dir: str | Path | None = None) -> OnnxReport:
    """``model.onnx`` of a complete run, fused, full precision included, in ``out_dir`` or the run's folder (a zoo entry's: the user's cache).

    Raises:
        TBNError: the run is not complete, a package is missing, the model cannot be exported, or the file cannot be written.
    """
    found = run if isinstance(run, runs.Run) else runs.complete(run)
    folder = cache_root() / "zoo" / found.id if found.source == "zoo" else found.path
    task = task_of(found)
    metadata = {"run": found.id, **metadata_of(task)}
    return export_onnx(_model(found), task.input_shape, Path(out_dir or folder) / FILE, metadata)


def export_onnx(
    model: nn.Module, input_shape: Sequence[int], path: str | Path, metadata: Mapping[str, str] | None = None
) -> OnnxReport:
    """Write a model as ONNX, atomically. Arguments and errors as ``to_onnx``."""
    proto = to_onnx(model, input_shape, metadata)
    data = proto.SerializeToString()
    write_bytes(path, data)
    said = {entry.key: entry.value for entry in proto.metadata_props}
    return OnnxReport(Path(path).resolve(), len(data), len(proto.graph.node), OPSET, said)


def to_onnx(model: nn.Module, input_shape: Sequence[int], metadata: Mapping[str, str] | None = None) -> Any:
    """A packed model, or one with float32 layers, as an ``onnx.ModelProto``; the model is unchanged.

    Args:
        input_shape: of one input, without the batch.
        metadata: texts by name for the file's ``metadata_props``, added to the format's version and the registry name.

    Raises:
        TBNError: a package is missing, the model has latent weights or is too large, or torch cannot trace it for any batch size or has no
            translation of one of its operations.
    """
    for package in ("onnx", "onnxscript"):
        _import(package)
    if any(isinstance(module, TiledLayer) for module in model.modules()):
        raise TBNError("the model has latent weights, so its file would not be small", "export tbn.freeze(model)")
    if (size := sum(tensor.nbytes for tensor in model.state_dict().values())) > LARGEST:
        raise TBNError(
            f"the model has {size:,} bytes and an ONNX file holds {LARGEST:,}", "tile it: packed models are small"
        )
    inputs = torch.zeros(2, *input_shape)  # any other number than 0 and 1, which torch would take for fixed
    dynamic = ({0: torch.export.Dim("batch")},)
    twin = unpacking(model)
    try:
        with torch.no_grad(), RecognisedForms():
            traced = torch.export.export(twin, (inputs,), dynamic_shapes=dynamic, strict=False)
    except TBNError:
        raise
    except Exception as error:  # whatever the model's own code raises on symbolic shapes
        raise TBNError(
            f"{type(model).__name__} cannot be traced for every batch size: {_first_line(error)}",
            "write its forward without Python decisions on values or on the batch size (x.shape[0], not len(x))",
        ) from error
    try:
        program = torch.onnx.export(
            traced,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=({0: "batch"},),  # the name in the file
            opset_version=OPSET,
            optimize=False,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise TBNError(
            f"torch cannot write {type(model).__name__} as ONNX: {_first_line(error)}",
            "replace that operation in the model by ones that torch.onnx knows",
        ) from error
    assert program is not None
    _shorten(program.model)
    proto = program.model_proto
    proto.producer_name, proto.producer_version = "tbn", tbn.__version__
    del proto.metadata_props[:], proto.graph.value_info[:]  # the shapes between operations: every runtime infers them
    registry = getattr(model, "tbn_model", None) or {"name": type(model).__name__}
    texts = {"tbn_format": str(artifact.FORMAT_VERSION), "model": registry["name"], **(metadata or {})}
    for key, value in texts.items():
        proto.metadata_props.add(key=key, value=value)
    return proto


def metadata_of(task: Task) -> dict[str, str]:
    """What a file says of the task that its model was trained on: everything that turns raw numbers into an answer with a name."""
    return {
        "task": task.name,
        "kind": task.kind,
        "input": "raw * scale + offset",
        "scale": repr(task.scale),
        "offset": repr(task.offset),
        "classes": json.dumps(task.classes, ensure_ascii=False),
        "data": task.source,
    }


class RuntimeModel(nn.Module):
    """An ONNX model that ONNX Runtime executes on the CPU, called like any other module; as many threads as torch has.

    Args:
        model: an ``onnx.ModelProto``, or the path of a file.

    Raises:
        TBNError: onnxruntime is missing, or refuses the model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        onnxruntime = _import("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        source = str(model) if isinstance(model, str | Path) else model.SerializeToString()
        try:
            self.session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class
            raise TBNError(f"ONNX Runtime cannot load the model: {_first_line(error)}", "export it again") from error

    def forward(self, input: Tensor) -> Tensor:
        (output,) = self.session.run(["output"], {"input": input.numpy()})
        return torch.from_numpy(output)


def runtime_model(run: runs.Run, task: Task) -> RuntimeModel:
    """A run's exported model in ONNX Runtime."""
    _import("onnxruntime")  # before the work of the export
    return RuntimeModel(to_onnx(_model(run), task.input_shape))


def _model(run: runs.Run) -> nn.Module:
    """What is exported of a run: its packed model, each layer with the norm and activation behind it; or the dense one."""
    model = deployed_model(run)
    return fuse(model) if run.config["p"] else model


def _shorten(model: Any) -> None:
    """Fold small constants, drop what is written twice, and the exporter's comments on every operation."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    from onnxscript.optimizer import optimize

    optimize(model, input_size_limit=FOLDED, output_size_limit=FOLDED)
    ClearMetadataAndDocStringPass()(model)


def _import(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise TBNError(f"ONNX needs the package {package}, which is not installed", f"pip install {package}") from error


def _first_line(error: BaseException) -> str:
    """What went wrong first, in one line: the exporter wraps the cause in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
