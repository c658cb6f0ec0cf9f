"""From a trained model to integers: near the float model, refused by name where there is no twin."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tbn
from tbn import TBNError, TilingConfig, models, restore, runs
from tbn.integer import IntegerNetwork, calibrate, quantise, run
from tbn.integer.graph import steps_of
from tbn.integer.network import Affine, AveragePool, Layer, MaxPool, Signs, Table, Weights
from tbn.integer.ranges import best_range, coding, squared_error
from tests.models.small import SMALL


def task(*shape: int, offset: float = -0.29, count: int = 64) -> SimpleNamespace:
    """Random bytes; the input is raw / 255 + offset."""
    inputs = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    return SimpleNamespace(
        name="example",
        input_shape=shape,
        scale=1 / 255,
        offset=offset,
        train_inputs=inputs,
        test_inputs=inputs,
        test_targets=np.zeros(count),
    )


def packed(model: nn.Module, p: int = 4, **options: object) -> nn.Module:
    """Frozen, norms with statistics and parameters of their own."""
    torch.manual_seed(0)
    tbn.tile_(model, TilingConfig(p=p, min_layer_size=0, **options))
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_var.uniform_(0.5, 2)
    return tbn.freeze(model).eval()


def near(model: nn.Module, data: SimpleNamespace, tolerance: float) -> IntegerNetwork:
    """The integers are the float model's outputs, up to some parts of their deviation."""
    net = quantise(model, data)
    with torch.no_grad():
        wanted = model(torch.from_numpy(data.test_inputs).float() * data.scale + data.offset).numpy()
    found = run(net, data.test_inputs) * net.output_scale
    error = np.sqrt(((found - wanted) ** 2).mean()) / wanted.std()
    assert error < tolerance, error
    return net


BLOCKS = {
    "shared by positions": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Linear(6, 4), nn.ReLU(), nn.Flatten(), nn.Linear(160, 5)),
                            (3, 5, 6)),
    "LayerNorm": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 5)), (24,)),
    "whole rows": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5)), (2, 3, 4)),
    "rows that are cut": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 18), nn.ReLU(), nn.Linear(18, 5)), (24,)),
    "stride and padding": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5)), (3, 5, 6)),
    "dilation": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, dilation=2, padding="same"), nn.ReLU6(), nn.Flatten(), nn.Linear(240, 5)), (3, 5, 6)),
    "even kernel, same": (lambda: nn.Sequential(nn.Conv2d(3, 8, 4, padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(240, 5)), (3, 5, 6)),
    "grouped": (lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5)), (4, 5, 5)),
    "depthwise": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)), (4, 4, 4)),
    "1-d": (lambda: nn.Sequential(nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.AvgPool1d(2),
                                  nn.Flatten(), nn.Linear(16, 5)), (3, 9)),
    "means": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                    nn.Linear(8, 5)), (3, 7, 7)),
    "maxima": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
                                     nn.Linear(8, 5)), (3, 7, 7)),
    "GELU and norm": (lambda: nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(3, 8, 4), nn.GELU(), nn.BatchNorm2d(8), nn.Flatten(),
                                            nn.Linear(288, 5)), (3, 6, 6)),
    "negative values": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.LeakyReLU(0.1), nn.ReLU(),
                                              nn.Flatten(), nn.Linear(200, 5)), (3, 5, 5)),
}  # fmt: skip


@pytest.mark.parametrize("alpha", ["tile", "layer"])
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name: str, alpha: str) -> None:
    make, shape = BLOCKS[name]
    near(packed(make(), alpha=alpha), task(*shape), 0.05)


