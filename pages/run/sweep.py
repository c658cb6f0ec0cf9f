"""Sweep: many trainings in the background: over a space of choices and the front that they leave, or for the best network under a budget."""

import shlex

import streamlit as st

from pages.parts import budget_panel, choose, live, sweep_form, sweep_panel, words
from tbn import job_keeping, jobs

WAYS = {"space": "try every choice of a space", "budget": "find the best under a budget"}


def launch(plan: sweep_form.Plan) -> None:
    """Start the sweep as a job, or go on with it, and show it."""

    def begin() -> None:
        folder = job_keeping.new_folder("sweep").resolve()
        jobs.start(folder, [*plan.argv, "--name", plan.sweep.name, "--folder", str(folder), "--json"], "sweep")
        choose.remember("sweep", plan.sweep.name)

    live.trying(begin)


def search(argv: list[str]) -> None:
    """Start a search under a budget as a job, and show it."""

    def begin() -> None:
        folder = job_keeping.new_folder("budget").resolve()
        choose.remember("job", live.key(jobs.start(folder, [*argv, "--folder", str(folder), "--json"], "budget")))

    live.trying(begin)


def go_on(job: jobs.Job) -> None:
    """The ways on from a job that has ended."""
    with st.container(horizontal=True, vertical_alignment="center", key="job_links"):
        if not job.running and job.state != "done":
            label = "Go on where it stopped" if job.kind == "sweep" else "Start again"
            st.button(
                label,
                icon=":material/resume:",
                key="resume",
                on_click=live.trying,
                args=(lambda: job_keeping.retry(job.folder),),
            )
        st.page_link(live.JOBS, label="All jobs", icon=":material/list:", query_params={"job": live.key(job)})


def show_sweep() -> None:
    """The chosen sweep of the storage."""
    storage = str(st.session_state.get("storage") or "").strip()
    known = sweep_panel.known_sweeps(storage)
    started = {job.folder.name: name for name, job in known.items() if job is not None}
    if (asked := st.query_params.get("job")) in started:  # a link from the list of jobs
        st.query_params.pop("job")
        choose.remember("sweep", started[asked])
    if not known:
        st.info("No sweep has been started here yet. Choose what to vary and press **Start the sweep**; it goes on when you leave this page.",
                icon=":material/grain:")  # fmt: skip
        return
    running = [name for name, job in known.items() if job is not None and job.running]
    first = running[0] if running else next(iter(known))
    name = choose.shared_box("Sweep", list(known), "sweep", first) or first
    job = known[name]
    if job is not None:
        live.panel(job)
    sweep_panel.draw(storage, name, job is not None and job.running)
    if job is not None:
        go_on(job)


def show_budget() -> None:
    """The chosen search."""
    known = live.of_kind("budget")
    if not known:
        st.info("No search has been started here yet. Say how many bytes there are and press **Find the best network**.",
                icon=":material/savings:")  # fmt: skip
        return
    job = live.box(known, "Search")
    live.panel(job, budget_panel.draw)
    go_on(job)


left, right = st.columns([2, 3], gap="large")
code: tuple[str, list[str]] | None = None
with left, st.container(border=True, key="form"), words.errors_as_sentences():
    way = st.segmented_control("What for", list(WAYS), default="space", required=True, key="way", bind="query-params")
    st.caption(f"{str(way).capitalize()}: {WAYS[str(way)]}.")
    if way == "budget":
        argv = budget_panel.choose()
        st.button(
            "Find the best network",
            type="primary",
            icon=":material/play_arrow:",
            key="search",
            on_click=search,
            args=(argv,),
            width="stretch",
        )
        st.caption(
            "A factor for each layer and the width: how much each layer minds is measured once, a solver proposes, short trainings decide."
        )
        code = budget_panel.python(argv), argv
    else:
        plan = sweep_form.choose()
        st.button(
            "Start the sweep",
            type="primary",
            icon=":material/play_arrow:",
            key="start",
            on_click=launch,
            args=(plan,),
            width="stretch",
        )
        sweep_form.draw_cost(plan)
        st.caption("Trials that are finished already are not trained again: the same sweep goes on.")
        code = plan.python, list(plan.argv)
    st.code(shlex.join(["tbn", *code[1]]), language="bash", wrap_lines=True)
with right:
    live.notice()
    show_budget() if way == "budget" else show_sweep()
if code is not None:
    words.copy_as(code[0], shlex.join(["tbn", *code[1]]))
