import copy
import warnings

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

import tbn
from tbn import TBNError, TilingConfig, tile_


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(16 * 16, 32), nn.Linear(32, 10)
    )


def test_lambda_decides_and_the_last_layer_stays_binary():
    model = net()
    report = tile_(model, TilingConfig(p=4, min_layer_size=1000))
    assert [(layer.name, layer.status, layer.p) for layer in report.layers] == [
        ("0", "binary", 1), ("2", "tiled", 4), ("4", "tiled", 4), ("5", "binary", 1)]  # fmt: skip
    assert model[5].alphas.numel() == 1 and model[4].alphas.numel() == 4
    assert "72 weights < min_layer_size 1,000" in str(report) and "last layer" in str(report)


def test_default_config_is_the_papers():
    config = TilingConfig()
    assert (config.p, config.min_layer_size, config.alpha, config.alpha_source) == (4, 64_000, "tile", "separate")


def test_excluded_layers_keep_full_precision_and_patterns_set_factors():
    model = net()
    report = tile_(model, TilingConfig(p=4, min_layer_size=0, exclude=("0",), per_layer={"2": 8, "5": 2}))
    assert type(model[0]) is nn.Conv2d and [layer.p for layer in report.layers] == [0, 8, 4, 2]


def test_a_tiled_classifier_with_one_alpha_is_refused():
    """Classes r and r + m/p would get equal logits: refused, and true when done by hand."""
    model = net()
    with pytest.raises(TBNError, match="last layer '5' cannot be tiled with one alpha.*alpha='tile'"):
        tile_(model, TilingConfig(alpha="layer", min_layer_size=0, per_layer={"5": 2}))
    assert all(type(module) is not tbn.TiledLinear for module in model)  # nothing was changed
    logits = tbn.TiledLinear(32, 10, bias=False, p=2, alpha="layer")(torch.randn(4, 32))
    torch.testing.assert_close(logits[:, :5], logits[:, 5:])


def test_a_misfit_takes_the_largest_divisor_or_raises_when_strict():
    report = tile_(nn.Sequential(nn.Linear(10, 9), nn.Linear(9, 2)), TilingConfig(p=4, min_layer_size=0))
    assert report.layers[0].p == 2 and "p=4 does not divide the 90 weights" in report.layers[0].reason
    with pytest.raises(TBNError, match="p=4 does not divide the 90 weights of '0'; nearest are 3 and 5"):
        tile_(nn.Sequential(nn.Linear(10, 9), nn.Linear(9, 2)), TilingConfig(p=4, min_layer_size=0), strict=True)


def test_a_factor_larger_than_the_layer():
    with pytest.raises(TBNError, match=r"p=1000 is larger than the 320 weights of '0'; use p <= 320"):
        tile_(nn.Sequential(nn.Linear(10, 32), nn.Linear(32, 2)), TilingConfig(p=1000, min_layer_size=0))


def test_equal_rows_are_warned_of():
    with pytest.warns(UserWarning, match="all 4 rows have equal signs"):
        tile_(nn.Sequential(nn.Linear(16, 4), nn.Linear(4, 2)), TilingConfig(p=8, min_layer_size=0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"p": 0.5}, "p=0.5 is not a whole number"), ({"p": 0}, "p=0"), ({"p": True}, "p=True"), ({"p": "4"}, "p='4'"),
     ({"alpha": "row"}, "use one of tile, layer"), ({"order": "columns"}, "use one of rows, interleaved"),
     ({"estimator": "sign"}, "estimator='sign'"), ({"standardise": "yes"}, "use one of False, True"), ({"min_layer_size": -1}, "min_layer_size"),
     ({"alpha_init": "ones"}, "use one of default, kaiming_normal, weight"), ({"exclude": "head"}, "use a tuple"),
     ({"per_layer": {"a": 0}}, "per_layer")],
)  # fmt: skip
def test_bad_values(arguments, message):
    with pytest.raises(TBNError, match=message):
        TilingConfig(**arguments)


def test_a_pattern_without_a_layer():
    with pytest.raises(TBNError, match="pattern 'head' matches no layer; layers are 0, 2, 4, 5"):
        tile_(net(), TilingConfig(exclude=("head",)))


def test_nothing_to_tile():
    with pytest.raises(TBNError, match="no Linear or Conv layer"):
        tile_(nn.Sequential(nn.ReLU()))
    with pytest.raises(TBNError, match="wrap it"):
        tile_(nn.Linear(4, 4))
    with pytest.raises(TBNError, match=r"call tbn\.tile_"):
        tbn.freeze(net())


def test_a_second_call_leaves_tiled_layers():
    model = net()
    tile_(model, TilingConfig(min_layer_size=0))
    layers = list(model)
    report = tile_(model, TilingConfig(p=8, min_layer_size=0))
    assert list(model) == layers and {layer.status for layer in report.layers} == {"left"}


