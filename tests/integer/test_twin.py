"""The float twin that is trained: as close to the integer network as one code, with gradients everywhere."""

import numpy as np
import pytest
import torch
from torch import nn

import tbn
from tbn import TBNError, models
from tbn.integer import quantise, run
from tbn.integer.twin import Coded, Twin, as_int8
from tests.integer.test_quantising import task


class Residual(nn.Module):
    """A sum, a table, a mean and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = (
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 8, 3, padding=1),
        )
        self.act, self.drop, self.head = nn.GELU(), nn.Dropout(0.1), nn.Linear(8, 5)

    def forward(self, x):
        x = self.drop(self.act(self.norm(self.first(x))))
        x = torch.relu(x + self.second(x))
        return self.head(x.mean((2, 3)))


def settled(model: nn.Module, data, **tiling) -> tuple[nn.Module, torch.Tensor]:
    tbn.tile_(model, tbn.TilingConfig(**{"p": 1, "min_layer_size": 0, **tiling}))
    inputs = torch.from_numpy(data.train_inputs).float() * data.scale + data.offset
    for _ in range(5):
        model(inputs)
    return model.eval(), inputs


CASES = [
    ("micro_cnn", {"channels": (6, 8, 8)}, {}),
    ("mlp", {}, {"p": 4}),
    ("cnn", {"width": 4}, {"p": 2, "exclude": ("conv1",)}),
    ("residual", {}, {"exclude": ("second",)}),
]


@pytest.mark.parametrize(("name", "options", "tiling"), CASES, ids=[case[0] for case in CASES])
def test_twin_is_the_integer_network(name, options, tiling):
    torch.manual_seed(0)
    data = task(1, 28, 28)
    model = Residual() if name == "residual" else models.create(name, input_shape=[1, 28, 28], classes=10, **options)
    model, inputs = settled(model, data, **tiling)
    twin = Twin(model, inputs).eval()
    with torch.no_grad():
        found, plain = twin(inputs).numpy(), model(inputs).numpy()
    network = quantise(tbn.freeze(model), data, twin.ranges)
    whole = run(network, data.test_inputs) * network.output_scale
    size = np.abs(plain).max()
    assert np.abs(found - whole).max() < 0.02 * size
    assert np.abs(found - plain).max() > 1e-6 * size  # it does round
    assert [tensor.name for tensor in network.tensors[1:] if tensor.name in twin.ranges] == list(twin.ranges)
    twin.train()(inputs).square().sum().backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())
    assert not any(part.training for part in twin.modules() if isinstance(part, nn.BatchNorm2d))


def test_a_range_is_learned():
    coded = Coded((-1.0, 3.0))
    x = torch.tensor([-2.0, -0.5, 0.0, 2.9, 7.0], requires_grad=True)
    out = coded(x)
    low, high = coded.limits
    assert low == pytest.approx(-1, abs=0.01) and high == pytest.approx(3, abs=0.01)
    assert out.tolist() == pytest.approx([low, -0.5, 0.0, 2.9, high], abs=(high - low) / 510)
    assert float(out[2].detach()) == 0
    out[-1].backward()  # the upper end wants to grow by what it clips
    assert x.grad is not None and x.grad.tolist() == [0, 0, 0, 0, 0] and float(coded.growth.grad) == pytest.approx(high)
    with torch.no_grad():
        coded.growth += 1
    assert coded.limits[1] == pytest.approx(high * np.e)


def test_int8_of_a_row():
    weight = torch.randn(4, 3, 2, 2, requires_grad=True)
    found = as_int8(weight)
    steps = weight.detach().abs().amax((1, 2, 3)) / 127
    assert float(((found - weight).detach().abs().amax((1, 2, 3)) / steps).max()) <= 0.5001
    found.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_what_has_no_twin():
    with pytest.raises(TBNError, match="Sequential has no tiled layer; choose a run with p of at least 1"):
        Twin(nn.Sequential(nn.Linear(4, 2)), torch.zeros(2, 4))
