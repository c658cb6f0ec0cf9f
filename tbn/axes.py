"""What a trade-off can be drawn against: each axis with its words, unit, ticks and the text of a value. No streamlit and no torch."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Axis:
    """A column of numbers that are best when small.

    Attributes:
        column: of ``tbn.runs.frame`` or ``tbn.measured.with_measured``.
        short: what a page calls it; ``words``: what the chart calls it.
        unit: "bytes", "bits", "ms" or "instructions".
        on_board: whether it is of one board.
    """

    column: str
    short: str
    words: str
    unit: str
    on_board: bool = False

    def title(self, log: bool, where: str = "") -> str:
        """``Stored weights (bytes, log2 axis)``; ``where`` names the board or the machine."""
        unit = "" if self.unit == "bits" else self.unit
        scale = ("log2 axis" if self.unit in ("bytes", "bits") else "log axis") if log else ""
        inside = ", ".join(filter(None, (unit, scale)))
        return self.words + f" {where}" * bool(where) + f" ({inside})" * bool(inside)

    def text(self, value: float) -> str:
        """A value with its unit, as people read it."""
        if self.unit == "bytes":
            return bytes_text(value)
        return (
            f"{value:.3g} bits" if self.unit == "bits" else f"{value:.3g} ms" if self.unit == "ms" else f"{value:,.0f}"
        )

    def layout(self, values: Iterable[float], log: bool) -> dict[str, Any]:
        """Kind, ticks and range of a plotly axis with room for the marks at both ends."""
        if not log:
            return {"type": "linear", "rangemode": "tozero"}
        if self.unit in ("bytes", "bits"):
            return {"type": "log", **_powers_of_two(values, self.unit == "bytes")}
        return {"type": "log", **_decades(values)}


AXES = {
    axis.column: axis
    for axis in (
        Axis("weight_bytes", "weight bytes", "Stored weights", "bytes"),
        Axis("bits_per_weight", "bits per weight", "Stored bits a weight", "bits"),
        Axis("total_bytes", "total bytes", "Whole model with biases and norms", "bytes"),
        Axis("latency_ms", "latency here", "Latency of one input", "ms"),
        Axis("flash_bytes", "board flash", "Flash of the firmware", "bytes", on_board=True),
        Axis("ram_bytes", "board RAM", "RAM of the firmware without the stack", "bytes", on_board=True),
        Axis("instructions", "board instructions", "One inference", "instructions", on_board=True),
    )
}


def bytes_text(count: float) -> str:
    """``3,316 B`` below a KiB's worth of doubt, ``397.0 KiB`` and ``1.2 MiB`` above."""
    if count < 10_240:
        return f"{count:,.0f} B"
    return f"{count / 1024:,.1f} KiB" if count < 2**20 else f"{count / 2**20:,.2f} MiB"


def _decades(values: Iterable[float]) -> dict[str, Any]:
    """Ticks at 1, 2 and 5 of each power of ten, or at the powers alone where that would be many; a range with room for the marks."""
    found = [math.log10(value) for value in values] or [0.0]
    low, high = min(found) - 0.15, max(found) + 0.25
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    ticks = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
    return {"tickvals": ticks, "ticktext": [_short(tick) for tick in ticks], "range": [low, high]}


def _short(value: float) -> str:
    """``0.05``, ``200``, ``5 k``, ``2 M``."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= 0.999 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _powers_of_two(values: Iterable[float], in_bytes: bool) -> dict[str, Any]:
    """Tick positions and words for a log axis, and a range with room for the marks at both ends."""
    found = [math.log2(value) for value in values] or [0.0]
    low, high = math.floor(min(found) - 0.35), math.ceil(max(found) + 0.35)
    powers = range(low, high + 1, max(1, round((high - low) / 8)))
    words = [_power_text(power, in_bytes) for power in powers]
    edge = math.log10(2)
    return {"tickvals": [2.0**power for power in powers], "ticktext": words, "range": [low * edge, high * edge]}


def _power_text(power: int, in_bytes: bool) -> str:
    if not in_bytes:
        return f"1/{2**-power}" if power < 0 else str(2**power)
    return f"{2**power} B" if power < 10 else f"{2 ** (power - 10)} KiB" if power < 20 else f"{2 ** (power - 20)} MiB"
