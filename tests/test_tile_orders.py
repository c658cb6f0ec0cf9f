"""Networks of every tile order: one answer from the latent model, the packed file, the fused and the collapsed form and every native engine."""

from __future__ import annotations

import pytest
import torch

import tbn
from tbn import TBNError, TilingConfig, models
from tbn.collapse import collapse
from tbn.fusion import fuse
from tbn.layers import TiledConv2d, TiledLinear, TiledTransposedLinear
from tbn.packed import PackedLayer
from tests.engines import forced
from tests.models.small import SMALL, inputs
from tests.test_engines import difference, shaken

ORDERS = ("interleaved", "inputs", "rolled")
NETWORKS = ("mlp", "cnn", "convmixer", "swin_t")


def packed_model(name: str, order: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """The packed model, an input and what the latent model gives for it."""
    torch.manual_seed(3)
    model, kind = models.create(name, **SMALL[name]), models.kind_of(name)
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=64, order=order))
    shaken(model, inputs(kind, 16))
    x = inputs(kind, 3)
    with torch.no_grad():
        return tbn.freeze(model), x, model(x)


@pytest.mark.filterwarnings("ignore:.*have equal signs:UserWarning")  # p = 4 in networks of a few channels
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_one_answer(name, order, tmp_path):
    packed, x, expected = packed_model(name, order)
    assert {layer.order for layer in packed.modules() if isinstance(layer, PackedLayer) and layer.p > 1} == {order}
    tbn.save(packed, tmp_path / "model.safetensors")
    loaded = tbn.load(tmp_path / "model.safetensors")
    for form in (loaded, fuse(loaded), fuse(collapse(loaded)[0])):
        for chosen in ("torch", "portable"):
            with forced(chosen):
                assert difference(form(x), expected) < 2e-5


@pytest.mark.parametrize("order", ORDERS)
@torch.no_grad()
def test_one_answer_of_onnx_runtime(order):
    """A linear layer, a convolution, a grouped one, and layers whose rows have several alphas, in one network."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    from tbn.export.onnx import RuntimeModel, to_onnx

    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        TiledConv2d(6, 16, 3, padding=1, p=4, order=order), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
        TiledConv2d(16, 8, 3, padding="same", padding_mode="reflect", groups=2, p=4, order=order), torch.nn.Flatten(),
        TiledLinear(8 * 16, 10, p=4, order=order), torch.nn.GELU(), TiledLinear(10, 12, p=8, order=order),
        TiledTransposedLinear(12, 5, p=4, order=order),
    )  # fmt: skip
    layers[1].running_var.uniform_(0.5, 2)
    layers[1].weight.uniform_(-1, 1)
    packed = fuse(tbn.freeze(layers.eval()))
    proto = to_onnx(packed, (6, 4, 4))
    stored = sum(tensor.raw_data.__len__() for tensor in proto.graph.initializer)
    assert stored < 4_000  # bits, alphas and biases, and no weight-sized constant: those have 11,408 bytes
    x = torch.randn(3, 6, 4, 4)
    assert difference(RuntimeModel(proto)(x), layers(x)) < 1e-5


def test_summary_says_what_each_order_saves():
    saved = {}
    for order in ("rows", *ORDERS):
        model = models.create("mlp", hidden=[256])
        tbn.tile_(model, TilingConfig(p=4, min_layer_size=1_000, order=order))
        size, packed = tbn.summary(model, (1, 28, 28)), tbn.summary(tbn.freeze(model), (1, 28, 28))
        assert size == packed and size.weight_bytes == 6_272 + 16 + 320 + 4
        assert size.to_dict()["layers"][0]["order"] == order
        saved[order] = size.macs_dense / size.macs_computed
    assert saved["rows"] == saved["interleaved"] == saved["inputs"] > 3.8 and saved["rolled"] == 1


def test_conversion_says_what_an_order_does_not_save():
    model = torch.nn.Sequential(torch.nn.Linear(7, 8), torch.nn.Linear(8, 8))
    report = tbn.tile_(model, TilingConfig(p=4, min_layer_size=0, order="inputs", per_layer={"1": 4}))
    assert [row.reason for row in report.layers] == ["p is prime to the 7 inputs: smaller, but not faster", ""]
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8))
    report = tbn.tile_(model, TilingConfig(p=4, min_layer_size=0, order="rolled", alpha="layer", per_layer={"1": 4}))
    assert {row.reason for row in report.layers} == {"rolled, no two rows are equal: smaller, but not faster"}
    with pytest.raises(TBNError, match="cannot be tiled with one alpha"):
        tbn.tile_(
            torch.nn.Sequential(torch.nn.Linear(8, 8)),
            TilingConfig(order="interleaved", alpha="layer", per_layer={"0": 4}),
        )
    with pytest.warns(UserWarning, match="all 2 inputs have equal signs"):
        tbn.tile_(
            torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Linear(8, 8)),
            TilingConfig(min_layer_size=0, order="inputs"),
        )


def test_a_file_of_an_unknown_order_asks_for_a_newer_version(tmp_path, monkeypatch):
    model = torch.nn.Sequential(TiledLinear(8, 8, p=4, order="rolled"))
    tbn.save(tbn.freeze(model), tmp_path / "model.safetensors")
    monkeypatch.setattr(tbn.artifact, "ORDERS", ("rows",))
    with pytest.raises(TBNError, match="order 'rolled', this tbn knows rows.*upgrade"):
        tbn.load(tmp_path / "model.safetensors", into=torch.nn.Sequential(torch.nn.Linear(8, 8)))


def test_a_weight_over_inputs_knows_the_inputs_order_as_its_rows():
    assert TiledTransposedLinear(8, 4, p=4, order="inputs").order == "rows"
    assert "order=rolled" in repr(TiledLinear(8, 4, p=4, order="rolled"))
