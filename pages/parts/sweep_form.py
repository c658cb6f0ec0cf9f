"""The form of the Sweep page: which networks to try, how, and what counts. Every choice is in the address."""

import os
import pprint
from dataclasses import dataclass, fields
from typing import Any

import streamlit as st

from pages.parts import cost_panel, data, names
from pages.parts.choose import shared_box
from tbn import boards, charts, estimate, tasks
from tbn.errors import TBNError
from tbn.sweep import Sweep, space

FACTORS = (0, 1, 2, 4, 8, 16, 32)
METHODS = {
    "grid": "every point",
    "random": "points at random",
    "search": "points chosen by what came out so far (Optuna's TPE)",
}
MOST_COUNTED = 500  # trials, beyond which the cost is scaled up from so many
MORE = ("objectives", "workers", "threads", "vary", "set", "storage", "ray")


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


def choose() -> Plan:
    """Draw the form.

    Raises:
        TBNError: what is chosen is no sweep.
    """
    known = tasks.names()
    task = shared_box("Task", known, "task", "digits", words=names.title) or known[0]
    model = str(st.selectbox("Model", names.models_for(task), key="model", bind="query-params"))
    factors = st.pills("Tiling factors p", FACTORS, selection_mode="multi", default=[1, 2, 4, 8], key="factors", bind="query-params",
                       format_func=lambda p: charts.label_of(p).removeprefix("p = "))  # fmt: skip
    method = (
        st.segmented_control("Method", list(METHODS), default="grid", required=True, key="method", bind="query-params")
        or "grid"
    )
    st.caption(f"{method.capitalize()}: {METHODS[method]}.")
    first, second, third = st.columns(3)
    epochs = int(first.number_input("Epochs", 1, 1000, 10, key="epochs", bind="query-params"))
    seeds = int(
        second.number_input(
            "Seeds",
            1,
            20,
            2,
            key="seeds",
            bind="query-params",
            help="Trainings of each point; charts show their spread.",
        )
    )
    points = (
        None
        if method == "grid"
        else int(third.number_input("Points", 1, 10_000, 16, key="points", bind="query-params"))
    )
    with st.expander("More choices", icon=":material/tune:", expanded=any(name in st.query_params for name in MORE)):
        more, workers, ray = _more(task)
    varied = [("p", ",".join(map(str, sorted(factors or [])))), ("epochs", str(epochs)), *more["vary"]]
    varied, constant = _space(varied, more["set"])
    sweep = Sweep(task, model, varied, constant, method=method, trials=points, seeds=seeds, objectives=more["objectives"],
                  threads=more["threads"], storage=more["storage"])  # fmt: skip
    argv = [
        "sweep",
        "--task",
        task,
        "--model",
        model,
        "--p",
        ",".join(map(str, sorted(factors or []))),
        "--epochs",
        str(epochs),
    ]
    argv += [word for name, value in more["vary"] for word in ("--vary", f"{name}={value}")]
    argv += [word for name, value in more["set"] for word in ("--set", f"{name}={value}")]
    argv += (
        ["--method", method] * (method != "grid")
        + ["--trials", str(points)] * (points is not None)
        + ["--seeds", str(seeds)]
    )
    argv += ["--objectives", ",".join(more["objectives"])] * (more["objectives"] != ("score", "weight_bytes"))
    argv += ["--ray", ray] if ray else ["--workers", str(workers)]
    argv += ["--threads", str(more["threads"])] * (more["threads"] != 1) + ["--storage", more["storage"]] * bool(
        more["storage"]
    )
    return Plan(sweep, workers, ray, tuple(argv))


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


def _more(task: str) -> tuple[dict[str, Any], int, str]:
    kind = tasks.kind_of(task)
    from tbn.sweep import objectives as aims

    emulated = [board.name for board in boards.list_boards() if board.emulated]
    known = [name for name in aims.names(kind) if ":" not in name]
    known += [f"{what}:{board}" for board in emulated for what in aims.ON_BOARDS]
    chosen = st.multiselect("Objectives", known, default=["score", "weight_bytes"], key="objectives", bind="query-params",
                            help="The first is the main one; its direction follows from what it is")  # fmt: skip
    first, second = st.columns(2)
    workers = int(
        first.number_input(
            "Workers",
            1,
            64,
            min(2, os.cpu_count() or 1),
            key="workers",
            bind="query-params",
            help="Trainings side by side on this machine",
        )
    )
    threads = int(
        second.number_input(
            "Threads each",
            1,
            64,
            1,
            key="threads",
            bind="query-params",
            help="Results repeat bit for bit only with the same number",
        )
    )
    vary = st.text_area("What else varies", key="vary", bind="query-params", height=80, placeholder="model_args.width=16,32\nlr=1e-4..1e-2:log",
                        help="NAME=VALUES, one a line; a range needs the method random or search")  # fmt: skip
    fixed = st.text_area("What is set for all", key="set", bind="query-params", height=80, placeholder="min_layer_size=1000\ndata=embedded",
                         help="NAME=VALUE, one a line")  # fmt: skip
    storage = st.text_input(
        "Storage",
        key="storage",
        bind="query-params",
        placeholder="sweeps.db in the runs folder",
        help="sqlite:///FILE or postgresql://user@host/database; a password belongs into PGPASSWORD or ~/.pgpass",
    ).strip()
    ray = st.text_input("Ray cluster", key="ray", bind="query-params", placeholder="none: workers of this machine",
                        help="local, auto or HOST:6379; needs the cluster extra").strip()  # fmt: skip
    if "@" in storage and ":" in storage.partition("://")[2].partition("@")[0]:
        raise TBNError(
            "a password in the storage's address could be read by anybody",
            "leave it out, and set PGPASSWORD or ~/.pgpass",
        )
    more = {
        "objectives": tuple(chosen),
        "threads": threads,
        "storage": storage,
        "vary": _pairs(vary),
        "set": _pairs(fixed),
    }
    return more, workers, ray


def _pairs(text: str) -> list[tuple[str, str]]:
    """``NAME=VALUES``, one a line."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, values = (part.strip() for part in line.partition("="))
        if not equals or not name or not values:
            raise TBNError(f"{line!r} is not NAME=VALUES", "write it as e.g. model_args.width=16,32")
        found.append((name, values))
    return found


def _space(varied: list[tuple[str, str]], constant: list[tuple[str, str]]) -> tuple[dict[str, Any], dict[str, Any]]:
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
