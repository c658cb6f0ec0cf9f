"""Generated C: golden files, the same bytes each time, refusals."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tbn.models
from tbn.convert import TilingConfig, freeze, tile_
from tbn.errors import TBNError
from tbn.export.c_source import c_float, export_c
from tbn.export.report import HEADER, REFERENCE, REPORT, SOURCE, read_report
from tests.export.packed_models import example, images, network, packed_linear

GOLDEN = Path(__file__).parent / "golden"


def test_golden_files(tmp_path: Path) -> None:
    """What the generator writes today is what lies here (run this file as a script to renew it)."""
    export_c(example(), images(1, 8, 8), tmp_path)
    for name in (HEADER, SOURCE):
        assert (tmp_path / name).read_text() == (GOLDEN / name).read_text()


def test_same_model_gives_same_bytes(tmp_path: Path) -> None:
    first = export_c(example(), images(1, 8, 8), tmp_path / "a")
    second = export_c(example(), images(1, 8, 8), tmp_path / "b")
    assert first.model_hash == second.model_hash
    for name in (HEADER, SOURCE, REFERENCE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_hash_follows_the_weights(tmp_path: Path) -> None:
    changed = example()
    changed.fc1.tile[0] ^= 1
    hashes = {
        export_c(model, images(1, 8, 8), tmp_path / str(i)).model_hash for i, model in enumerate((example(), changed))
    }
    assert len(hashes) == 2


def test_report_reads_back(tmp_path: Path) -> None:
    report = export_c(example(), images(1, 8, 8), tmp_path, "from here")
    assert read_report(tmp_path) == report
    assert report.weight_bytes == 64 * 32 // 4 // 8 + 4 * 4 + 32 * 10 // 8 + 4 + 10 * 4
    assert [layer.operation for layer in report.layers] == ["tiled", "tiled"]
    assert [layer.distinct_rows for layer in report.layers] == [8, 10]
    assert report.arena_bytes == 4 * (64 + 32 + 256)
    with np.load(report.reference) as stored:
        assert stored["inputs"].shape == (32, 1, 8, 8) and stored["logits"].shape == (32, 10)
    (tmp_path / REPORT).write_text("{")
    assert read_report(tmp_path) is None


def test_paper_mlp_sizes(tmp_path: Path) -> None:
    """Flash bytes of the microcontroller network: tiled by 4, binary, float32."""
    sizes = []
    for p in (4, 1, 0):
        torch.manual_seed(0)
        model: nn.Module = tbn.models.create("mlp")
        if p:
            tile_(model, TilingConfig(p=p))
            model = freeze(model)
        sizes.append(export_c(model, images(1, 28, 28), tmp_path / str(p)).weight_bytes)
    assert sizes == [3316, 12712, 406528]


def test_float_literals_are_exact() -> None:
    numbers = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    numbers = np.concatenate(
        [numbers * 10.0**k for k in range(-30, 30, 7)] + [np.float32([0, -0.0, 1, 1e-45, 3.4e38])]
    ).astype(np.float32)
    assert [np.float32(c_float(x).rstrip("f")) for x in numbers] == numbers.tolist()
    assert c_float(3.0) == "3.0f"


def test_layer_names_become_different_symbols(tmp_path: Path) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.ModuleDict({"b": packed_linear(8, 8, 1, 1, True), "b_tile": packed_linear(8, 8, 1, 1, True)})
            self.a_b = packed_linear(8, 8, 1, 1, True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a_b(F.relu(self.a["b_tile"](self.a["b"](x.flatten(1)))))

    report = export_c(Model(), images(8), tmp_path)
    names = [name for layer in report.layers for name, _ in layer.symbols.values()]
    assert len(set(names)) == len(names) == 9
    assert [layer.relu for layer in report.layers] == [False, True, False]


class Branch(nn.Module):
    """A residual sum, which a chain of layers is not."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc(x)


class Loop(nn.Module):
    """A forward that depends on the data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (network(nn.Linear(8, 8), nn.GELU()), "'2' is a GELU: the C runtime"),
        (network(nn.Linear(8, 8), nn.Softmax(1)), "'2' is a Softmax"),
        (network(nn.ReLU()), "no fully connected layer"),
        (network(nn.Linear(8, 4), nn.ReLU(), nn.ReLU()), "does not end"),
        (network(nn.Linear(9, 4)), "takes 9 values"),
        (Branch(), "add"),
        (Loop(), "cannot be traced"),
    ],
)  # fmt: skip
def test_what_the_runtime_has_not_is_refused(model: nn.Module, words: str, tmp_path: Path) -> None:
    with pytest.raises(TBNError, match=words) as error:
        export_c(model, images(8), tmp_path)
    assert "--precision integer" in error.value.fix
    assert not list(tmp_path.iterdir())


def test_conv_model_is_refused_by_name(tmp_path: Path) -> None:
    model = tbn.models.create("cnn")
    tile_(model, TilingConfig(p=4, min_layer_size=1000))
    with pytest.raises(
        TBNError, match=r"'\w+' is a PackedConv2d: the C runtime of this version has fully connected"
    ) as error:
        export_c(freeze(model), images(1, 28, 28), tmp_path)
    assert "--precision integer" in str(error.value)


def test_relu_after_layer_is_kept_for_a_middle_layer_only(tmp_path: Path) -> None:
    """ReLU on the input and twice in a row are done in place."""
    model = network(
        nn.ReLU(),
        packed_linear(8, 8, 1, 1, False),
        nn.ReLU(),
        nn.ReLU(),
        nn.Dropout(0.5),
        packed_linear(8, 4, 1, 1, False),
        nn.Identity(),
    )
    export_c(model.eval(), images(8), tmp_path)
    assert (tmp_path / SOURCE).read_text().count("tbn_relu(") == 2


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = network(packed_linear(8, 4, 1, 1, False))
    model[1].alphas[0] = float("nan")
    with pytest.raises(TBNError, match="alphas of '1' holds numbers that are not finite"):
        export_c(model, images(8), tmp_path)


def test_disk_full_leaves_the_old_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = export_c(example(), images(1, 8, 8), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TBNError, match="No space left"):
        export_c(network(packed_linear(64, 10, 1, 1, False)), images(1, 8, 8), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert read_report(tmp_path) == old


def test_package_needs_no_torch() -> None:
    code = "import sys, tbn.export, tbn.export.run, tbn.export.host; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


if __name__ == "__main__":
    export_c(example(), images(1, 8, 8), GOLDEN)
    for name in (REFERENCE, REPORT):
        (GOLDEN / name).unlink()
