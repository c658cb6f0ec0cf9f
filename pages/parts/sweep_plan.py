"""A sweep that the form describes: as a command, as Python, and what it will cost."""

import os
import pprint
from dataclasses import dataclass, fields
from typing import Any

import streamlit as st

from pages.parts import cost_panel, data
from tbn import estimate
from tbn.errors import TBNError
from tbn.sweep import Sweep, space

MOST_COUNTED = 500  # trials, beyond which the cost is scaled up from so many


@dataclass(frozen=True)
class Plan:
    """What the form says: the sweep, who trains, and the command's words."""

    sweep: Sweep
    workers: int
    ray: str
    argv: tuple[str, ...]

    @property
    def python(self) -> str:
        """The same in Python."""
        sweep, engine = self.sweep, f'engine=engine("{self.ray}")' if self.ray else f"workers={self.workers}"
        names = ("task", "model", "space", "fixed", "method", "trials", "seeds", "objectives", "threads", "storage")
        usual = {field.name: {} if field.name == "fixed" else field.default for field in fields(Sweep)}
        chosen = [(name, getattr(sweep, name)) for name in names]
        told = ",\n    ".join(
            f"{name}={pprint.pformat(value, width=120, sort_dicts=False)}"
            for name, value in chosen
            if name in ("task", "model", "space") or value != usual[name]
        )
        first = (
            "from tbn.sweep import Range, Sweep, aggregate, run\n"
            + "from tbn.sweep.ray_engine import engine\n" * bool(self.ray)
        )
        return f"{first}\nsweep = Sweep(\n    {told},\n)\nprint(aggregate(run(sweep, {engine}).trials))"


def draw_cost(plan: Plan) -> None:
    """How many trainings, and how long they take by the recorded runs."""
    sweep = plan.sweep
    count = sweep.point_limit
    planned = sweep.points() if sweep.method != "search" else space.random(sweep.space, sweep.sampler_seed)
    configs = [sweep.config(point, 0) for point, _ in zip(planned, range(min(count, MOST_COUNTED)), strict=False)]
    st.markdown(
        f":material/grain: **{count * sweep.seeds} trainings**: {count} points, {sweep.seeds} seed{'s' * (sweep.seeds > 1)} each."
    )
    scaled = [config for config in configs for _ in range(sweep.seeds)]
    lanes = plan.workers if not plan.ray else os.cpu_count() or 1
    cost_panel.told(estimate.several(scaled, data.finished(), lanes).times(count / len(configs)))


def pairs(text: str) -> list[tuple[str, str]]:
    """``NAME=VALUES``, one a line."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, values = (part.strip() for part in line.partition("="))
        if not equals or not name or not values:
            raise TBNError(f"{line!r} is not NAME=VALUES", "write it as e.g. model_args.width=16,32")
        found.append((name, values))
    return found


def spaces_of(varied: list[tuple[str, str]], constant: list[tuple[str, str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """As ``tbn sweep`` reads them: what has one value does not vary."""
    if not varied[0][1]:
        raise TBNError("the space is empty: no tiling factor is chosen", "choose one or several")
    spaces, fixed = {}, {}
    for name, values in varied:
        found = space.parse(name, values)
        if isinstance(found, tuple) and len(found) == 1:
            fixed[name] = found[0]
        else:
            spaces[name] = found
    for name, value in constant:
        spaces.pop(name, None)
        fixed[name] = space.parse(name, value)[0] if "," not in value or "[" in value else value
    return spaces, fixed
