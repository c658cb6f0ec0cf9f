"""Jobs: everything that runs, or ran, in the background: how far it is, its log, its bytes; cancel, start again, delete."""

import streamlit as st

from pages.parts import jobs_panel, live, words
from tbn import job_keeping, jobs, runs

found = live.every_job()
root = runs.runs_root()
if not found:
    words.nothing_yet(
        f"Nothing has been started in `{root}` yet. Trainings, sweeps, benchmarks, uploads and flashes will be listed here."
    )
    words.copy_as(f'from tbn import jobs\n\nprint(jobs.every("{root}"))')
    st.stop()

with st.container(horizontal=True, key="totals"):
    for state in live.ICONS:
        st.metric(state.capitalize(), sum(job.state == state for job in found), width="content")
    total = jobs_panel.size_text(jobs_panel.all_bytes(str(root)))
    st.metric("Runs folder", total, width="content", help=f"All files in {root}, counted once a minute")
    st.metric("Free on its disk", jobs_panel.size_text(job_keeping.free_bytes(root)), width="content")
with st.container(horizontal=True, key="filters"):
    st.pills("State", list(live.ICONS), selection_mode="multi", key="state", bind="query-params")
    kinds = sorted({job.kind for job in found})
    st.pills("Kind", kinds, selection_mode="multi", key="kind", bind="query-params")

shown = jobs_panel.left_by_filters(found)
if not shown:
    st.info("No job is left by these filters. Take one of them away.", icon=":material/filter_alt_off:")
    st.stop()
with st.container(key="jobs_table"):
    st.fragment(jobs_panel.table, run_every=2.0 if any(job.running for job in shown) else None)()

with st.container(border=True):
    job = live.box({live.key(job): job for job in shown})
    live.panel(job)
    jobs_panel.actions(job)
    if job.state == "done" and (answer := jobs.output(job.folder)):
        with st.expander("What it answered", icon=":material/data_object:"):
            st.json(answer, expanded=1)
words.copy_as(
    f'from tbn import jobs\n\njob = jobs.status("{job.folder}")\nprint(job.state, job.fraction, job.message)\nprint(*job.tail(), sep="\\n")',
    job.command,
)
