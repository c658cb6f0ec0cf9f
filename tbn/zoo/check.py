"""Whether the zoo can be had again: ``tbn zoo check`` trains entries drawn by chance once more and compares.

On the machine that made an entry the same bits come out. Elsewhere sums are rounded differently, and training carries that on: then it is another
draw, as another seed is. So the score has to be the kept one within twice the deviation that the tables state for the entry's version.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tbn import runs, zoo
from tbn.errors import TBNError
from tbn.scores import METRICS
from tbn.zoo import results

LEAST = 0.005  # of the score: what is always allowed, as two or three seeds may agree by chance


@dataclass(frozen=True)
class Checked:
    """One entry: the ``score`` it was kept with, the score ``again``, and how far apart they may be."""

    name: str
    metric: str
    score: float
    again: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether both are close enough."""
        return abs(self.again - self.score) <= self.allowed

    def __str__(self) -> str:
        text = METRICS[self.metric].text
        same = "the same" if self.again == self.score else "close enough" if self.passed else "TOO FAR"
        return f"{self.name}: kept {text(self.score)}, again {text(self.again)}, allowed ± {text(self.allowed)}: {same}"


def check(
    count: int = 2, seed: int | None = None, folder: Path | None = None, say: Callable[[str], None] = print
) -> list[Checked]:
    """Train ``count`` entries of ``folder`` (the package's zoo by default) again.

    Args:
        count: how many.
        seed: of the draw; by chance by default.
        say: called with a line an entry.

    Raises:
        TBNError: fewer than ``count`` entries are there whose data is on this machine, or as in ``tbn.train.fit``.
    """
    folder = folder or runs.zoo_root()
    rows = results.entries(folder)
    kept = {str(row["run"]): row for row in rows.to_dict("records")}
    here = {name: config for name, config in zoo.entries().items() if name in kept}
    drawable = zoo.available(here, say)
    if not 0 < count <= len(drawable):
        raise TBNError(
            f"{count} entries cannot be drawn from {len(drawable)}", f"use --count 1 to {max(1, len(drawable))}"
        )
    stated = results.by_version(rows)
    checked = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in random.Random(seed).sample(sorted(drawable), count):
            row = kept[name]
            score, deviation = float(row["score"]), float(stated[row["family"], row["version"]]["deviation"])
            zoo.train(name, drawable[name], Path(scratch) / "train", Path(scratch))
            again = (runs.Run(Path(scratch) / name).result or {})["metrics"][row["metric"]]
            allowed = max(LEAST * abs(score), 0.0 if math.isnan(deviation) else 2 * deviation)
            checked.append(Checked(name, row["metric"], score, again, allowed))
            say(str(checked[-1]))
    return checked
