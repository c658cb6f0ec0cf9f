"""The networks that are timed: packed, and the dense network with the same weights.

Norms and biases get random values before freezing: as they are at the start, copies stay equal through them, and every engine could skip work that
a trained network needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tbn.models
from tbn.convert import TilingConfig, freeze, tile_
from tbn.packed import PackedLayer

SHAPES: dict[
    str, tuple[int, ...]
] = {  # what is timed, and the input: CIFAR images, Fashion-MNIST images for the MLP of the boards, point clouds
    "resnet18": (3, 32, 32),
    "vit": (3, 32, 32),
    "mlp_mixer": (3, 32, 32),
    "convmixer": (3, 32, 32),
    "pointnet_cls": (3, 1024),
    "mlp": (1, 28, 28),
}


@dataclass(frozen=True)
class Network:
    """One architecture at one tiling factor.

    Attributes:
        name, p: registry name at its default size; factor at the default minimum layer size.
        packed, dense: equal networks in eval mode.
        input_shape: of one input.
    """

    name: str
    p: int
    packed: nn.Module
    dense: nn.Module
    input_shape: tuple[int, ...]

    def inputs(self, batch: int) -> Tensor:
        """Random inputs, the same for every p."""
        return torch.randn(batch, *self.input_shape, generator=torch.Generator().manual_seed(1))


def network_of(name: str, p: int) -> Network:
    """A network of the registry, seeded."""
    torch.manual_seed(0)
    model = tbn.models.create(name, input_shape=SHAPES[name], classes=10)
    randomise(model)
    tile_(model, TilingConfig(p=p))
    packed = freeze(model.eval())
    return Network(name, p, packed, dense_twin(packed, name), SHAPES[name])


def randomise(model: nn.Module) -> None:
    """Random values for everything that is not a weight of a layer, as training would leave it: norms, biases, gains."""
    with torch.no_grad():
        for module in model.modules():
            for key, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
                if tensor.dim() == 1 and tensor.is_floating_point():
                    positive = key in ("weight", "running_var")
                    tensor.copy_(torch.rand_like(tensor) + 0.5 if positive else 0.1 * torch.randn_like(tensor))


def dense_twin(packed: nn.Module, name: str) -> nn.Module:
    """The registry's network with the weights that the bits stand for."""
    twin = tbn.models.create(name, input_shape=SHAPES[name], classes=10)
    layers = {place: module for place, module in packed.named_modules() if isinstance(module, PackedLayer)}
    inside = tuple(f"{place}.{key}" for place in layers for key in ("tile", "alphas"))
    state = {key: tensor for key, tensor in packed.state_dict().items() if key not in inside}
    state |= {f"{place}.weight": layer.dense_weight() for place, layer in layers.items()}
    twin.load_state_dict(state)
    return twin.eval()


def macs(model: nn.Module, x: Tensor) -> int:
    """Multiply-adds of products, convolutions and attention in one call, as torch's counter finds them in what is executed. (The counter knows
    attention in its plain form only.)"""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.inference_mode():
        model(x)
    return int(counter.get_total_flops()) // 2


def file_bytes(model: nn.Module) -> int:
    """Bytes of all tensors of a file."""
    return sum(tensor.nbytes for tensor in model.state_dict().values())
