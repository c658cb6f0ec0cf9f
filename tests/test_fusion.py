"""A fused model gives the same answers in fewer passes; what cannot be fused stays."""

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

import tbn
from tbn import TBNError, TilingConfig, models
from tbn.collapse import Replicate, collapse
from tbn.packed import PackedLayer
from tests.models.small import SMALL, inputs


def packed(model: nn.Module, p: int = 4, alpha: str = "tile") -> nn.Module:
    """Frozen, every layer tiled but the last; norms with statistics and parameters of their own."""
    tbn.tile_(model, TilingConfig(p=p, min_layer_size=0, alpha=alpha))
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            for tensor in (module.running_mean, module.weight, module.bias):
                if tensor is not None:
                    nn.init.normal_(tensor)
            module.running_var.uniform_(0.5, 2)
    return tbn.freeze(model)


def same(found: nn.Module, expected: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        wanted = expected(x)
        torch.testing.assert_close(found(x), wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def kinds(model: nn.Module) -> list[str]:
    return [type(module).__name__ for module in model.modules() if not isinstance(module, fx.GraphModule)]


BLOCKS = {
    "conv2d": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)), (2, 3, 7, 6)),
    "conv2d without bias": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)), (2, 3, 7, 6)),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.GELU(), nn.Conv1d(8, 4, 1)), (2, 3, 9)),
    "conv3d": (lambda: nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.ReLU(), nn.Conv3d(8, 4, 1)), (2, 3, 4, 5, 6)),
    "linear": (lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)), (5, 6)),
    "grouped": (lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)), (2, 4, 7, 6)),
    "pieces of rows": (lambda: nn.Sequential(nn.Linear(12, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 4)), (3, 12)),
    "no affine": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False), nn.ReLU(), nn.Conv2d(8, 4, 1)), (2, 3, 7, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_norm_and_activation_go_into_the_layer(name: str) -> None:
    make, shape = BLOCKS[name]
    model = packed(make())
    x = torch.randn(shape)
    fused = tbn.fuse(model)
    same(fused, model, x)
    assert len(kinds(fused)) == 2, fused
    first = next(module for module in fused.modules() if isinstance(module, PackedLayer))
    assert first.fused and first.gain is not None and first.activation in ("relu", "gelu")
    assert not any(module.fused for module in model.modules() if isinstance(module, PackedLayer)), (
        "the model is unchanged"
    )


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (lambda x: F.relu(x), "relu"),
        (lambda x: F.relu(x, inplace=True), "relu"),
        (lambda x: torch.relu(x), "relu"),
        (lambda x: x.relu(), "relu"),
        (lambda x: x.relu_(), "relu"),
        (lambda x: F.gelu(x), "gelu"),
        (lambda x: F.gelu(x, approximate="none"), "gelu"),
        (lambda x: F.gelu(x, approximate="tanh"), "none"),
        (lambda x: F.leaky_relu(x), "none"),
        (lambda x: x + 1, "none"),
    ],
)
def test_an_activation_as_a_model_writes_it(written, name) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.b(written(self.a(x)))

    model = packed(Model())
    fused = tbn.fuse(model)
    same(fused, model, torch.randn(4, 6))
    assert {module.activation for module in fused.modules() if isinstance(module, PackedLayer)} == {name, "none"}


class Block(nn.Module):
    """Residual: the second norm has no activation of its own behind it, the first value is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.a, self.norm_a = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.b, self.norm_b = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        y = F.relu(self.norm_a(self.a(x)))
        return self.head(F.relu(x + self.norm_b(self.b(y))).mean((2, 3)))


def test_a_residual_block() -> None:
    model = packed(Block())
    fused = tbn.fuse(model)
    same(fused, model, torch.randn(2, 3, 6, 5))
    layers = [module for module in fused.modules() if isinstance(module, PackedLayer)]
    assert [(layer.gain is not None, layer.activation) for layer in layers] == [
        (False, "none"), (True, "relu"), (True, "none"), (False, "none"),
    ]  # fmt: skip


def test_what_stays() -> None:
    """A value that is used twice, statistics of the batch, another norm, hooks, a norm over another axis."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.norm, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

        def forward(self, x):
            y = self.a(x)
            return self.b(self.norm(y) + y)

    hooked = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    for model, shape in (
        (Twice(), (5, 6)),
        (nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 3)), (5, 6)),
        (nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)), (5, 6)),
        (nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(5), nn.Linear(8, 3)), (2, 5, 6)),
        (hooked, (5, 6)),
    ):
        frozen = packed(model)
        if model is hooked:
            frozen[1].register_forward_hook(lambda module, args, output: output * 2)
        fused = tbn.fuse(frozen)
        same(fused, frozen, torch.randn(shape))
        assert not any(module.fused for module in fused.modules() if isinstance(module, PackedLayer))


