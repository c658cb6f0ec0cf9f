"""Every model and every odd layer as ONNX: the same answers in ONNX Runtime, computed once, from a file without a weight-sized constant."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tbn
from kernels.dispatch import convolve
from kernels.reference import tiled_linear, transposed_linear
from tbn import TBNError, TilingConfig, models, runs
from tbn.export.onnx import RuntimeModel, export_onnx, export_run, to_onnx
from tbn.fusion import fuse
from tbn.packed import PackedConv1d, PackedConv2d, PackedLayer, PackedLinear, PackedTransposedLinear
from tests.models.small import SMALL, inputs
from tests.test_cli import tbn as command

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

ZOO = "fashion_mnist-mlp-p4-s0"
ONE_BLOCK: dict[str, dict[str, object]] = {  # the exporter is slow, and a second block of the same kind adds nothing
    **{name: {"depth": 1} for name in ("mlp_mixer", "convmixer", "vit", "unet", "forecaster_transformer")},
    "swin_t": {"depths": [2, 1]},
}


def shaken(model: nn.Module) -> nn.Module:
    """All numbers and bits changed, so that no norm, bias or gain is that of the start."""
    torch.manual_seed(1)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.rand_like(tensor) * 0.1)
    for module in model.modules():
        if isinstance(module, PackedLayer):
            bits = torch.randint(0, 2, (module.geometry.tile_length,))
            module.tile.copy_(torch.from_numpy(np.packbits(bits.numpy().astype(np.uint8), bitorder="little")))
    return model.eval()


def assert_equal(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", models.names())
def test_every_model(name):
    """Fused, as a run is exported, against the packed model."""
    model = models.create(name, **{**SMALL[name], **ONE_BLOCK.get(name, {})})
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=256))
    packed = shaken(tbn.freeze(model.eval()))
    fused = fuse(packed)
    proto = to_onnx(fused, SMALL[name]["input_shape"])
    onnx.checker.check_model(proto, full_check=True)
    assert [(entry.version, entry.domain) for entry in proto.opset_import] == [(18, "")] and not proto.functions
    longest = max(tensor.numel() for tensor in fused.state_dict().values() if tensor.is_floating_point())
    floats = [entry for entry in proto.graph.initializer if entry.data_type == onnx.TensorProto.FLOAT]
    assert all(np.prod(entry.dims) <= longest for entry in floats)
    assert proto.ByteSize() < tbn.summary(packed).total_bytes + 200 * len(proto.graph.node)
    runtime = RuntimeModel(proto)
    for count in (1, 5):
        x = inputs(models.kind_of(name), count)
        with torch.no_grad():
            assert_equal(runtime(x), packed(x))


def layer(kind, *arguments, p, alphas, **more):
    return shaken(kind(*arguments, p=p, alpha_count=alphas, **more))


class Beside(nn.Module):
    """Layers side by side, each on the first columns of the input; one export for all."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        return torch.cat([layer(x[..., : layer.in_features]) for layer in self.layers], -1)


@pytest.mark.parametrize("kind", [PackedLinear, PackedTransposedLinear])
def test_odd_layers(kind):
    """Against the reference in float64: rows and columns of the weight, p, alphas."""
    layers = []
    for rows, columns, p, alphas in (
        (10, 128, 4, 4), (6, 40, 16, 16), (6, 40, 16, 1), (7, 64, 4, 4), (13, 12, 4, 1), (13, 16, 13, 13), (8, 1, 4, 4), (24, 33, 8, 8), (5, 7, 1, 1),
    ):  # fmt: skip
        sizes = (columns, rows) if kind is PackedLinear else (rows, columns)
        layers += [layer(kind, *sizes, bias=bias, p=p, alphas=alphas) for bias in (False, True)]
    model = RuntimeModel(to_onnx(Beside(layers), (3, 128)))
    reference = tiled_linear if kind is PackedLinear else transposed_linear
    for count in (1, 5):
        x = torch.randn(count, 3, 128)
        found = model(x).split([layer.outputs for layer in layers], -1)
        for one, of in zip(found, layers, strict=True):
            assert_equal(one, reference(x[..., : of.in_features], of.tile, of.alphas, of.geometry, of.bias))
    assert model(torch.empty(0, 3, 128)).shape == (0, 3, sum(layer.outputs for layer in layers))


