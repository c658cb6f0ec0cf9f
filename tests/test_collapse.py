"""Every condition under which a layer's copies need not be written gives equal outputs; everything else is refused with its reason."""

import copy
from math import gcd

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import tbn
from tbn import TBNError, TilingConfig, models
from tbn.collapse import Replicate, collapse
from tests.models.small import SMALL, inputs

P = 4


def packed(model: nn.Module, alpha: str = "layer", p: int = P, tied: bool = False, **kwargs) -> nn.Module:
    """The model packed with every layer tiled but the last; no bias or norm is left as torch starts it. ``tied``: equal over the copies."""
    tbn.tile_(model, TilingConfig(p=p, min_layer_size=0, alpha=alpha, **kwargs))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_var.uniform_(0.5, 2)
                module.running_mean.normal_()
                tensors = [module.weight, module.bias, module.running_mean, module.running_var]
            else:
                tensors = [getattr(module, "bias", None)]
                if isinstance(module, nn.LayerNorm | nn.RMSNorm):
                    tensors.append(module.weight)
            for tensor in tensors:
                if tensor is None:
                    continue
                if tensor is not getattr(module, "running_var", None):
                    tensor.normal_()
                if tied:
                    tensor.copy_(tensor[: len(tensor) // p].repeat(p) if len(tensor) % p == 0 else tensor)
    return tbn.freeze(model)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def collapses(model: nn.Module, x: torch.Tensor, *names: str) -> nn.Module:
    """Collapse, check that exactly these producers were, that the outputs are equal and that the model is unchanged."""
    state = copy.deepcopy(model.state_dict())
    result, report = collapse(model)
    assert [row.name for row in report.collapsed] == list(names), str(report)
    with torch.no_grad():
        close(result(x), model(x))
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    return result


def refuses(model: nn.Module, x: torch.Tensor, reason: str, name: str | None = None) -> None:
    """No producer is collapsed (or not the named one), for a reason that contains this, and the outputs are equal."""
    result, report = collapse(model)
    rows = [row for row in report.rows if name in (None, row.name)]
    assert rows and all(reason in row.reason for row in rows), str(report)
    with torch.no_grad():
        close(result(x), model(x))


def two(activation: nn.Module, bias: bool = False, width: int = 32, inputs: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width, bias), activation, nn.Linear(width, 6))


ELEMENTWISE = [
    nn.GELU(),
    nn.GELU("tanh"),
    nn.SiLU(),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.ReLU6(),
    nn.Hardswish(),
    nn.ELU(),
    nn.Softplus(),
]
HOMOGENEOUS = [nn.ReLU(), nn.LeakyReLU(0.2), nn.Identity()]


@pytest.mark.parametrize("activation", [*ELEMENTWISE, *HOMOGENEOUS], ids=str)
@pytest.mark.parametrize("bias", [False, True])
def test_one_alpha_any_activation(activation, bias):
    model = packed(two(activation, bias), tied=True)
    result = collapses(model, torch.randn(5, 8), "0")
    assert result.get_submodule("0_distinct").outputs == 8 and result.get_submodule("2_contracted").in_features == 8


@pytest.mark.parametrize("activation", HOMOGENEOUS, ids=str)
def test_alphas_per_tile_and_a_positively_homogeneous_activation(activation):
    collapses(packed(two(activation), "tile"), torch.randn(3, 5, 8), "0")


@pytest.mark.parametrize("activation", ELEMENTWISE, ids=str)
def test_alphas_per_tile_and_another_activation(activation):
    refuses(packed(two(activation), "tile"), torch.randn(5, 8), "needs equal copies, but its alphas differ")


def test_a_bias_per_tile_has_to_grow_with_the_alphas():
    model = packed(two(nn.ReLU(), bias=True), "tile")
    model[0].bias.copy_((model[0].alphas[:, None] * torch.randn(8)).flatten())
    collapses(model, torch.randn(5, 8), "0")
    model[0].bias.copy_(torch.randn(8).repeat(4))
    refuses(model, torch.randn(5, 8), "its bias does not grow with its alphas")


@pytest.mark.parametrize("alpha", ["layer", "tile"])
def test_a_bias_of_each_copys_own(alpha):
    refuses(
        packed(two(nn.ReLU(), bias=True), alpha),
        torch.randn(5, 8),
        "ReLU '1' needs copies that are equal up to a scale >= 0, but its bias differs",
    )


@pytest.mark.parametrize("alpha", ["layer", "tile"])
def test_with_nothing_non_linear_behind_it_any_bias_folds(alpha):
    collapses(packed(two(nn.Dropout(), bias=True), alpha), torch.randn(5, 8), "0")


def test_zero_and_negative_alphas():
    model = packed(two(nn.ReLU()), "tile")
    model[0].alphas[1] = 0
    collapses(model, torch.randn(5, 8), "0")
    model[0].alphas.zero_()
    collapses(model, torch.randn(5, 8), "0")
    model[0].alphas.copy_(torch.tensor([0.1, 0.2, -0.3, 0.1]))
    refuses(model, torch.randn(5, 8), "its alphas differ")
    linear = packed(two(nn.Identity()), "tile")
    linear[0].alphas.copy_(torch.tensor([0.1, 0.2, -0.3, 0.0]))
    collapses(linear, torch.randn(5, 8), "0")


@pytest.mark.filterwarnings("ignore:.*equal signs")
@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 9), st.booleans(), st.sampled_from(["layer", "tile"]))
def test_shapes(rows, columns, p, bias, alpha):
    columns *= p
    model = packed(two(nn.ReLU(), bias, rows, columns), alpha, p, tied=rows % p == 0)
    x = torch.randn(3, columns)
    result, report = collapse(model)
    close(result(x), model(x))
    p = model[0].p
    if gcd(rows, p) > 1 and not bias and (alpha == "layer" or rows % p == 0):
        assert report.collapsed


