from pathlib import Path

import pytest
from safetensors import safe_open
from torch import nn

import tbn
from tbn import TilingConfig, models
from tests.models.small import SMALL

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("p", "expected"), [(4, 3_316), (1, 12_712), (0, 406_528)])
def test_the_papers_microcontroller_mlp(p, expected):
    model = models.create("mlp")
    if p:
        tbn.tile_(model, TilingConfig(p=p))
    assert tbn.summary(model).weight_bytes == expected
    if p:
        assert tbn.summary(tbn.freeze(model)).weight_bytes == expected


@pytest.mark.filterwarnings("ignore:.*rows have equal signs:UserWarning")  # p = 16 in a network of a few channels
@pytest.mark.parametrize("model", models.names())
@pytest.mark.parametrize("p", [1, 4, 16])
def test_reported_bytes_are_the_bytes_in_the_file(model, p, tmp_path):
    network = models.create(model, **SMALL[model])
    tbn.tile_(network, TilingConfig(p=p, min_layer_size=1024))
    packed = tbn.freeze(network)
    tbn.save(packed, tmp_path / "packed.safetensors")
    with safe_open(tmp_path / "packed.safetensors", framework="pt") as file:
        stored = sum(file.get_tensor(key).nbytes for key in file.keys())  # noqa: SIM118
    assert tbn.summary(packed).total_bytes == tbn.summary(network).total_bytes == stored


def test_printed_table_is_golden():
    model = models.create("cnn")
    tbn.tile_(model, TilingConfig(p=8))
    assert str(tbn.summary(model, (1, 28, 28))) + "\n" == (GOLDEN / "summary_cnn_p8.txt").read_text()


def test_macs_are_counted_by_position_and_saved_by_reuse():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, groups=2), nn.Flatten(1), nn.Linear(16 * 25, 10)
    )
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0))
    rows = tbn.summary(model, (3, 15, 15)).layers
    assert [row.macs_dense for row in rows] == [216 * 49, 576 * 25, 4000]
    assert [row.macs_computed for row in rows] == [216 * 49 // 4, 576 * 25, 4000]  # the grouped one saves nothing
    assert model.training
    without = tbn.summary(model)
    assert without.macs_dense is None and without.layers[2].macs_dense == 4000 and "-" in str(without)


def test_a_transposed_layer_counts_its_inputs_as_rows():
    layer = tbn.layers.TiledTransposedLinear(12, 20, p=4)
    for model in (nn.Sequential(layer), tbn.freeze(nn.Sequential(layer))):
        (row,) = tbn.summary(model, (7, 12)).layers
        assert (row.kind, row.shape, row.q) == ("transposed", (12, 20), 60)
        assert (row.macs_dense, row.macs_computed) == (12 * 20 * 7, 12 * 20 * 7 // 4)
        assert tbn.summary(model).total_bytes == 8 + 4 * 4 + 4 * 20


def test_half_precision_and_computed_weights_are_counted_as_they_are_stored(tmp_path):
    model = nn.Sequential(
        nn.Conv1d(4, 8, 3), nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 3)), nn.Linear(8, 8)
    ).bfloat16()
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0, exclude=("0",)))
    packed = tbn.freeze(model)
    tbn.save(packed, tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", framework="pt") as file:
        stored = sum(file.get_tensor(key).nbytes for key in file.keys())  # noqa: SIM118
    found = tbn.summary(model, (4, 12))
    assert found.total_bytes == tbn.summary(packed).total_bytes == stored
    assert [(row.name, row.status, row.bytes) for row in found.layers] == [("0", "bf16", 192), ("2", "binary", 8 + 4)]


def test_layers_with_one_weight_in_common_are_one_row():
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False), nn.Linear(8, 2))
    model[1].weight = model[0].weight
    found = tbn.summary(model, (8,))
    assert [row.name for row in found.layers] == ["0", "2"]
    assert (found.weight_bytes, found.macs_dense) == (4 * (64 + 16), 2 * 64 + 16)


def test_shared_layers_are_stored_once():
    shared = nn.Linear(8, 8)
    model = nn.ModuleList([shared, nn.Sequential(shared), nn.Linear(8, 2)])
    tbn.tile_(model, TilingConfig(p=2, min_layer_size=0))
    assert len(tbn.summary(model).layers) == 2
    assert len(tbn.summary(tbn.freeze(model)).layers) == 2


def test_frame_and_dict():
    model = models.create("mlp")
    tbn.tile_(model)
    found = tbn.summary(model)
    frame = found.to_frame()
    assert list(frame["name"]) == ["fc1", "head"] and int(frame["bytes"].sum()) == found.weight_bytes
    assert found.to_dict()["compression"] == pytest.approx(406_528 / 3_316)
