"""The two fronts in one figure: every number is in it, and in its words."""

import pandas as pd

from tbn.charts import COLOURS, alt_text
from tbn.front_charts import BITNETMCU, PUBLISHED, fronts


def entries(**more) -> pd.DataFrame:
    rows = [
        {
            "name": "small",
            "p": 1,
            "bytes": 3100,
            "accuracy": 0.9911,
            "instructions": {"nucleo_f411re": 900_000, "microbit": 1_800_000},
        },
        {"name": "large", "p": 4, "bytes": 5400, "accuracy": 0.9930, "instructions": None},
    ]
    return pd.DataFrame([{**row, **more} for row in rows])


def points(figure, axis: str) -> dict[str, list[tuple[float, float]]]:
    return {
        trace.name: list(zip(trace.x, trace.y, strict=True)) for trace in figure.data if (trace.xaxis or "x") == axis
    }


def test_bytes_left_and_instructions_right():
    figure = fronts(entries(), {"nucleo_f411re": "Nucleo"})
    left, right = points(figure, "x"), points(figure, "x2")
    assert left["this project, binary"] == [(3100, 99.11)] and left["this project, tiled"] == [(5400, 99.3)]
    assert right == {
        PUBLISHED: list(zip(BITNETMCU["cycles"], 100 * BITNETMCU["accuracy"], strict=True)),
        "this project, binary, Nucleo": [(900_000, 99.11)],
    }
    colours = {trace.name: trace.marker.color for trace in figure.data}
    assert colours["this project, tiled"] == COLOURS["tiled"] and colours["this project, binary"] == COLOURS["binary"]
    assert figure.layout.xaxis.type == figure.layout.xaxis2.type == "log"


def test_words_have_the_numbers_and_the_front():
    words = alt_text(fronts(entries()))
    assert (
        "small 99.11 % in 3,100 bytes, 1.80 M instructions on microbit, 0.90 M instructions on nucleo_f411re" in words
    )
    assert "98.92 % in 3,200 bytes" in words and words.endswith(f"Front of both: small, large, {PUBLISHED}.")


def test_what_was_not_counted_says_so():
    figure = fronts(entries(instructions=None))
    assert [note.text for note in figure.layout.annotations] == ["our instructions: not counted here"]
    assert set(points(figure, "x2")) == {PUBLISHED}
    assert not fronts(entries()).layout.annotations


def test_published_numbers_are_whole():
    assert (
        len(BITNETMCU) == 5
        and BITNETMCU["bytes"].is_monotonic_increasing
        and BITNETMCU["accuracy"].between(0.98, 1).all()
    )