@pytest.mark.parametrize(("alpha", "count"), [("layer", 1), ("tile", 0)])
def test_rows_of_several_tiles(alpha, count):
    """10 rows at p = 4: two copies of 5 rows, which hold two tiles."""
    model = packed(nn.Sequential(nn.Linear(128, 10, False), nn.ReLU(), nn.Linear(10, 6)), alpha)
    _, report = collapse(model)
    assert len(report.collapsed) == count
    if alpha == "tile":
        refuses(model, torch.randn(3, 128), "its rows belong to several tiles, and their alphas are not in proportion")
        model[0].alphas.copy_(torch.tensor([0.1, 0.3, 0.2, 0.6]))
    collapses(model, torch.randn(3, 128), "0")


def test_no_equal_rows():
    refuses(packed(two(nn.ReLU(), width=7)), torch.randn(3, 8), "no two of its rows are equal", "0")
    transposed = tbn.freeze(nn.Sequential(tbn.TiledTransposedLinear(8, 32, p=4), nn.ReLU(), nn.Linear(32, 6)))
    refuses(transposed, torch.randn(3, 8), "its copies are on its inputs")


def test_a_chain_costs_the_square_of_p():
    model = packed(
        nn.Sequential(nn.Linear(8, 32, False), nn.ReLU(), nn.Linear(32, 16, False), nn.ReLU(), nn.Linear(16, 3)), "tile"
    )
    result = collapses(model, torch.randn(5, 8), "0", "2")
    assert result.get_submodule("2_contracted").weight.shape == (4, 8)
    _, report = collapse(model)
    assert (report.macs_dense, report.macs_before, report.macs_after) == (816, 240, 108)
    assert report.rows[0].consumers == ("2",) and (report.rows[0].macs_before, report.rows[0].macs_after) == (192, 96)
    assert report.bytes_after == sum(tensor.nbytes for tensor in result.state_dict().values()) != report.bytes_before
    assert "2 of 2 collapsed" in str(report) and "collapsed  into 2: MACs 192 -> 96" in str(report)


def test_a_chain_hands_on_a_folded_bias():
    model = packed(nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 16, False), nn.ReLU(), nn.Linear(16, 3)), "tile")
    collapses(model, torch.randn(5, 8), "0", "1")


