"""The page Microcontrollers shows the record and the front that come along, and says what to do where there is none."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import tbn
from pages.parts import data
from tbn import runs
from tbn.boards import bench

Open = Callable[..., AppTest]


def test_the_record_by_address(folder: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "zoo_root", lambda: Path(tbn.__file__).parent / "zoo")
    app = open_page("pages/explore/mcu.py", board="microbit", network="mlp")
    assert not app.error and not app.exception
    shown = app.dataframe[0].value.set_index("firmware")
    record = json.loads(bench.OUT.read_text())
    rows = {row["engine"]: row for row in record["rows"] if (row["core"], row["model"]) == ("cortex-m0", "mlp")}
    assert dict(shown["instructions"]) == {engine: row["instructions"] for engine, row in rows.items()}
    assert shown.loc["integer", "a multiply"] == rows["integer"]["instructions"] / rows["integer"]["computed"]
    assert shown.loc["plain loop", "x fewer than the plain loop"] == 1
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert any("this project" in str(trace.get("name")) for trace in figure["data"])
    older = open_page("pages/explore/mcu.py", board="BBC micro:bit v1")  # what earlier links said
    assert older.segmented_control(key="board").value == "microbit"
    older.segmented_control(key="board").set_value("pico").run()
    assert older.query_params["board"] in ("pico", ["pico"])


def test_nothing_measured_says_what_to_do(
    folder: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(data, "RESULTS", tmp_path)
    monkeypatch.setattr(runs, "zoo_root", lambda: tmp_path)
    app = open_page("pages/explore/mcu.py")
    assert not app.error and not app.exception
    told = [info.value for info in app.info]
    assert len(told) == 2 and "Not measured here yet" in told[0] and "trains them" in told[1]
    assert {"tbn bench mcu", "python -m tbn.front --data-root FOLDER"} <= {code.value for code in app.code}
