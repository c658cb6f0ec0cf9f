"""How a network is drawn where several share a chart: its method gives the colour, its place dash, hatching and mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tbn.charts import COLOURS

DASHES = ("solid", "dash", "dot", "dashdot")
HATCHES = ("", "/", "x", ".")
MARKS = ("circle", "diamond-open", "square-open", "x")


@dataclass(frozen=True)
class Network:
    """How a network is called and drawn: ``place`` among those of one chart gives its dash, hatching and mark."""

    name: str
    method: str = "tiled"
    place: int = 0

    @property
    def colour(self) -> str:
        """Of its method."""
        return COLOURS[self.method]

    @property
    def dash(self) -> str:
        """Of its lines."""
        return DASHES[self.place % len(DASHES)]

    @property
    def bar(self) -> dict[str, Any]:
        """The marker of its bars, hatched in white."""
        hatch = {
            "shape": HATCHES[self.place % len(HATCHES)],
            "fillmode": "overlay",
            "fgcolor": "rgba(255, 255, 255, 0.75)",
        }
        return {"color": self.colour, "pattern": hatch}

    @property
    def symbol(self) -> str:
        """Of its marks."""
        return MARKS[self.place % len(MARKS)]