def test_a_consumer_writes_its_own_copies_where_they_are_needed():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2, self.head = nn.Linear(16, 64, False), nn.Linear(64, 16), nn.Linear(16, 3)

        def forward(self, x):
            return self.head(x + self.fc2(F.gelu(self.fc1(x))))

    model = packed(Block())
    result = collapses(model, torch.randn(2, 5, 16), "fc1")
    assert isinstance(result.fc2_contracted, Replicate) and result.fc2_contracted.layer.weight.shape == (4, 16)
    assert not hasattr(result, "fc1")
    refuses(model, torch.randn(5, 16), "added to something that has no copies", "fc2")
    close(copy.deepcopy(result)(torch.ones(2, 16)), model(torch.ones(2, 16)))


def test_other_dtypes():
    model = packed(two(nn.GELU()))
    result, _ = collapse(model.double())
    x = torch.randn(5, 8, dtype=torch.float64)
    torch.testing.assert_close(result(x), model(x), rtol=1e-6, atol=1e-6)
    half = result.bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), model.double()(x), rtol=0.1, atol=0.1)


def conv(*between: nn.Module, bias: bool = False, last: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=bias), *between, last or nn.Conv2d(16, 5, 3, padding=1))


POOLINGS = [
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, 2, 1),
    nn.AvgPool2d(2),
    nn.AvgPool2d(3, 2, 1),
    nn.AdaptiveAvgPool2d(3),
    nn.AdaptiveMaxPool2d(3),
]
RESIZES = [nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Dropout2d()]


@pytest.mark.parametrize("between", [*POOLINGS, *RESIZES], ids=str)
@pytest.mark.parametrize("alpha", ["layer", "tile"])
def test_poolings_and_resizes(between, alpha):
    collapses(packed(conv(nn.ReLU(), between), alpha), torch.randn(2, 3, 8, 8), "0")
    collapses(packed(conv(between, nn.ReLU()), alpha), torch.randn(2, 3, 8, 8), "0")


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "circular"])
def test_a_pending_bias_and_a_border(padding_mode):
    last = nn.Conv2d(16, 5, 3, padding=1, padding_mode=padding_mode)
    model, x = packed(conv(nn.Identity(), bias=True, last=last)), torch.randn(2, 3, 8, 8)
    if padding_mode == "zeros":
        refuses(model, x, "the zero border of '2' needs copies")
        refuses(packed(conv(nn.AvgPool2d(3, 2, 1), bias=True)), x, "AvgPool2d '1' needs copies")
        collapses(packed(conv(nn.AvgPool2d(3, 2, 1), bias=True), tied=True), x, "0")
    else:
        collapses(model, x, "0")


@pytest.mark.parametrize("make", [lambda: nn.Flatten(), lambda: nn.Flatten(-3)], ids=["1", "-3"])
@pytest.mark.parametrize("alpha", ["layer", "tile"])
def test_flattened_channels(make, alpha):
    model = packed(conv(nn.ReLU(), nn.MaxPool2d(2), make(), last=nn.Linear(16 * 16, 5)), alpha)
    collapses(model, torch.randn(2, 3, 8, 8), "0")
    tokens = packed(nn.Sequential(nn.Linear(8, 32, False), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 32, 3)), alpha)
    collapses(tokens, torch.randn(2, 5, 8), "0")


class Forward(nn.Module):
    """A convolution, a linear layer, and any forward of the two."""

    def __init__(self, function, width=16, second=None):
        super().__init__()
        self.conv, self.fc, self.function = (
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            second or nn.Linear(width, 5),
            function,
        )

    def forward(self, x):
        return self.function(self, x)


def viewed(m, x):
    x = F.relu(m.conv(x))
    return m.fc(x.view(x.size(0), -1))


def reshaped(m, x):
    x = F.max_pool2d(m.conv(x).relu(), 1)
    return m.fc(x.reshape((x.shape[0], -1)))


def flattened(m, x):
    return m.fc(torch.flatten(F.leaky_relu(m.conv(x), 0.1).to(x.dtype), 1))


