"""Memory maps: every byte is drawn once, where it lies."""

import pandas as pd

from tbn import charts, memory_charts

MCU = [
    {"name": "fc1", "shape": [128, 784], "weights": 100352, "p": 4, "q": 25088, "bytes": 3152, "status": "tiled"},
    {"name": "head", "shape": [10, 128], "weights": 1280, "p": 1, "q": 1280, "bytes": 164, "status": "binary"},
]


def test_memory_map_is_the_paper_s_mcu_network_to_the_byte() -> None:
    blocks = memory_charts.layer_blocks(MCU, "tiled")
    assert blocks.groupby("storage")["bytes"].sum().to_dict() == {"fp32": 406528, "binary": 12712, "tiled": 3316}
    figure = memory_charts.memory_map(blocks)
    rows = {trace.name: trace for trace in figure.data}
    assert list(rows["tiled"].base) == [0, 3152] and list(rows["tiled"].x) == [3152, 164]
    assert list(rows["tiled"].marker.color) == [
        charts.COLOURS["tiled"],
        charts.COLOURS["binary"],
    ]  # the head is binary, and drawn so
    assert "fp32 406,528 bytes, binary 12,712 bytes, tiled 3,316 bytes" in charts.alt_text(figure)
    assert set(memory_charts.layer_blocks(MCU, "fp32")["storage"]) == {"fp32", "binary"}


def test_firmware_blocks_keep_every_byte() -> None:
    columns = ["region", "address", "bytes", "symbol", "owner"]
    predicted = pd.DataFrame(
        [("flash", None, 3152, "fc1_tile", "fc1"), ("ram", None, 512, "hidden", "arena")], columns=columns
    )
    linked = pd.DataFrame(
        [("flash", 900, 3152, "fc1_tile", "fc1"), ("flash", 0, 400, "vectors", "startup"), ("flash", 400, 100, "main", "self-test"),
         ("flash", 500, 400, "loop", "self-test"), ("ram", 0, 512, "arena", "arena")], columns=columns,
    )  # fmt: skip
    blocks = memory_charts.firmware_blocks(predicted, linked, {"fc1": "tiled"})
    assert blocks.groupby("storage")["bytes"].sum().to_dict() == {
        "flash, predicted": 3152,
        "flash, linked": 4052,
        "RAM, predicted": 512,
        "RAM, linked": 512,
    }
    flash = blocks[blocks["storage"] == "flash, linked"]
    assert list(flash["name"]) == ["startup", "self-test", "fc1"] and list(flash["method"]) == ["code", "code", "tiled"]
    assert list(flash["bytes"]) == [400, 500, 3152] and flash["note"].iloc[1] == "main, loop"
    assert memory_charts.memory_map(blocks).data


def test_a_prediction_without_an_image_is_drawn_alone() -> None:
    columns = ["region", "address", "bytes", "symbol", "owner"]
    predicted = pd.DataFrame(
        [("flash", None, 100, "fc1_tile", "fc1"), ("flash", None, 50, "loop", "runtime"), ("flash", None, 20, "fc1_alphas", "fc1"),
         ("ram", None, 512, "arena", "arena")], columns=columns,
    )  # fmt: skip
    blocks = memory_charts.firmware_blocks(predicted, None, {"fc1": "tiled"})
    assert list(blocks["storage"].unique()) == ["flash, predicted", "RAM, predicted"]
    flash = blocks[blocks["storage"] == "flash, predicted"]
    assert list(zip(flash["name"], flash["bytes"], strict=True)) == [
        ("fc1", 120),
        ("runtime", 50),
    ]  # one block an owner


def test_comparison_has_every_owner_and_the_totals() -> None:
    columns = ["region", "address", "bytes", "symbol", "owner"]
    predicted = pd.DataFrame([("flash", None, 100, "a", "fc1"), ("ram", None, 8, "b", "arena")], columns=columns)
    linked = pd.DataFrame(
        [("flash", 0, 100, "a", "fc1"), ("flash", 100, 7, "", "other"), ("ram", 0, 8, "b", "arena")], columns=columns
    )
    rows = memory_charts.comparison(predicted, linked).values.tolist()
    assert rows == [
        ["flash", "fc1", 100, 100], ["flash", "other", 0, 7], ["flash", "all", 100, 107], ["ram", "arena", 8, 8], ["ram", "all", 8, 8]
    ]  # fmt: skip


def test_arena_plan_draws_every_tensor_where_it_lies() -> None:
    parts = pd.DataFrame({
        "name": ["sums of an operation", "conv1", "conv2"], "start": [0, 128, 128], "bytes": [128, 64, 32]
    })  # fmt: skip
    figure = memory_charts.arena_plan(parts)
    assert list(figure.data[0].base) == [0, 128, 128] and list(figure.data[0].x) == [128, 64, 32]
    assert "arena of 192 bytes" in charts.alt_text(figure) and "conv2 at 128" in charts.alt_text(figure)
    assert charts.alt_text(memory_charts.arena_plan(parts.head(0)))
