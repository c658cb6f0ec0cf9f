"""A sweep as the Sweep page shows it: how far it is, its front, its parameters side by side, its history, its trials."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.parts import figures, live, words
from tbn import jobs, sweep_charts, sweep_words
from tbn.sweep import aggregate, status, sweeps

SHOWN = {"complete": "green", "running": "blue", "waiting": "gray", "pruned": "orange", "failed": "red"}


@st.cache_data(ttl=1.5, max_entries=16, show_spinner=False)
def trials_of(storage: str, name: str) -> pd.DataFrame | None:
    """The trials, looked up at most every 1.5 s for all visitors together; None while a job has not yet begun to keep its book."""
    return status(storage, name) if name in sweeps(storage) else None


def known_sweeps(storage: str) -> dict[str, jobs.Job | None]:
    """The sweeps of a storage, newest first, each with the last job that worked on it here; a job that has just been started counts, too."""
    found: dict[str, jobs.Job | None] = {}
    for job in live.every_job():
        if job.kind == "sweep" and (name := _option(job, "--name")) and _option(job, "--storage") == storage:
            found.setdefault(name, job)
    return found | {name: None for name in reversed(sweeps(storage)) if name not in found}


def draw(storage: str, name: str, running: bool) -> None:
    """One sweep, looked at every two seconds while somebody works on it."""

    def look() -> None:
        with words.errors_as_sentences():
            trials = trials_of(storage, name)
            if trials is None:
                st.info("Its trials are listed here as soon as the sweep has begun.", icon=":material/hourglass_top:")
            else:
                _draw(trials)

    st.fragment(look, run_every=2.0 if running else None)()


def _draw(trials: pd.DataFrame) -> None:
    count = trials["state"].value_counts()
    with st.container(horizontal=True, key="sweep_state"):
        for state, colour in SHOWN.items():
            if count.get(state):
                st.badge(f"{count[state]} {state}", color=colour)
        if died := int((trials["crashes"] > 0).sum()):
            st.badge(f"{died} tried again after a crash", color="orange")
    _failures(trials)
    points = aggregate(trials)
    if points.empty:
        st.info("No trial has a result yet; charts come with the first one.", icon=":material/hourglass_top:")
        return
    several = len(sweep_words.objectives_of(points)) > 1
    tabs = dict(zip(
        names := (["Front"] if several else []) + ["Parameters", "History", "Trials"], st.tabs(names, key="sweep_tabs"), strict=True
    ))  # fmt: skip
    if several:
        with tabs["Front"]:
            _chart(sweep_charts.front, points, "sweep_front", trials)
            best = points[points["on_front"]]
            st.caption(
                f"{len(best)} of {len(points)} points are on the front: nobody is at least as good in everything and better in one thing."
            )
    with tabs["Parameters"]:
        _chart(sweep_charts.parallel, points, "sweep_parallel", trials)
        st.caption(
            "A line is a point of the space; only parameters that differ have an axis. Objectives are turned so that up is better."
        )
    with tabs["History"]:
        _chart(sweep_charts.history, trials, "sweep_history", trials)
    with tabs["Trials"]:
        _table(trials)


def _chart(make: Callable[[pd.DataFrame], go.Figure], frame: pd.DataFrame, key: str, trials: pd.DataFrame) -> None:
    """A chart, and the runs of the point that was clicked on."""
    event = figures.draw(make(frame), key, on_select="rerun", selection_mode="points")
    chosen: Any = event["selection"]["points"] if event else []
    data = chosen[0].get("customdata") if chosen else None
    if data:
        rows = trials[trials["run"] == data[0]] if isinstance(data[0], str) else trials[trials["point"] == data[0]]
        _runs(rows, key)


def _runs(rows: pd.DataFrame, key: str) -> None:
    """Links to the runs of these trials."""
    with st.container(horizontal=True, key=f"{key}_runs"):
        for row in rows[rows["state"] == "complete"].to_dict("records"):
            task = rows.attrs["sweep"].task
            st.page_link("pages/explore/tradeoff.py", label=f"{words.escape(row['run'])}", icon=":material/scatter_plot:",
                         query_params={"run": row["run"], "task": task})  # fmt: skip


def _table(trials: pd.DataFrame) -> None:
    """All trials; a row's run can be opened."""
    names = [*trials.attrs["directions"], *trials.attrs["sweep"].space]
    shown = trials[["trial", "state", *names, "seed", "attempts", "seconds", "run", "error"]]
    shown.attrs = {}  # a table's attributes travel as JSON
    event = figures.table(
        shown, "sweep_trials", f"sweep {trials.attrs['sweep'].name}", alt=f"{len(shown)} trials with state, parameters and objectives",
        export=trials, height=min(40 + 35 * len(shown), 420), on_select="rerun", selection_mode="single-row",
    )  # fmt: skip
    picked = event["selection"]["rows"] if event else []
    if picked and picked[0] < len(trials):
        _runs(trials.iloc[picked[:1]], "sweep_trials")


def _failures(trials: pd.DataFrame) -> None:
    failed = trials.loc[trials["state"] == "failed", ["trial", "error", "fix"]].astype(object).fillna("")
    for (error, fix), rows in list(failed.groupby(["error", "fix"]))[:3]:
        which = ", ".join(str(number) for number in rows["trial"].head(5))
        st.error(f"Trial{'s' * (len(rows) > 1)} {which}: " + words.told(str(error), str(fix)), icon=":material/error:")


def _option(job: jobs.Job, name: str) -> str:
    """The value of an option of the job's command, "" where it has none."""
    words_of = list(job.argv)
    return words_of[words_of.index(name) + 1] if name in words_of[:-1] else ""