@pytest.mark.parametrize("function", [viewed, reshaped, flattened])
def test_ways_to_flatten(function):
    collapses(packed(Forward(function, 16 * 64)), torch.randn(2, 3, 8, 8), "conv")


@pytest.mark.parametrize("function", [
    lambda m, x: m.fc(F.relu(m.conv(x)).mean((2, 3))),
    lambda m, x: m.fc(F.relu(m.conv(x)).amax((-1, -2))),
    lambda m, x: m.fc(torch.mean(F.relu(m.conv(x)), dim=3).mean(2)),
    lambda m, x: m.fc(F.relu(F.adaptive_avg_pool2d(m.conv(x), 1)).flatten(1)),
    lambda m, x: m.fc(F.relu(m.conv(x)).mean((2, 3), keepdim=True).flatten(1)),
    lambda m, x: m.fc(F.dropout(F.relu(m.conv(x)), training=m.training).mean((2, 3)) * 0.5),
])  # fmt: skip
@pytest.mark.parametrize("alpha", ["layer", "tile"])
def test_functions(function, alpha):
    collapses(packed(Forward(function), alpha), torch.randn(2, 3, 8, 8), "conv")


def quick_gelu(m, x):
    x = m.conv(x).mean((2, 3))
    return m.fc(x * torch.sigmoid(1.702 * x))


def gelu_by_hand(m, x):
    x = m.conv(x).mean((2, 3))
    return m.fc(0.5 * x * (1 + torch.tanh(0.8 * (x + 0.04 * x**3))))


@pytest.mark.parametrize("function", [quick_gelu, gelu_by_hand])
def test_activations_made_of_arithmetic(function):
    x = torch.randn(2, 3, 8, 8)
    collapses(packed(Forward(function)), x, "conv")
    refuses(packed(Forward(function), "tile"), x, "needs equal copies, but its alphas differ")


@pytest.mark.parametrize(("function", "reason"), [
    (lambda m, x: m.fc(F.relu(m.conv(x)).mean(0).mean((1, 2))), "mean is not over axes behind the copies only"),
    (lambda m, x: m.fc((F.relu(m.conv(x)) + x.mean(1, keepdim=True)).mean((2, 3))), "added to something that has no copies"),
    (lambda m, x: m.fc((F.relu(m.conv(x)) * x.mean()).mean((2, 3))), "multiplied with something that has no copies"),
    (lambda m, x: m.fc(m.conv(x)[:, :16].mean((2, 3))), "getitem is not known to keep copies"),
    (lambda m, x: m.fc(torch.cat([m.conv(x)], 1).mean((2, 3))), "cat joins it with something else"),
    (lambda m, x: m.fc(m.conv(x).mean((2, 3)).softmax(1)), "softmax is not known to keep copies"),
    (lambda m, x: m.fc(m.conv(x).unflatten(1, (4, 4)).mean((3, 4)).flatten(1)), "unflatten is not known"),
    (lambda m, x: m.fc(m.conv(x).flatten(2).transpose(1, 2)), "flatten moves the copies in a way that is not followed"),
    (lambda m, x: m.fc(m.conv(x).permute(0, 2, 3, 1)), "permute is not known to keep copies"),
    (lambda m, x: m.fc(m.conv(x).mean((2, 3)) / x.size(0)), "multiplied with something that has no copies"),
    (lambda m, x: m.fc(x.mean((1, 2, 3))[:, None] / m.conv(x).size(0) + torch.ones(16)), "multiplied with something"),
    (lambda m, x: m.fc(m.conv(x).mean((2, 3)).view(-1, 16)), "view moves the copies"),
    (lambda m, x: m.fc(m.conv(x).mean((2, 3)).view(x.shape[0], -1)), "view moves the copies"),
    (lambda m, x: (lambda y: m.fc(y.mean((2, 3)) * y.shape[1]))(m.conv(x)), "the model reads its shape"),
    (lambda m, x: (lambda y: m.fc(y.mean((2, 3)) * y.ndim))(m.conv(x)), "the model reads its ndim"),
    (lambda m, x: (lambda y: m.fc(y.mean((2, 3))) + y.sum())(m.conv(x)), "sum is not known to keep copies"),
    (lambda m, x: m.conv(x), "it is an output of what was traced"),
    (lambda m, x: m.fc(x.mean((1, 2, 3))[:, None].expand(-1, 16)), None),
])  # fmt: skip
def test_refusals(function, reason):
    model = packed(Forward(function))
    if reason is None:  # the layer is never called
        assert collapse(model)[1].rows == ()
    else:
        refuses(model, torch.randn(2, 3, 16, 16), reason, "conv")


