"""Sweep: many trainings over a space of choices, in the background, and the front that they leave."""

import shlex

import streamlit as st

from pages.parts import choose, live, sweep_form, sweep_panel, words
from tbn import job_keeping, jobs, runs


def launch(plan: sweep_form.Plan) -> None:
    """Start the sweep as a job, or go on with it, and show it."""

    def begin() -> None:
        folder = job_keeping.new_folder("sweep").resolve()
        jobs.start(folder, [*plan.argv, "--name", plan.sweep.name, "--folder", str(folder), "--json"], "sweep")
        choose.remember("sweep", plan.sweep.name)

    live.trying(begin)


left, right = st.columns([2, 3], gap="large")
plan = None
with left, st.container(border=True, key="form"), words.errors_as_sentences():
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
    st.code(shlex.join(["tbn", *plan.argv]), language="bash", wrap_lines=True)

with right:
    live.notice()
    storage = str(st.session_state.get("storage") or "").strip()
    known = sweep_panel.known_sweeps(storage)
    started = {job.folder.name: name for name, job in known.items() if job is not None}
    if (asked := st.query_params.get("job")) in started:  # a link from the list of jobs
        st.query_params.pop("job")
        choose.remember("sweep", started[asked])
    if not known:
        st.info("No sweep has been started here yet. Choose on the left and press **Start the sweep**; it goes on when you leave this page.",
                icon=":material/grain:")  # fmt: skip
    else:
        running = [name for name, job in known.items() if job is not None and job.running]
        first = running[0] if running else next(iter(known))
        name = choose.shared_box("Sweep", list(known), "sweep", first) or first
        job = known[name]
        if job is not None:
            live.panel(job)
        sweep_panel.draw(storage, name, job is not None and job.running)
        if job is not None and not job.running:
            with st.container(horizontal=True, vertical_alignment="center", key="job_links"):
                if job.state != "done":
                    st.button("Go on where it stopped", icon=":material/resume:", key="resume",
                              on_click=live.trying, args=(lambda: job_keeping.retry(job.folder),))  # fmt: skip
                st.page_link(live.JOBS, label="All jobs", icon=":material/list:", query_params={"job": live.key(job)})
if plan is not None:
    words.copy_as(plan.python, shlex.join(["tbn", *plan.argv]))
else:
    words.copy_as(f"from tbn.sweep import sweeps\n\nprint(sweeps())  # in {runs.runs_root()}")