@pytest.mark.parametrize(
    ("channels", "filters", "kernel", "stride", "padding", "dilation", "groups", "mode", "p", "alphas"),
    [
        (4, 8, (3, 3), (2, 1), (1, 0), (1, 1), 1, "zeros", 4, 4),
        (3, 6, (3, 2), (1, 1), "same", (1, 2), 1, "zeros", 4, 4),  # rows in pieces
        (4, 8, (3, 3), (1, 1), (1, 1), (1, 1), 1, "circular", 4, 1),
        (4, 8, (3, 3), (1, 1), "valid", (1, 1), 4, "zeros", 4, 4),  # grouped: nothing shared
        (5, 12, (3,), (2,), (1,), (1,), 1, "reflect", 3, 3),
    ],
)
def test_convolutions(channels, filters, kernel, stride, padding, dilation, groups, mode, p, alphas):
    kind = PackedConv2d if len(kernel) == 2 else PackedConv1d
    packed = layer(kind, channels, filters, kernel, stride, padding, dilation, groups, mode, True, p=p, alphas=alphas)
    x = torch.randn(3, channels, *(9, 7)[: len(kernel)])
    with torch.no_grad():
        expected = convolve(packed.framed(x), packed.dense_weight(), packed.bias, packed.window)
    assert_equal(RuntimeModel(to_onnx(packed, x.shape[1:]))(x), expected)