def test_random_dropout_is_refused():
    _, report = collapse(packed(Forward(lambda m, x: m.fc(F.dropout(m.conv(x)).mean((2, 3))))))
    assert report.rows[0].reason == "dropout is random"


@pytest.mark.parametrize("second", [nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 16, 3, groups=2)], ids=str)
def test_a_grouped_consumer(second):
    model = packed(Forward(lambda m, x: m.fc(F.relu(m.conv(x))), second=second))
    refuses(model, torch.randn(2, 3, 8, 8), "a grouped convolution", "conv")


def test_a_grouped_producer():
    model = packed(nn.Sequential(nn.Conv2d(4, 16, 3, groups=2, bias=False), nn.ReLU(), nn.Conv2d(16, 3, 1)))
    refuses(model, torch.randn(2, 4, 8, 8), "a grouped convolution: equal filters see different channels", "0")


def test_a_linear_layer_on_another_axis():
    model = packed(Forward(lambda m, x: m.fc(F.relu(m.conv(x)))))
    refuses(model, torch.randn(2, 3, 8, 16), "'fc' takes in another axis than that of the copies", "conv")


def test_several_consumers_and_several_producers():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.up, self.down = nn.Linear(8, 32, False), nn.Linear(8, 32, False), nn.Linear(32, 8)
            self.one, self.other = nn.Linear(8, 16, False), nn.Linear(8, 3)
            self.left, self.right = nn.Linear(16, 3), nn.Linear(16, 3)

        def forward(self, x):
            x = self.down(F.silu(self.gate(x)) * self.up(x))
            y = F.relu(self.one(x))
            return self.left(y) - self.right(y) + self.other(x)

    layer = packed(Gated(), exclude=("left", "right", "other", "down"))
    collapses(layer, torch.randn(2, 5, 8), "gate", "up", "one")
    tile = packed(Gated(), "tile", exclude=("left", "right", "other", "down"))
    collapses(tile, torch.randn(2, 5, 8), "one")  # silu(gate) is refused, and then up meets what has no copies
    _, report = collapse(tile)
    assert [row.name for row in report.refused] == ["gate", "up"]


def test_copies_that_lie_in_another_way_do_not_meet():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 32, False), nn.Linear(8, 32, False), nn.Linear(32, 3)

        def forward(self, x):
            return self.c(F.relu(self.a(x)) + F.relu(self.b(x)))

    model = packed(Sum(), per_layer={"b": 8})
    refuses(model, torch.randn(5, 8), "add joins it with copies that lie in another way")


@pytest.mark.parametrize("kind", [nn.LayerNorm, nn.RMSNorm])
def test_norms_over_the_copies(kind):
    model = packed(nn.Sequential(nn.Linear(8, 32, False), nn.GELU(), kind(32), nn.Linear(32, 5)))
    collapses(model, torch.randn(2, 5, 8), "0")
    tile = packed(nn.Sequential(nn.Linear(8, 32, False), nn.ReLU(), kind(32), nn.Linear(32, 5)), "tile")
    refuses(tile, torch.randn(5, 8), f"{kind.__name__} '2' needs equal copies, but its alphas differ")
    tied = packed(nn.Sequential(nn.Linear(8, 32, False), kind(32), nn.GELU(), nn.Linear(32, 5)), tied=True)
    if kind is nn.RMSNorm:
        tied[1].weight.data = tied[1].weight.data[:8].repeat(4)
    collapses(tied, torch.randn(2, 5, 8), "0")
    own = packed(nn.Sequential(nn.Linear(8, 32, False), kind(32), nn.GELU(), nn.Linear(32, 5)))
    refuses(own, torch.randn(5, 8), f"GELU '2' needs equal copies, but {kind.__name__} '1' differs")
    plain = packed(
        nn.Sequential(nn.Linear(8, 32, False), kind(32, elementwise_affine=False), nn.GELU(), nn.Linear(32, 5))
    )
    collapses(plain, torch.randn(5, 8), "0")


