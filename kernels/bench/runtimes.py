"""An ONNX model in ONNX Runtime or OpenVINO, ready to be timed on one input.

Both get torch's number of threads and the input's fixed shape. Input and output are bound once, so that a call is the runtime's work and as
little Python as it allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def onnxruntime_session(model: Any, batch: int, profile: str | None = None) -> Any:
    """A session; an axis that the model calls ``batch`` is fixed. ``profile``: prefix of the file to which it writes its operations' times."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    options.add_free_dimension_override_by_name("batch", batch)
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def onnxruntime_call(model: Any, x: Tensor) -> Callable[[], Tensor]:
    """The answer to ``x``, float32, into the same memory at each call."""
    session = onnxruntime_session(model, len(x))
    given, wanted = session.get_inputs()[0].name, session.get_outputs()[0].name
    out = torch.from_numpy(session.run([wanted], {given: x.numpy()})[0])
    binding = session.io_binding()
    for bind, tensor, name in ((binding.bind_input, x, given), (binding.bind_output, out, wanted)):
        bind(name, "cpu", 0, tensor.numpy().dtype, list(tensor.shape), tensor.data_ptr())
    run = session.run_with_iobinding

    def call(_: Tensor = x) -> Tensor:  # the binding knows the input's address alone: the call keeps it alive
        run(binding)
        return out

    return call


def openvino_call(model: Any, x: Tensor) -> Callable[[], Tensor]:
    """The answer to ``x``, fp32 throughout (OpenVINO's own choice on new CPUs is bf16)."""
    import openvino  # type: ignore[import-untyped, unused-ignore]

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    read = core.read_model(model.SerializeToString())
    read.reshape(list(x.shape))
    request = core.compile_model(read, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x.numpy(), shared_memory=True))
    request.infer()
    out = torch.from_numpy(request.get_output_tensor().data)

    def call(_: Tensor = x) -> Tensor:
        request.infer()
        return out

    return call