@pytest.mark.parametrize("offset", [0.0, -0.29, -0.5, -1.0, 0.7])
def test_the_inputs_offset_is_exact(offset: float) -> None:
    """A zero point that is a code, one that lies between two, and one that is none (its offset is in the biases)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 5))
    net = near(packed(model, p=1), task(24, offset=offset), 0.005)
    assert net.tensors[0].zero == min(255, max(0, round(-offset * 255)))


@pytest.mark.parametrize("dense", [False, True])
def test_a_residual_network(dense: bool) -> None:
    """Sums of two scales; the norms are in the layers; one multiplier an output."""
    model = models.create("resnet18", input_shape=(3, 8, 8), classes=5, width=4)
    net = near(model.eval() if dense else packed(model), task(3, 8, 8), 0.1)
    kinds = {type(operation).__name__ for operation in net.operations}
    assert kinds == {"Layer", "Add", "AveragePool"}
    assert {type(layer.weights) for layer in net.layers} == {Weights if dense else Signs}


def test_functions_and_methods_as_a_model_writes_them() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

        def forward(self, x):
            x = torch.relu(self.a(x))
            y = F.hardswish(self.b(x)).sigmoid()
            x = x + F.leaky_relu(y, 0.2)
            return self.head(x.mean((2, 3)) + x.amax((-2, -1)))

    net = near(packed(Model()), task(2, 3, 3), 0.05)
    kinds = [type(operation) for operation in net.operations]
    assert kinds.count(Table) == 3 and kinds.count(AveragePool) == kinds.count(MaxPool) == 1


def test_a_value_that_is_used_twice_keeps_its_negative_half() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            y = self.a(x)
            return self.head(F.relu(y) + y)

    net = near(packed(Model()), task(8), 0.05)
    assert net.layers[0].scaling.low == 0 and net.tensors[1].zero > 0


def test_bytes_by_part() -> None:
    """The paper's microcontroller MLP: tiles, a factor a tile, one bias a layer."""
    torch.manual_seed(0)
    model = models.create("mlp")
    tbn.tile_(model, TilingConfig(p=4))
    net = quantise(tbn.freeze(model), task(1, 28, 28))
    parts = net.bytes_by_part()
    assert parts["tile"] == 3136 + 160 and parts["multipliers"] == 2 * (4 + 1)
    assert parts["biases"] <= 2 * (128 + 10)


@pytest.mark.parametrize("entry", ["mlp-p4", "mlp-p8", "cnn-p4"])
def test_zoo_entries_keep_their_accuracy(entry: str) -> None:
    """Within 0.3 points of the float model on the 1,000 embedded test images."""
    found = runs.complete(f"fashion_mnist-{entry}-s0")
    data, model = restore.task_of(found), restore.deployed_model(found)
    wanted = restore.logits_of(model, data).argmax(1) == data.test_targets
    right = run(quantise(model, data), data.test_inputs).argmax(1) == data.test_targets
    assert len(right) == 1000 and abs(right.mean() - wanted.mean()) <= 0.003


def test_ranges_given_are_used() -> None:
    data = task(24)
    model = packed(nn.Sequential(nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5)))
    ranges = calibrate(model, torch.from_numpy(data.train_inputs).float() * data.scale + data.offset)
    assert set(ranges) == {"_1"} and ranges["_1"][0] == 0
    assert quantise(model, data, {"_1": (0.0, 5.1)}).tensors[1].scale == pytest.approx(0.02)
    with pytest.raises(TBNError, match="there is no range for '_1'; calibrate this model again"):
        quantise(model, data, {})


def test_ranges() -> None:
    assert coding(0.0, 5.1) == (pytest.approx(0.02), 0)
    assert coding(-1.0, 1.0) == (pytest.approx(2 / 255), 128)
    assert best_range("dead", torch.zeros(9)) == (0.0, 1.0)
    values = torch.cat([torch.rand(10_000, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0, 0.0])])
    low, high = best_range("even", values)
    assert (low, high) == (0.0, pytest.approx(1.0, abs=0.03))
    assert squared_error(values, 0.0, 1.0) == pytest.approx((1 / 255) ** 2 / 12, rel=0.05)
    with pytest.raises(TBNError, match="'x' has values that are not finite"):
        best_range("x", torch.tensor([1.0, float("nan")]))


def test_a_mixer() -> None:
    """Patches, norms over the last axis, layers on every vector, axes that change places."""
    data = task(1, 28, 28)
    net = near(packed(models.create("mlp_mixer", **SMALL["mlp_mixer"])), data, 0.15)
    kinds = [type(operation).__name__ for operation in net.operations]
    assert kinds.count("Norm") == 5 and kinds.count("Swap") == 1 + 2 * 2 + 1 and kinds.count("Table") == 4
    assert max(layer.positions for layer in net.layers) == 49


def test_a_point_network() -> None:
    """Transforms are products; the largest features are kept as they come."""
    data = task(3, 64, offset=0.0)
    for name in ("train_inputs", "test_inputs"):
        setattr(data, name, (getattr(data, name).astype(np.float32) - 127) / 128)
    data.scale = 1.0
    model = packed(models.create("pointnet_cls", **SMALL["pointnet_cls"]))
    torch.nn.init.constant_(model.encoder.input_transform.gain, 0.3)
    torch.nn.init.constant_(model.encoder.feature_transform.gain, 0.3)
    net = quantise(model, data)
    assert [type(operation).__name__ for operation in net.operations].count("Product") == 2
    assert sum(layer.largest for layer in net.layers) == 3
    codes = np.clip(np.rint(data.test_inputs / net.tensors[0].scale) + net.tensors[0].zero, 0, 255).astype(np.uint8)
    with torch.no_grad():
        wanted = model(torch.from_numpy(data.test_inputs)).numpy()
    found = run(net, codes) * net.output_scale
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98