def test_batch_norm():
    x = torch.randn(2, 3, 8, 8)
    for alpha in ("layer", "tile"):
        refuses(packed(conv(nn.BatchNorm2d(16), nn.ReLU()), alpha), x, "BatchNorm2d '1' differs")
    collapses(packed(conv(nn.BatchNorm2d(16), nn.GELU()), tied=True), x, "0")
    collapses(
        packed(conv(nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.MaxPool2d(2), nn.ReLU(), bias=True), tied=True), x, "0"
    )
    collapses(packed(conv(nn.ReLU(), nn.BatchNorm2d(16), nn.Flatten(), last=nn.Linear(1024, 5)), "tile"), x, "0")
    collapses(packed(conv(nn.BatchNorm2d(16), nn.AdaptiveAvgPool2d(1), last=nn.Conv2d(16, 5, 1)), "tile"), x, "0")
    refuses(packed(conv(nn.ReLU(), nn.BatchNorm2d(16))), x, "the zero border of '3' needs copies", "0")
    refuses(
        packed(conv(nn.BatchNorm2d(16), nn.MaxPool2d(2), last=nn.Conv2d(16, 5, 1))),
        x,
        "MaxPool2d '2' needs copies",
        "0",
    )
    positive = packed(conv(nn.BatchNorm2d(16), nn.MaxPool2d(2), last=nn.Conv2d(16, 5, 1)), "tile")
    positive[1].weight.data.abs_()
    collapses(positive, x, "0")
    vector = packed(nn.Sequential(nn.Linear(8, 32, False), nn.BatchNorm1d(32), nn.Linear(32, 5)))
    result = collapses(vector, torch.randn(5, 8), "0")
    with pytest.raises(RuntimeError, match="running_mean"):
        result(torch.randn(2, 32, 8))  # the BatchNorm would be over the 32 tokens


def test_batch_norm_without_running_statistics():
    model = (
        packed(conv(nn.BatchNorm2d(16, affine=False), nn.ReLU(), last=nn.Conv2d(16, 5, 1)), tied=False)
        if False
        else None
    )
    model = conv(nn.BatchNorm2d(16, track_running_stats=False), nn.ReLU())
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0))
    refuses(tbn.freeze(model), torch.randn(2, 3, 8, 8), "BatchNorm2d '1' has no running statistics", "0")


@pytest.mark.parametrize("alpha", ["layer", "tile"])
def test_conv1d(alpha):
    model = packed(nn.Sequential(nn.Conv1d(4, 32, 3, bias=False), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(32, 16, 3, bias=False), nn.ReLU(),
                                 nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(16, 3)), alpha)  # fmt: skip
    collapses(model, torch.randn(2, 4, 20), "0", "3")


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp, self.block, self.head = (
            two(nn.ReLU(), inputs=8),
            Inner(),
            nn.Linear(6, 3),
        )

    def forward(self, x):
        return self.head(self.block(self.mlp(x)) if x.sum() < 1e9 else x[:, :6])


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 32, False), nn.Linear(32, 6)

    def forward(self, x, scale=None, *, shift=0):
        return self.fc2(F.gelu(self.fc1(x))) if scale is None else self.fc1(x).mean(1, keepdim=True) * scale + shift


def test_a_forward_that_cannot_be_traced_is_left_and_its_parts_are_not():
    model = packed(Branching())
    x = torch.randn(5, 8)
    result = collapses(model, x, "block.fc1")
    assert type(result) is Branching and type(result.mlp) is nn.Sequential
    _, report = collapse(model)
    assert report.rows[0].name == "mlp.0" and "the forward of Branching cannot be traced" in report.rows[0].reason
    assert any("Branching: TraceError" in text for text in report.untraced) and "not traced: Branching" in str(report)


