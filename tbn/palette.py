"""What all charts share: colours with one meaning each, markers, margins, the legend's place, and a figure in words.

Told apart by colour-blind eyes and on light and dark ground: grey is fp32, vermilion is binary (p = 1), blue is tiled, green is whatever is no
weight (code, buffers). The model is a marker's shape.
"""

from typing import Any

import plotly.graph_objects as go

COLOURS = {"fp32": "#8A8F98", "binary": "#D9601A", "tiled": "#2B87D1", "code": "#12A37F"}
NEUTRAL = "#8A8F98"
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "star", "x", "hexagon", "cross")
MARGIN = {"l": 10, "r": 10, "t": 34, "b": 10}


def alt_text(figure: go.Figure) -> str:
    """What the figure shows, in a sentence or two, for those who cannot see it."""
    return str((figure.layout.meta or {}).get("alt", ""))


def with_alt(figure: go.Figure, text: str) -> go.Figure:
    """Give the figure its words."""
    figure.update_layout(meta={"alt": text})
    return figure


def legend() -> dict[str, Any]:
    """Where every chart has its legend: in a line above."""
    return {"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0.0, "title": {"text": ""}}


def rgb(colour: str) -> tuple[int, int, int]:
    """The bytes of ``#rrggbb``."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def faded(colour: str, opacity: float) -> str:
    """``#rrggbb`` as rgba."""
    red, green, blue = rgb(colour)
    return f"rgba({red}, {green}, {blue}, {opacity:.2f})"
