"""Room for the words beside a figure's axes, from the start: values in, the same figure out.

Plotly learns how wide these words are when it draws them. Where the margins turn out too small it draws everything a second time. Guessed
widths are enough: what is still too small, Plotly widens as before.
"""

from typing import Any

import plotly.graph_objects as go

NARROW, BROAD = "fijlrtI.,:;'|()[] /-", "mwMW@%✓…"
WIDTHS = {
    "narrow": 3.6,
    "plain": 6.1,
    "capital": 7.0,
    "broad": 9.6,
}  # pixels of a letter, 12 pixels high, in the app's font
EDGE = 20  # between words and axis, and to the rim
TITLE = {"y": 40, "x": 27}  # of an axis, with what is between it and the words
LINE, SLANTED = 20, 34  # what a line of words takes below an axis, upright and beyond its own length
SLOPE = 0.71  # of words at 45 degrees
NUMBER = 20  # width of a usual number beside an axis
LAST = 22  # half of the last number below an axis stands out to the right
COLOURBAR = 68


def with_room(figure: go.Figure) -> go.Figure:
    """The figure with margins wide enough for its axes' words and its bar of colours; margins that are wider already stay."""
    x, y = figure.layout.xaxis, figure.layout.yaxis
    flat = any("xaxis" in trace for trace in figure.data)
    if not flat or False in (x.visible, y.visible):
        return figure
    below, beside = (max(map(text_width, _texts(figure, axis)), default=NUMBER) for axis in "xy")
    needed = {
        "l": EDGE + beside + TITLE["y"] * bool(y.title.text),
        "b": EDGE
        + (SLANTED + below) * SLOPE * bool(x.tickangle)
        + LINE * (not x.tickangle)
        + TITLE["x"] * bool(x.title.text),
        "r": COLOURBAR if any(map(_has_bar, figure.data)) else LAST,
    }
    figure.update_layout(
        margin={side: max(round(size), figure.layout.margin[side] or 0) for side, size in needed.items()}
    )
    return figure


def text_width(text: str) -> float:
    """About how many pixels a label takes beside an axis: its longest line."""
    return max(sum(map(_letter_width, line)) for line in text.split("<br>"))


def _letter_width(letter: str) -> float:
    if letter in NARROW:
        return WIDTHS["narrow"]
    if letter in BROAD:
        return WIDTHS["broad"]
    return WIDTHS["capital" if letter.isupper() else "plain"]


def _has_bar(trace: Any) -> bool:
    """Whether a bar of colours stands beside the figure."""
    return "colorbar" in trace and trace.showscale is not False


def _texts(figure: go.Figure, axis: str) -> set[str]:
    """The words beside an axis; none where it has numbers."""
    named = figure.layout[f"{axis}axis"].ticktext
    if named is not None:
        return set(map(str, named))
    columns = [trace[axis] for trace in figure.data if axis in trace and trace[axis] is not None]
    return {text for column in columns for text in column if isinstance(text, str)}
