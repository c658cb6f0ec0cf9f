"""Peak memory of inference, each way of holding the weights in a process of its own (Linux).

Counted is the growth of the resident size from before the network is read to the most that two calls reach: weights, what an engine makes of
them, activations. "paper" is the paper's way: every tile as float32 in memory, and the whole weight of one layer at a time written out of it
(arXiv 2407.12075 reports 2.8 times less GPU memory for its ViT).
"""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from kernels.layout import unpack_bits
from tbn.packed import PackedLayer, packed_like
from tbn.speed.networks import Network, network_of

WARM = ((nn.Linear(32, 64), (1, 32)), (nn.Conv2d(4, 64, 3), (1, 4, 8, 8)))
WAYS = ("dense", "paper", "packed")


def peaks(network: Network, batch: int) -> dict[str, int] | None:
    """Bytes by way; None on a system without /proc."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    return {way: _peak(network, way, batch) for way in WAYS}


def held(network: Network, way: str) -> nn.Module:
    """The network with its weights held in one of ``WAYS``."""
    return paper_way(network) if way == "paper" else network.dense if way == "dense" else network.packed


def paper_way(network: Network) -> nn.Module:
    """The dense network whose packed layers hold a float32 tile, and have a weight while they are called only."""
    model = copy.deepcopy(network.dense)
    for name, layer in network.packed.named_modules():
        if isinstance(layer, PackedLayer):
            twin: Any = model.get_submodule(name)
            del twin.weight
            twin.register_buffer("tile", unpack_bits(layer.tile, layer.geometry.tile_length))
            twin.register_buffer("factors", layer.alphas.expand(layer.p)[:, None].clone())
            twin.weight_shape = layer.weight_shape
            twin.register_forward_pre_hook(_write)
            twin.register_forward_hook(_forget)
    return model


def _write(layer: Any, _: Any) -> None:
    layer.weight = (layer.tile * layer.factors).reshape(layer.weight_shape)


def _forget(layer: Any, _: Any, __: Any) -> None:
    del layer.weight


def _peak(network: Network, way: str, batch: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        save_file({name: tensor.contiguous().clone() for name, tensor in held(network, way).state_dict().items()}, path)
        words = [network.name, str(network.p), way, str(batch), str(torch.get_num_threads()), str(path)]
        command = [sys.executable, "-m", "tbn.speed.peak", *words]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _own_peak(name: str, p: int, way: str, batch: int, path: str) -> int:
    with torch.device("meta"):  # the architecture alone
        network = network_of(name, p)
        model = held(network, way)
    for module in model.modules():  # what a layer keeps beside its state
        for key, tensor in module._buffers.items():
            if tensor is not None and tensor.numel() == 0:
                module._buffers[key] = torch.empty_like(tensor, device="cpu")
    x = torch.randn(batch, *network.input_shape)
    with torch.inference_mode():
        for layer, shape_of_one in WARM:  # what the first products of any network load
            packed_like(layer, 2, 1)(layer(torch.randn(shape_of_one)).new_zeros(shape_of_one))
        before = _resident("VmRSS")
        model.load_state_dict(load_file(path), assign=True)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at the present size
        model(x)
        model(x)
        return _resident("VmHWM") - before


def _resident(field: str) -> int:
    """Bytes of a field of /proc/self/status: VmRSS, the resident size, or VmHWM, the largest so far."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[5]))
    print(_own_peak(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[6]))
