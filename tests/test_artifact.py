import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

import tbn
from tbn import TBNError, TilingConfig, artifact, models
from tests.models.small import SMALL, inputs


def packed(model: str = "mlp", p: int = 4) -> nn.Module:
    network = models.create(model, **SMALL[model])
    tbn.tile_(network, TilingConfig(p=p, min_layer_size=1024))
    return tbn.freeze(network)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tbn.save(packed(), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def rewrite(path: Path, change) -> None:
    """Write the file again with changed tensors or metadata, its hash made to fit: a file that lies."""
    with safe_open(path, framework="pt") as handle:
        metadata = handle.metadata()
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    description = json.loads(metadata["model"])
    change(tensors, description, metadata)
    metadata["model"] = json.dumps(description, sort_keys=True)
    metadata["sha256"] = artifact._digest(tensors, metadata["model"])
    save_file(tensors, path, metadata)


@pytest.mark.parametrize("model", models.names())
def test_registry_models_rebuild_themselves(model, tmp_path):
    network = packed(model)
    tbn.save(network, tmp_path / "m.safetensors")
    again = tbn.load(tmp_path / "m.safetensors")
    x = inputs(models.kind_of(model), 3)
    assert torch.equal(again(x), network(x)) and not again.training


def test_anybodys_model_loads_into_itself(tmp_path):
    def build() -> nn.Module:
        shared = nn.Linear(16, 16)
        return nn.Sequential(
            nn.Conv1d(2, 4, 3),
            nn.BatchNorm1d(4),
            nn.Flatten(),
            shared,
            nn.ReLU(),
            nn.Sequential(shared),
            nn.Linear(16, 3),
        )

    model = build()
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=20))
    model(torch.randn(8, 2, 6))
    frozen = tbn.freeze(model)
    tbn.save(frozen, tmp_path / "m.safetensors")
    with pytest.raises(TBNError, match="not in the registry; build it and pass load"):
        tbn.load(tmp_path / "m.safetensors")
    x = torch.randn(5, 2, 6)
    for into in (build(), model):
        loaded = tbn.load(tmp_path / "m.safetensors", into=into)
        assert loaded is into and loaded[3] is loaded[5][0]
        torch.testing.assert_close(loaded(x), frozen(x))


def test_buffers_that_are_parts_of_one_tensor(tmp_path):
    def build() -> nn.Module:
        model, mask = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), torch.arange(12.0).reshape(4, 3)
        for name, value in (
            ("whole", mask),
            ("part", mask[2:]),
            ("again", mask),
            ("column", mask[:, 1]),
            ("none", mask[:0]),
        ):
            model.register_buffer(name, value)
        return model

    model = build()
    tbn.tile_(model, TilingConfig(min_layer_size=0))
    tbn.save(tbn.freeze(model), tmp_path / "m.safetensors")
    tensors, description, _ = artifact.read(tmp_path / "m.safetensors")
    assert description["tied"] == {"again": "whole"} and tensors["part"].tolist() == [[6, 7, 8], [9, 10, 11]]
    loaded = tbn.load(tmp_path / "m.safetensors", into=build())
    assert loaded.column.tolist() == [1, 4, 7, 10]
    assert tbn.summary(loaded).total_bytes == sum(tensor.nbytes for tensor in tensors.values())


def test_equal_models_are_equal_files(tmp_path):
    model = packed()
    for number in range(8):
        tbn.save(model, tmp_path / f"{number}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_state_that_is_not_tensors_is_refused(tmp_path):
    class Extra(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"steps": 3}

    model = nn.Sequential(nn.Linear(4, 4), Extra(4, 2))
    tbn.tile_(model, TilingConfig(min_layer_size=0))
    with pytest.raises(TBNError, match="'1._extra_state' of the model's state is no tensor but dict"):
        tbn.save(tbn.freeze(model), tmp_path / "m.safetensors")


def test_a_transposed_layer_is_saved_as_such(tmp_path):
    def build() -> nn.Module:
        return nn.Sequential(Conv1D(12, 8), nn.Linear(12, 8), nn.Linear(8, 2))

    model = build()
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0))
    frozen, x = tbn.freeze(model), torch.randn(3, 8)
    tbn.save(frozen, tmp_path / "m.safetensors")
    _, description, _ = artifact.read(tmp_path / "m.safetensors")
    assert description["layers"]["0"]["transposed"] is True and "transposed" not in description["layers"]["1"]
    for into in (build(), model):
        assert torch.equal(tbn.load(tmp_path / "m.safetensors", into=into)(x), frozen(x))
    square = nn.Sequential(nn.Linear(12, 8, bias=True), nn.Linear(12, 8), nn.Linear(8, 2))
    with pytest.raises(TBNError, match="packed layer '0', the model has Linear there"):
        tbn.load(tmp_path / "m.safetensors", into=square)