def test_a_linear_layer_with_a_norm_takes_one_row_an_input() -> None:
    """With as many positions as channels only the input tells which axis the BatchNorm means."""
    model = packed(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)))
    with pytest.raises(TBNError, match="got 2 axes behind the batch; use the packed model for this input"):
        tbn.fuse(model)(torch.randn(2, 8, 6))


def test_a_layer_that_is_called_twice_with_two_norms() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.one, self.two, self.head = (
                nn.Linear(8, 8),
                nn.BatchNorm1d(8),
                nn.BatchNorm1d(8),
                nn.Linear(8, 3),
            )

        def forward(self, x):
            return self.head(F.relu(self.two(self.a(F.relu(self.one(self.a(x)))))))

    model = packed(Shared())
    fused = tbn.fuse(model)
    same(fused, model, torch.randn(4, 8))
    assert kinds(fused).count("PackedLinear") == 3 and "BatchNorm1d" not in kinds(fused)


def test_dense_layers_take_in_their_norm() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 16),
                          nn.BatchNorm1d(16), nn.Linear(16, 4))  # fmt: skip
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0, exclude=("0", "4")))
    for norm in (model[1], model[5]):
        nn.init.normal_(norm.running_mean)
        nn.init.normal_(norm.weight)
    frozen = tbn.freeze(model)
    fused = tbn.fuse(frozen)
    same(fused, frozen, torch.randn(2, 3, 4, 4))
    assert sorted(kinds(fused)) == ["Conv2d", "Flatten", "Linear", "PackedLinear", "ReLU"]


@pytest.mark.parametrize("collapsed_first", [True, False])
@pytest.mark.parametrize("name", SMALL)
def test_every_model_of_the_registry(name: str, collapsed_first: bool) -> None:
    torch.manual_seed(0)
    model = packed(models.create(name, **SMALL[name]), alpha="layer" if collapsed_first else "tile")
    before = collapse(model)[0] if collapsed_first else model
    fused = tbn.fuse(before)
    same(fused, model, inputs(models.kind_of(name), 3))
    norms = sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in fused.modules())
    assert norms < 1 + sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in before.modules())


def test_the_copies_behind_a_contracted_layer_take_in_their_norm() -> None:
    model = packed(nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
                                 nn.Conv2d(8, 4, 1)), alpha="layer")  # fmt: skip
    model[0].bias.zero_()
    contracted, report = collapse(model)
    assert len(report.collapsed) == 1 and "Replicate" in kinds(contracted)
    fused = tbn.fuse(contracted)
    same(fused, model, torch.randn(2, 3, 5, 5))
    replicate = next(module for module in fused.modules() if isinstance(module, Replicate))
    assert replicate.activation == "relu" and "BatchNorm2d" not in kinds(fused)


def test_a_part_of_a_model_that_cannot_be_traced() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Block()

        def forward(self, x):
            return self.body(x) if x.sum() > 0 else self.body(-x)

    model = packed(Branches())
    fused = tbn.fuse(model)
    same(fused, model, torch.randn(2, 3, 6, 5))
    assert isinstance(fused.body, fx.GraphModule) and type(fused) is Branches


def test_bad_input(tmp_path) -> None:
    dense = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(TBNError, match=r"Sequential has no packed layer; call tbn.tile_\(model\)"):
        tbn.fuse(dense)
    model = packed(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)))
    fused = tbn.fuse(model)
    with pytest.raises(TBNError, match="the model is fused.*collapse"):
        collapse(fused)
    with pytest.raises(TBNError, match="collapsed or fused model"):
        tbn.save(fused, tmp_path / "model.safetensors")
    with pytest.raises(TBNError, match="training mode.*call model.eval"):
        tbn.fuse(model.train())
    tbn.tile_(dense, TilingConfig(p=2, min_layer_size=0))
    with pytest.raises(TBNError, match=r"latent weights.*fuse\(tbn.freeze\(model\)\)"):
        tbn.fuse(dense)