def test_each_distinct_row_is_multiplied_once():
    packed = layer(PackedLinear, 64, 96, bias=True, p=8, alphas=8)
    proto = onnx.shape_inference.infer_shapes(to_onnx(packed, (64,)), data_prop=True)
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in proto.graph.value_info
    }
    (product,) = [node for node in proto.graph.node if node.op_type in ("Gemm", "MatMul")]
    assert sorted(shapes[product.input[1]]) == [96 // 8, 64]


def test_a_wide_network_stays_as_small_as_its_packed_file(tmp_path):
    model = models.create("mlp", input_shape=[1, 28, 28], classes=10, hidden=[1024, 1024])
    tbn.tile_(model, TilingConfig(p=8))
    packed = tbn.freeze(model.eval())
    tbn.save(packed, tmp_path / "packed.safetensors")
    report = export_onnx(packed, (1, 28, 28), tmp_path / "model.onnx")
    assert report.file_bytes == (tmp_path / "model.onnx").stat().st_size
    assert report.file_bytes < 1.2 * (tmp_path / "packed.safetensors").stat().st_size + 5000
    assert list(tmp_path.iterdir()) and not list(tmp_path.glob(".*"))


class Mixed(nn.Module):
    """A shared layer, masks of both kinds, causal attention and both GELUs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        q = self.first(x)
        x = F.gelu(F.scaled_dot_product_attention(q, x, x, is_causal=True))
        x = F.scaled_dot_product_attention(q, x, x, torch.ones(5, 5, dtype=torch.bool).tril(1))
        x = F.gelu(
            F.scaled_dot_product_attention(q, x, x, torch.arange(25.0).reshape(5, 5), scale=0.3), approximate="tanh"
        )
        return self.head(self.second(x))


@pytest.mark.parametrize("p", [0, 2])
def test_attention_and_shared_layers(p):
    model = Mixed().eval()
    if p:
        tbn.tile_(model, TilingConfig(p=p, min_layer_size=1))
        model = tbn.freeze(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.randn(4, 2, 5, 8)
    with torch.no_grad():
        assert_equal(RuntimeModel(to_onnx(model, (2, 5, 8)))(x), model(x))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_half_precision_model_is_written_in_float32():
    packed = layer(PackedLinear, 16, 8, bias=True, p=4, alphas=4).bfloat16()
    x = torch.randn(2, 16)
    expected = tiled_linear(x, packed.tile, packed.alphas, packed.geometry, packed.bias)
    assert_equal(RuntimeModel(to_onnx(packed, (16,)))(x), expected)


def test_the_file_says_what_its_user_needs(tmp_path):
    report = export_run(runs.complete(ZOO), tmp_path)
    proto = onnx.load(report.path)
    said = {entry.key: entry.value for entry in proto.metadata_props}
    assert said == report.metadata and (said["run"], said["model"], said["task"], said["kind"]) == (
        ZOO,
        "mlp",
        "fashion_mnist",
        "images",
    )
    assert (
        proto.producer_name == "tbn"
        and said["tbn_format"] == "1"
        and json.loads(said["classes"])[0].startswith("T-shirt")
    )
    assert 0 < float(said["scale"]) < 1 and float(said["offset"]) <= 0
    (given,), (answer,) = proto.graph.input, proto.graph.output
    assert [size.dim_param or size.dim_value for size in given.type.tensor_type.shape.dim] == ["batch", 1, 28, 28]
    assert (given.name, answer.name) == ("input", "output")


def test_the_command(capsys, tmp_path):
    code, out, _ = command(capsys, "export", ZOO, "--to", "onnx", "--out", tmp_path, "--json")
    found = json.loads(out)
    assert code == 0 and found["file_bytes"] == (tmp_path / "model.onnx").stat().st_size and found["opset"] == 18
    code, _, err = command(capsys, "export", ZOO, "--to", "tflite")
    assert code == 1 and err == "error: unknown format 'tflite'; use --to c or --to onnx\n"
    shutil.copytree(runs.find(ZOO).path, tmp_path / "run")
    (tmp_path / "run" / "packed.safetensors").unlink()
    code, _, err = command(capsys, "export", tmp_path / "run", "--to", "onnx")
    assert code == 1 and "there is no file" in err and not (tmp_path / "run" / "model.onnx").exists()


class Odd(nn.Module):
    """What cannot be exported: a fixed batch, or an operation without a translation."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed, self.fc = fixed, nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) + torch.ones(len(x), 1) if self.fixed else torch.linalg.qr(self.fc(x))[0]


def test_what_cannot_be_exported_says_why(tmp_path):
    with pytest.raises(
        TBNError, match=r"Odd cannot be traced for every batch size: .*batch.*x.shape\[0\], not len\(x\)"
    ):
        to_onnx(Odd(fixed=True).eval(), (3, 4))
    with pytest.raises(TBNError, match="torch cannot write Odd as ONNX: .*qr"):
        to_onnx(Odd(fixed=False).eval(), (3, 4))
    tiled = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    tbn.tile_(tiled, TilingConfig(p=2, min_layer_size=1))
    with pytest.raises(TBNError, match="latent weights.*export tbn.freeze"):
        to_onnx(tiled, (8,))
    with pytest.raises(TBNError, match="3,600,000,000 bytes and an ONNX file holds 2,146,435,072"):
        to_onnx(nn.Linear(30_000, 30_000, bias=False, device="meta"), (30_000,))
    (tmp_path / "file").write_text("")
    with pytest.raises(TBNError, match="cannot write"):
        export_onnx(nn.Linear(4, 4), (4,), tmp_path / "file" / "model.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"nonsense")
    with pytest.raises(TBNError, match="ONNX Runtime cannot load"):
        RuntimeModel(tmp_path / "broken.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TBNError, match=f"needs the package {package}, which is not installed; pip install {package}"):
        RuntimeModel(to_onnx(nn.Linear(2, 2), (2,)))
