"""The Jobs page's parts: the table of all jobs, and what can be done with one of them."""

import time
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts import choose, figures, live, words
from tbn import charts, job_keeping, jobs

SIZE_HELP = "Of all files in the job's folder, a run's weights included"
LOOKS = {
    "progress": st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0, width=110),
    "message": st.column_config.TextColumn(width="medium"),
    "started": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
    "took": st.column_config.NumberColumn("took (s)", format="localized"),
    "bytes": st.column_config.NumberColumn("bytes", format="localized", help=SIZE_HELP),
}


@st.cache_data(max_entries=5000, show_spinner=False)
def bytes_of(folder: str, stamp: float) -> int:
    """Bytes in a folder; ``stamp`` is when its job ended, or now."""
    return job_keeping.used_bytes(folder)


@st.cache_data(ttl=60, max_entries=4, show_spinner=False)
def all_bytes(root: str) -> int:
    """Bytes in the whole runs folder, counted once a minute."""
    return job_keeping.used_bytes(root)


def size_text(count: int) -> str:
    """Bytes as people read them, up to GiB."""
    return charts.bytes_text(count) if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def left_by_filters(found: list[jobs.Job]) -> list[jobs.Job]:
    """The jobs of the chosen states and kinds; where none is chosen, of all."""
    states, kinds = st.session_state.get("state") or [], st.session_state.get("kind") or []
    return [job for job in found if (not states or job.state in states) and (not kinds or job.kind in kinds)]


def rows_of(shown: list[jobs.Job]) -> pd.DataFrame:
    """One row a job, as the table and its CSV have it; times are the visitor's."""
    zone = st.context.timezone or "UTC"
    return pd.DataFrame(
        {
            "job": live.key(job),
            "kind": job.kind,
            "state": job.state,
            "progress": 1.0 if job.state == "done" else job.fraction,
            "message": job.error or job.message,
            "started": pd.Timestamp(job.started, unit="s", tz="UTC").tz_convert(zone).tz_localize(None),
            "took": round(job.seconds),
            "bytes": bytes_of(str(job.folder), job.ended or time.time()),
        }
        for job in shown
    )


def table() -> None:
    """The jobs that the filters leave; a row's click shows that job below. A fragment: it is drawn again while one runs."""
    if st.session_state.pop("job_taken", False):
        st.rerun()
    key = f"jobs_table_{choose.turn('jobs')}"
    frame = rows_of(left_by_filters(live.every_job()))
    figures.table(
        frame,
        key,
        "jobs",
        alt=f"{len(frame)} jobs, newest first, with kind, state, progress, start, time taken and bytes",
        column_config=LOOKS,
        height=min(40 + 35 * len(frame), 300),
        selection_mode="single-row",
        on_select=lambda: _take(key, list(frame["job"])),
    )


def actions(job: jobs.Job) -> None:
    """What can be done with a job: see it on its own page, start it again, delete it."""
    with st.container(horizontal=True, vertical_alignment="center", key="job_actions"):
        if live.kind_of(job).page != live.JOBS:
            live.link(job)
        if job.running:
            return
        if job.kind != "train" or job.state != "done":
            goes_on = job.kind == "train" and (job.folder / "config.json").is_file()
            label = "Go on where it stopped" if goes_on else "Start again"
            st.button(label, icon=":material/replay:", key="retry", on_click=_retry, args=(job.folder,))
        with st.popover("Delete", icon=":material/delete:", key="delete"):
            what = "the run with its results and its firmware" if job.kind == "train" else "its log and what it made"
            freed = size_text(job_keeping.used_bytes(job.folder))
            st.markdown(f"This deletes `{job.folder}` for good: {what}, {freed}.")
            st.button("Delete for good", type="primary", key="delete_now", on_click=_delete, args=(job.folder,))


def _take(table_key: str, keys: list[str]) -> None:
    picked = st.session_state[table_key]["selection"]["rows"]
    if picked and picked[0] < len(keys):
        choose.remember("job", keys[picked[0]])
        st.session_state["turn_jobs"] = choose.turn("jobs") + 1  # the mark goes: rows move as jobs come
        st.session_state["job_taken"] = True


def _retry(folder: Path) -> None:
    live.trying(lambda: job_keeping.retry(folder))


def _delete(folder: Path) -> None:
    freed: list[int] = []
    if live.trying(lambda: freed.append(job_keeping.delete(folder))):
        choose.remember("job", None)
        told = f"{words.escape(folder.name)} is deleted: {size_text(freed[0])} are free again."
        st.toast(told, icon=":material/delete:")
