"""Layers that cannot be replaced are left, with a reason; everything else is replaced and right."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import tbn
from tbn import TBNError, TilingConfig
from tbn.obstacles import obstacles

ALL = TilingConfig(p=4, min_layer_size=0)


def left(model: nn.Module) -> dict[str, str]:
    return {layer.name: layer.reason for layer in tbn.tile_(model, ALL).with_status("left")}


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.proj, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)


class UsesIt(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.proj(F.linear(x, self.fc.weight, self.fc.bias)))


class UsesItInAMethod(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.proj(self._first(x)))

    def _first(self, x: Tensor) -> Tensor:
        weight = self.fc.weight
        return x @ weight.T


class UsesItInAProperty(Base):
    @property
    def first(self) -> Tensor:
        return self.fc.weight.T

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.proj(x @ self.first))


class UsesItBySuper(UsesIt):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


class UsesAGrandchild(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Base()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner.head(self.inner.proj(x @ self.inner.fc.weight))


class OnlyAsks(Base):
    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.fc.weight)  # not part of the forward

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.fc.weight, object) and self.fc.weight.shape[0] == 8
        return self.head(self.proj(self.fc(x.to(self.fc.weight.dtype).to(self.fc.weight.device))))

    def export(self) -> Tensor:  # never called by forward
        return self.fc.weight.detach()


class Replaces(UsesIt):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.proj(self.fc(x)))


@pytest.mark.parametrize("kind", [UsesIt, UsesItInAMethod, UsesItInAProperty, UsesItBySuper])
def test_a_weight_that_the_parent_uses_is_left(kind: type[Base]) -> None:
    model = kind()
    assert left(model) == {"fc": f"{kind.__name__} uses its weight directly"}
    assert isinstance(model.proj, tbn.TiledLinear)
    x = torch.randn(3, 8)
    torch.testing.assert_close(tbn.freeze(model)(x), model(x).detach(), rtol=1e-5, atol=1e-6)


def test_a_grandchild_that_is_used_is_left() -> None:
    assert left(UsesAGrandchild()) == {"inner.fc": "UsesAGrandchild uses its weight directly"}


@pytest.mark.parametrize("kind", [OnlyAsks, Replaces])
def test_asking_for_the_dtype_or_overriding_the_forward_is_no_obstacle(kind: type[Base]) -> None:
    model = kind()
    assert left(model) == {}
    x = torch.randn(3, 8)
    torch.testing.assert_close(tbn.freeze(model)(x), model(x).detach(), rtol=1e-5, atol=1e-6)


def test_a_use_that_is_not_seen_is_refused_by_the_packed_model() -> None:
    class Hidden(Base):
        def forward(self, x: Tensor) -> Tensor:
            layers = [self.fc, self.proj]
            return self.head(F.linear(x, layers[0].weight))

    model = Hidden()
    assert left(model) == {}
    packed = tbn.freeze(model)
    with pytest.raises(TBNError, match="weight of a packed layer to linear itself.*exclude="):
        packed(torch.randn(3, 8))


def test_a_packed_layer_knows_the_dtype_and_device_of_its_weight() -> None:
    model = Base().bfloat16()
    tbn.tile_(model, ALL)
    weight = tbn.freeze(model).fc.weight
    assert weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and weight.shape == (8, 8)
    assert tbn.freeze(model).double().fc.weight.dtype == torch.float64


def test_computed_weights() -> None:
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(8, 8)), parametrizations.spectral_norm(nn.Conv1d(8, 8, 3)), nn.Linear(8, 8), nn.Linear(8, 2)
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's: weight_norm is deprecated
        nn.utils.weight_norm(model[2])
    reasons = left(model)
    assert "ParametrizedLinear is a subclass" in reasons["0"] and "ParametrizedConv1d is a subclass" in reasons["1"]
    assert reasons["2"] == "its weight is computed by a hook, as weight_norm does"
    assert reasons["2.weight_v"] == "a parameter of Linear"
    assert "0.parametrizations.weight.original1" in reasons


def test_a_layer_without_weights_yet() -> None:
    model = nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 8), nn.Linear(8, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert left(model)["0"] == "it has no weights yet: pass one batch through the model first"


def test_hooks_would_be_lost() -> None:
    model = Base()
    model.fc.register_forward_hook(lambda module, inputs, output: output + 1)
    assert left(model) == {"fc": "it has forward hooks, which would be lost: set them after tile_"}


def test_a_subclass_is_left_and_named_in_full() -> None:
    class Mine(nn.Linear):
        pass

    model = nn.Sequential(Mine(8, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    assert left(model)["0"].endswith("Mine is a subclass, which may do more than its parent")


def test_what_was_set_on_a_layer_stays() -> None:
    model = Base()
    model.fc.scale_of_mine = 0.5
    tbn.tile_(model, ALL)
    assert model.fc.scale_of_mine == 0.5


def test_other_kinds_of_layers_are_named() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Parameter(torch.randn(3, 8, 8))
            self.tied = nn.ModuleList([nn.Embedding(5, 8), nn.Embedding(5, 8)])
            self.tied[1].weight = self.tied[0].weight
            self.rest = nn.ModuleDict(
                {"up": nn.ConvTranspose2d(4, 4, 2), "volume": nn.ConvTranspose3d(2, 2, 3), "gru": nn.GRU(4, 4), "rnn": nn.RNN(4, 4)}
            )  # fmt: skip
            self.attend = nn.MultiheadAttention(8, 2, kdim=4, vdim=4)
            self.fc, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

    assert left(Own()) == {
        "mix": "a parameter of Own",
        "tied.0.weight": "a parameter of Embedding",
        "rest.up.weight": "a parameter of ConvTranspose2d",
        "rest.volume.weight": "a parameter of ConvTranspose3d",
        "rest.gru.weight_ih_l0": "a parameter of GRU",
        "rest.gru.weight_hh_l0": "a parameter of GRU",
        "rest.rnn.weight_ih_l0": "a parameter of RNN",
        "rest.rnn.weight_hh_l0": "a parameter of RNN",
        "attend.q_proj_weight": "a parameter of MultiheadAttention",
        "attend.k_proj_weight": "a parameter of MultiheadAttention",
        "attend.v_proj_weight": "a parameter of MultiheadAttention",
        "attend.out_proj": "MultiheadAttention uses its weight directly",
    }


def test_a_model_without_obstacles() -> None:
    assert obstacles(Base()) == {}