def test_a_shared_module_is_converted_once_and_tied_weights_are_left():
    shared = nn.Linear(8, 8)
    model = nn.ModuleList([shared, nn.Sequential(shared), nn.Linear(8, 2)])
    tile_(model, TilingConfig(min_layer_size=0))
    assert model[0] is model[1][0] and isinstance(model[0], tbn.TiledLinear)
    tied = nn.ModuleDict({"embed": nn.Embedding(10, 8), "head": nn.Linear(8, 10, bias=False), "last": nn.Linear(8, 2)})
    tied["head"].weight = tied["embed"].weight
    report = tile_(tied, TilingConfig(min_layer_size=0))
    assert report.layers[0].reason == "its weight is shared with 'embed'" and type(tied["head"]) is nn.Linear


def test_a_layer_with_two_names_in_one_parent_is_replaced_under_both():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = self.second = nn.Linear(8, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, x):
            return self.head(self.second(self.first(x)))

    model, x = Twice(), torch.randn(3, 8)
    tile_(model, TilingConfig(min_layer_size=0))
    assert model.first is model.second and isinstance(model.second, tbn.TiledLinear)
    packed = tbn.freeze(model)
    assert packed.first is packed.second
    torch.testing.assert_close(packed(x), model(x).detach(), rtol=1e-5, atol=1e-6)


def test_weights_that_cannot_be_tiled_are_reported():
    model = nn.ModuleDict(
        {
            "embed": nn.Embedding(10, 8),
            "attend": nn.MultiheadAttention(8, 2),
            "lstm": nn.LSTM(8, 8),
            "head": nn.Linear(8, 10),
        }
    )
    report = tile_(model, TilingConfig(min_layer_size=0))
    left = {layer.name: layer.reason for layer in report.with_status("left")}
    assert left["embed.weight"] == "a parameter of Embedding" and left["lstm.weight_hh_l0"] == "a parameter of LSTM"
    assert left["attend.in_proj_weight"] == "a parameter of MultiheadAttention"
    assert left["attend.out_proj"] == "MultiheadAttention uses its weight directly"


def test_a_trained_model_keeps_its_alphas_where_they_start_from_the_weights():
    dense = net()
    model = copy.deepcopy(dense)
    tile_(model, TilingConfig(p=4, min_layer_size=0, alpha_init="weight", per_layer={"5": 1}))
    for name in (0, 2, 4):
        torch.testing.assert_close(model[name].alphas, dense[name].weight.detach().reshape(4, -1).abs().mean(1))
    torch.testing.assert_close(model[5].alphas, dense[5].weight.detach().abs().mean().reshape(1))
    again = net()
    tile_(again, TilingConfig(p=4, min_layer_size=0, alpha_init="weight", per_layer={"5": 1}))
    again.load_state_dict(dense.state_dict())  # the other order: tiled first, then the checkpoint
    assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())


def test_grouped_and_transposed_layers_say_what_they_save():
    model = nn.Sequential(
        nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1), Conv1D(12, 6), Conv1D(12, 8), Conv1D(8, 2), nn.Linear(2, 2)
    )
    with pytest.warns(UserWarning, match="all 2 inputs have equal signs: p is larger than the inputs; use p <= 2"):
        report = tile_(model, TilingConfig(p=3, min_layer_size=0, per_layer={"0": 4, "1": 4, "3": 4, "4": 4}))
    reasons = [layer.reason for layer in report.layers]
    assert reasons[0] == "grouped, equal filters see different channels: smaller, but not faster"
    assert reasons[1] == "" and reasons[2] == "" and reasons[3] == ""
    other = tile_(nn.Sequential(Conv1D(12, 8), nn.Linear(2, 2)), TilingConfig(p=3, min_layer_size=0))
    assert other.layers[0].reason == "p is prime to the 8 inputs: smaller, but not faster"


def test_state_dict_names_are_kept():
    dense = net()
    tiled = copy.deepcopy(dense)
    tile_(tiled, TilingConfig(min_layer_size=0))
    assert set(tiled.state_dict()) - set(dense.state_dict()) == {f"{k}.alpha_source" for k in (0, 2, 4, 5)}
    tiled.load_state_dict(dense.state_dict())


def test_freeze_leaves_the_model_and_equals_it():
    model = net().train()
    tile_(model, TilingConfig(p=4, min_layer_size=500))
    before = copy.deepcopy(model.state_dict())
    packed = tbn.freeze(model)
    assert model.training and not packed.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    x = torch.randn(5, 1, 8, 8)
    with warnings.catch_warnings(), torch.no_grad():
        torch.testing.assert_close(packed(x), model.eval()(x), rtol=1e-5, atol=1e-6)
