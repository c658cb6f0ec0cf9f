"""The form of the Sweep page: which networks to try, how, and what counts. Every choice is in the address."""

import os
from typing import Any

import streamlit as st

from pages.parts import names
from pages.parts.choose import shared_box
from pages.parts.sweep_plan import Plan, draw_cost, pairs, spaces_of
from tbn import boards, charts, tasks
from tbn.errors import TBNError
from tbn.sweep import Sweep

__all__ = ["Plan", "choose", "draw_cost"]
FACTORS = (0, 1, 2, 4, 8, 16, 32)
METHODS = {
    "grid": "every point",
    "random": "points at random",
    "search": "points chosen by what came out so far (Optuna's TPE)",
}
MORE = ("objectives", "workers", "threads", "vary", "set", "storage", "ray")


def choose() -> Plan:
    """Draw the form.

    Raises:
        TBNError: what is chosen is no sweep.
    """
    known = tasks.names()
    task = shared_box("Task", known, "task", "digits", words=names.title) or known[0]
    model = str(st.selectbox("Model", names.models_for(task), key="model", bind="query-params"))
    factors = st.pills("Tiling factors p", FACTORS, selection_mode="multi", default=[1, 2, 4, 8], key="vary_p", bind="query-params",
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
    chosen = ",".join(map(str, sorted(factors or [])))
    varied = [("p", chosen), ("epochs", str(epochs)), *more["vary"]]
    varied, constant = spaces_of(varied, more["set"])
    sweep = Sweep(task, model, varied, constant, method=method, trials=points, seeds=seeds, objectives=more["objectives"],
                  threads=more["threads"], storage=more["storage"])  # fmt: skip
    argv = [
        "sweep",
        "--task",
        task,
        "--model",
        model,
        "--p",
        chosen,
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
        "vary": pairs(vary),
        "set": pairs(fixed),
    }
    return more, workers, ray