def test_a_model_in_half_precision_keeps_its_dtype(tmp_path):
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 12), nn.Linear(12, 2)).bfloat16()

    model, x = build(), torch.randn(3, 8).bfloat16()
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0))
    frozen = tbn.freeze(model)
    tbn.save(frozen, tmp_path / "m.safetensors")
    loaded = tbn.load(tmp_path / "m.safetensors", into=build())
    assert loaded[0].bias.dtype == torch.bfloat16 and torch.equal(loaded(x), frozen(x))


def test_no_pickle_anywhere():
    for path in Path(tbn.__file__).parent.rglob("*.py"):
        text = path.read_text()
        assert "torch.load(" not in text and "torch.save(" not in text and "import pickle" not in text, path


def test_missing(tmp_path):
    with pytest.raises(TBNError, match=r"there is no file .*nope.*; check the path"):
        tbn.load(tmp_path / "nope.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated(file, keep):
    data = file.read_bytes()
    file.write_bytes(data[:keep])
    with pytest.raises(TBNError, match="truncated or not a safetensors file"):
        tbn.load(file)


def test_foreign(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "f.safetensors")
    with pytest.raises(TBNError, match="not a packed tiled network; make one with"):
        tbn.load(tmp_path / "f.safetensors")
    (tmp_path / "text").write_text("hello, I am a text file of some length")
    with pytest.raises(TBNError, match="not a safetensors file"):
        tbn.load(tmp_path / "text")


def test_one_flipped_bit_is_found(file):
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(TBNError, match="damaged: its content does not match its sha256"):
        tbn.load(file)


def test_a_newer_version_says_upgrade(file):
    rewrite(file, lambda _t, _d, metadata: metadata.update(format_version="2"))
    with pytest.raises(TBNError, match="format version 2, this tbn reads up to 1; upgrade tbn"):
        tbn.load(file)


def shape_lie(tensors, description, _metadata) -> None:
    description["layers"]["fc1"]["shape"] = [128, 392]


def tile_lie(tensors, description, _metadata) -> None:
    tensors["fc1.tile"] = torch.zeros(7, dtype=torch.uint8)


def dtype_lie(tensors, description, _metadata) -> None:
    tensors["fc1.tile"] = tensors["fc1.tile"].to(torch.int64)


def factor_lie(tensors, description, _metadata) -> None:
    description["layers"]["fc1"]["p"] = 3


def missing_tensor(tensors, description, _metadata) -> None:
    del tensors["head.alphas"]


def zero_factor(tensors, description, _metadata) -> None:
    description["layers"]["fc1"]["p"] = "many"


@pytest.mark.parametrize("lie", [shape_lie, tile_lie, dtype_lie, factor_lie, missing_tensor, zero_factor])
def test_a_lying_file(file, lie):
    rewrite(file, lie)
    with pytest.raises(TBNError, match="says layer|header that makes no sense"):
        tbn.load(file)


def test_extra_and_missing_float_tensors(file):
    rewrite(file, lambda tensors, _d, _m: tensors.update(extra=torch.zeros(1)))
    with pytest.raises(TBNError, match="has 'extra', which the model does not have; load it into the architecture"):
        tbn.load(file)


def test_another_architecture_is_refused_and_left_as_it_was(file):
    other = nn.Sequential(nn.Linear(784, 64), nn.Linear(64, 10))
    with pytest.raises(TBNError, match="packed layer 'fc1', the model has nothing there"):
        tbn.load(file, into=other)
    smaller = models.create("mlp", hidden=[64])
    before = list(smaller)
    with pytest.raises(TBNError, match=r"layer 'fc1' is \(128, 784\)"):
        tbn.load(file, into=smaller)
    assert list(smaller) == before
    wider = models.create("mlp")
    wider.register_buffer("extra", torch.zeros(3))
    with pytest.raises(TBNError, match="the model has 'extra', which .* does not have; load it into the architecture"):
        tbn.load(file, into=wider)
    assert "PackedLinear" not in str(wider)
    with pytest.raises(TBNError, match="into='mlp' is no module; pass the model itself"):
        tbn.load(file, into="mlp")


def test_save_refuses_what_is_not_packed(tmp_path):
    network = models.create("mlp")
    with pytest.raises(TBNError, match="no packed layer"):
        tbn.save(network, tmp_path / "m")
    tbn.tile_(network)
    with pytest.raises(TBNError, match=r"latent weights.*save tbn\.freeze"):
        tbn.save(network, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_disk_full_keeps_the_old_file_and_leaves_nothing_else(file, monkeypatch):
    old = file.read_bytes()

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TBNError, match=r"cannot write .*No space left on device; free some space"):
        tbn.save(packed(p=8), file)
    assert file.read_bytes() == old and [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.skipif(
    not Path("/dev/full").exists() or not shutil.which("mount") or os.geteuid() != 0,
    reason="needs root to mount a small disk",
)
def test_a_really_full_disk(tmp_path):
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        with pytest.raises(TBNError, match="No space left on device"):
            tbn.save(packed(p=1), disk / "m.safetensors")
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