def test_an_argument_other_than_its_default_raises():
    result, _ = collapse(packed(Inner()))
    x = torch.randn(5, 6)
    close(result(x, None), result(x, scale=None))
    with pytest.raises(TBNError, match="takes no other 'scale' than None"):
        result(x, 2.0)
    with pytest.raises(TypeError):
        result(x, shift=1)


def test_hooks_are_kept():
    seen = []
    model = packed(two(nn.ReLU()))
    model[0].register_forward_hook(lambda *_: seen.append(1))
    refuses(model, torch.randn(5, 8), "it has forward hooks", "0")
    other = packed(two(nn.ReLU()))
    other.register_forward_hook(lambda module, given, out: out * 2)
    refuses(other, torch.randn(5, 8), "cannot be traced")
    assert seen


def test_a_layer_called_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc3, self.fc2 = nn.Linear(8, 32, False), nn.Linear(8, 32, False), nn.Linear(32, 8)

        def forward(self, x):
            for _ in range(2):
                x = x + self.fc2(F.gelu(self.fc1(x)))
            return self.fc2(F.gelu(self.fc3(x)))

    model = packed(Twice())
    refuses(model, torch.randn(5, 8), "it is called several times", "fc1")
    refuses(model, torch.randn(5, 8), "PackedLinear 'fc2' is called several times", "fc3")
    assert len(collapse(model)[1].rows) == 2


@pytest.mark.parametrize("alpha", ["layer", "tile"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", SMALL)
def test_every_model(name, alpha, tied):
    torch.manual_seed(0)
    kind = models.kind_of(name)
    model = models.create(name, **SMALL[name])
    tbn.tile_(model, TilingConfig(p=P, min_layer_size=256, alpha=alpha))
    if not tied:
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.running_mean.normal_(0, 0.1)
    frozen = tbn.freeze(model)
    result, report = collapse(frozen)
    assert report.rows and not report.untraced and all(row.reason or row.consumers for row in report.rows)
    assert report.macs_after <= report.macs_before <= report.macs_dense
    assert (report.bytes_before, report.bytes_after) == tuple(
        sum(t.nbytes for t in m.state_dict().values()) for m in (frozen, result)
    )
    x = inputs(kind, 3)
    with torch.no_grad():
        close(result(x), frozen(x))
        close(copy.deepcopy(result)(x), frozen(x))
    if name == "mlp":
        assert report.collapsed
    if name in ("vit", "mlp_mixer", "swin_t", "forecaster_transformer"):  # a bias before each GELU
        assert not report.collapsed


def test_a_vision_transformer_without_biases_in_its_perceptrons():
    model = models.create("vit", **SMALL["vit"])
    for block in model.blocks:
        block.mlp.fc1.bias.data.zero_()
    tbn.tile_(model, TilingConfig(p=P, min_layer_size=256, alpha="layer"))
    collapses(tbn.freeze(model), inputs("images", 3), "blocks.0.mlp.fc1", "blocks.1.mlp.fc1")


def test_bad_models():
    model = nn.Sequential(nn.Linear(8, 32, False), nn.ReLU(), nn.Linear(32, 6))
    with pytest.raises(TBNError, match="has no packed layer"):
        collapse(model)
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0))
    with pytest.raises(TBNError, match=r"latent weights.*tbn.freeze"):
        collapse(model)
    frozen = tbn.freeze(model)
    with pytest.raises(TBNError, match="training mode"):
        collapse(frozen.train())
    assert not collapse(frozen.eval())[1].refused


def test_a_bare_layer():
    layer = packed(two(nn.ReLU()))[0]
    result, report = collapse(layer)
    assert type(result) is type(layer) and len(report.refused) == 1


def test_a_collapsed_model_is_not_saved_as_what_it_was(tmp_path):
    model, _ = collapse(packed(two(nn.ReLU())))
    with pytest.raises(TBNError, match="collapsed or fused model has another architecture.*save the packed model"):
        tbn.save(model, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