def test_constants_join_the_layer_before_them() -> None:
    """Behind a norm that has joined it already, and through another shape."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.norm, self.head = nn.Linear(8, 12), nn.BatchNorm1d(12), nn.Linear(12, 3)
            self.gain, self.shift = nn.Parameter(torch.tensor([-0.7])), nn.Parameter(torch.randn(4, 3))

        def forward(self, x):
            y = self.gain * self.norm(self.a(x)).unflatten(1, (4, 3)) + self.shift
            return self.head(F.relu(y + 0.25).flatten(1))

    net = near(packed(Model()), task(8), 0.05)
    assert isinstance(net.operations[0], Layer) and len(net.layers) == 2


def test_constants_behind_anything_else_are_refused() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(F.relu(self.a(x)) * 2)

    with pytest.raises(
        TBNError, match="mul of an activation and a constant, behind something else than a linear layer"
    ):
        steps_of(packed(Model()), (8,))


REFUSED = {
    "vit": "scaled_dot_product_attention: attention weighs activations",
    "swin_t": "scaled_dot_product_attention",
    "unet": "interpolate",
    "pointnet_part": "cat|part of an activation|does not end",
    "forecaster_transformer": "scaled_dot_product_attention",
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_without_an_integer_twin_are_refused_by_name(name: str) -> None:
    model = packed(models.create(name, **SMALL[name]))
    with pytest.raises(TBNError, match=REFUSED[name]) as error:
        steps_of(model, tuple(SMALL[name]["input_shape"]))
    assert error.value.fix


def sequential(*layers: nn.Module) -> nn.Module:
    return packed(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *layers))


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([nn.ReLU()], "does not end with a linear layer"),
        ([nn.Flatten(), nn.Linear(200, 5), nn.ReLU()], "does not end with a linear layer"),
        ([nn.Flatten(), nn.Linear(200, 5), nn.Softmax(1)], "the largest output is the same without it"),
        (
            [nn.Softplus(), nn.PixelShuffle(2), nn.Flatten(), nn.Linear(200, 5)],
            "'2' is a PixelShuffle: integer networks have no such operation",
        ),
        (
            [nn.Conv2d(8, 4, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(100, 5)],
            "padding_mode 'reflect'",
        ),
        ([nn.AvgPool2d(3, padding=1), nn.Flatten(), nn.Linear(32, 5)], "'1' is a AvgPool2d"),
        ([nn.ZeroPad2d(1), nn.ReLU(), nn.Flatten(), nn.Linear(392, 5)], "are followed by no convolution"),
        ([nn.Flatten(2), nn.Conv1d(8, 4, 3), nn.Flatten(), nn.Linear(92, 5)], "on an image in another shape"),
        ([nn.Flatten(0), nn.Unflatten(0, (-1, 200)), nn.Linear(200, 5)], "on the axis of the batch"),
    ],
)
def test_parts_without_an_integer_twin(layers: list[nn.Module], words: str) -> None:
    with pytest.raises(TBNError, match=words) as error:
        steps_of(sequential(*layers), (3, 5, 5))
    assert "another engine" in error.value.fix


def test_a_layer_with_hooks_is_refused() -> None:
    model = packed(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    model[0].register_forward_hook(lambda module, args, output: output * 2)
    with pytest.raises(TBNError, match="hooks"):
        steps_of(model, (6,))


def test_bad_input() -> None:
    model = packed(nn.Sequential(nn.Flatten(), nn.Linear(24, 5)), p=1)
    with pytest.raises(TBNError, match="no inputs to calibrate on; give some hundred"):
        calibrate(model, torch.zeros(0, 24))
    with pytest.raises(TBNError, match="training mode; call model.eval"):
        calibrate(model.train(), torch.zeros(1, 24))
    model.eval()[1].alphas[0] = float("inf")
    with pytest.raises(TBNError, match="not finite"):
        quantise(model, task(24))
    padded = packed(nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Flatten(), nn.Linear(128, 5)), p=1)
    with pytest.raises(TBNError, match="no byte of the raw input stands for 0; choose a task offset from -255"):
        quantise(padded, task(1, 4, 4, offset=0.5))


def test_affine_and_layer_names() -> None:
    """Operations are called as the model calls them, and the norm behind a function is one of its own."""
    model = packed(nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(72, 5)))
    net = quantise(model, task(3, 5, 5))
    assert [type(operation) for operation in net.operations] == [Layer, Table, Affine, Layer]
    assert [operation.name for operation in net.operations] == ["_0_sum", "_0", "_2", "_4"]
