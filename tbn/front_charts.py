"""Accuracy against bytes and against work, of integer networks on microcontrollers, beside what others published: ``df -> Figure``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tbn.charts import COLOURS, MARGIN, NEUTRAL, SYMBOLS, label_of, legend, method_of, with_alt
from tbn.pareto import front

# docs/documentation_cnn.md of https://github.com/cpldcpu/BitNetMCU, table "Inference Performance on MCU", January 2026: its convolutional
# networks on a CH32V002 (RISC-V) at 48 MHz; kB of weights, and cycles of one inference, which are no instructions: flash has two wait states
BITNETMCU = pd.DataFrame({
    "name": ["16 wide, small", "16 wide", "32 wide", "48 wide", "64 wide"],
    "bytes": [3_200, 5_400, 7_300, 9_300, 11_000],
    "accuracy": [0.9892, 0.9906, 0.9928, 0.9944, 0.9955],
    "cycles": [686_490, 785_123, 1_434_667, 2_083_568, 2_736_250],
})  # fmt: skip
PUBLISHED = "BitNetMCU, published"


def fronts(entries: pd.DataFrame, boards: Mapping[str, str] | None = None) -> go.Figure:
    """Test accuracy of integer networks against stored bytes (left) and against instructions of one inference (right), both log.

    Args:
        entries: rows of ``tbn.front.frame``; those without ``instructions`` are missing on the right, which then says so.
        boards: name -> title of the boards whose instructions are drawn; all that were counted by default.
    """
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.05)
    counted = entries["instructions"].map(lambda found: found if isinstance(found, Mapping) else {})
    boards = boards or {board: board for board in sorted({board for found in counted for board in found})}
    _line(figure, 1, BITNETMCU, "bytes", PUBLISHED, NEUTRAL, "square", True)
    _line(figure, 2, BITNETMCU.rename(columns={"cycles": "work"}), "work", PUBLISHED, NEUTRAL, "square", False)
    for method, group in entries.groupby(entries["p"].map(method_of)):
        title, colour = f"this project, {'tiled' if method == 'tiled' else method}", COLOURS[str(method)]
        _points(figure, 1, group, group["bytes"], title, colour, SYMBOLS[0], True)
        for number, (board, name) in enumerate(boards.items()):
            work = counted[group.index].map(lambda found, board=board: found.get(board))
            _points(figure, 2, group, work, f"{title}, {name}", colour, f"{SYMBOLS[number]}-open", True)
    figure.update_xaxes(title="Stored bytes (log)", type="log", row=1, col=1)
    figure.update_xaxes(title="Instructions (log)<br>published: cycles", type="log", row=1, col=2)
    figure.update_yaxes(title="Test accuracy (%), 10,000 images", row=1, col=1)
    if not boards:
        figure.add_annotation(
            text="our instructions: not counted here",
            x=0.98,
            xref="x2 domain",
            y=0.02,
            yref="y2 domain",
            showarrow=False,
        )
    figure.update_layout(height=440, margin={**MARGIN, "t": 70}, legend=legend())
    return with_alt(figure, _words(entries, counted, boards))


def _line(
    figure: go.Figure, column: int, rows: pd.DataFrame, x: str, name: str, colour: str, symbol: str, shown: bool
) -> None:
    figure.add_scatter(
        x=rows[x], y=100 * rows["accuracy"], mode="lines+markers", name=name, legendgroup=name, showlegend=shown, text=rows["name"],
        line={"color": colour, "width": 1.5, "dash": "dot"}, marker={"size": 10, "symbol": symbol, "color": colour},
        hovertemplate="%{text}<br>%{y:.2f} %<br>%{x:,}<extra>" + name + "</extra>", row=1, col=column,
    )  # fmt: skip


def _points(
    figure: go.Figure,
    column: int,
    rows: pd.DataFrame,
    x: pd.Series[Any],
    name: str,
    colour: str,
    symbol: str,
    shown: bool,
) -> None:
    if not x.notna().any():
        return
    figure.add_scatter(
        x=x, y=100 * rows["accuracy"], mode="markers", name=name, showlegend=shown,
        text=rows["name"] + rows["p"].map(lambda p: f" ({label_of(p)})"),
        marker={"size": 13, "symbol": symbol, "color": colour, "line": {"width": 2, "color": colour}},
        hovertemplate="%{text}<br>%{y:.2f} %<br>%{x:,}<extra></extra>", row=1, col=column,
    )  # fmt: skip


def _words(entries: pd.DataFrame, counted: pd.Series[Any], boards: Mapping[str, str]) -> str:
    both = pd.concat(
        [entries[["name", "bytes", "accuracy"]], BITNETMCU[["bytes", "accuracy"]].assign(name=PUBLISHED)],
        ignore_index=True,
    )
    best = both[front(both, "bytes", "accuracy")].sort_values("bytes")
    said = []
    for row, found in zip(entries.to_dict("records"), counted, strict=True):
        work = [
            f", {found[board] / 1e6:.2f} M instructions on {name}" for board, name in boards.items() if board in found
        ]
        said.append(f"{row['name']} {100 * row['accuracy']:.2f} % in {row['bytes']:,} bytes{''.join(work)}")
    ours = "; ".join(said)
    theirs = "; ".join(
        f"{100 * a:.2f} % in {b:,} bytes" for a, b in zip(BITNETMCU["accuracy"], BITNETMCU["bytes"], strict=True)
    )
    names = ", ".join(dict.fromkeys(best["name"]))
    return f"MNIST test accuracy against stored bytes and work. This project: {ours or 'none'}. {PUBLISHED}: {theirs}. Front of both: {names}."
