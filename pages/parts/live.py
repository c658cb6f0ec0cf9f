"""Jobs as the pages show them: the strip under the menu, and one job's panel with its progress, log and cancel button."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.parts import words
from tbn import jobs, runs
from tbn.errors import TBNError
from tbn.export.run import cache_root
from tbn.jobs import Job

PAGES = {"train": "pages/run/train.py", "flash": "pages/deploy/firmware.py", "fit": "pages/explore/memory.py"}
ICONS = {
    "running": ":material/hourglass_top:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}
COLOURS = {"running": "blue", "done": "green", "failed": "red", "cancelled": "gray"}
STEPS = {
    "waiting": ":gray[:material/radio_button_unchecked:]",
    "running": ":blue[:material/hourglass_top:]",
    "done": ":green[:material/check_circle:]",
    "failed": ":red[:material/error:]",
    "cancelled": ":gray[:material/cancel:]",
}


def every_job() -> list[Job]:
    """All jobs: in the runs folder, and firmware of zoo entries in the cache."""
    return jobs.every(runs.runs_root(), cache_root() / "zoo")


def name(job: Job) -> str:
    """A job's name: the run, and for firmware its board."""
    if job.kind == "fit":
        return Path(job.argv[1]).name
    return f"{job.argv[1]} on {job.folder.name}" if job.kind == "flash" else job.folder.name


def address(job: Job) -> dict[str, str]:
    """The query parameters under which the job's page shows it."""
    if job.kind == "fit":
        return {"run": name(job)}
    return {"run": job.argv[1], "board": job.folder.name} if job.kind == "flash" else {"job": name(job)}


def strip() -> None:
    """The running jobs, on every page; looked at every two seconds only while there are any."""
    running = [job for job in every_job() if job.running]

    def draw() -> None:
        now = [job for job in every_job() if job.running]
        if len(now) < len(running):
            st.rerun()
        with st.container(horizontal=True, key="running_jobs"):
            for job in now[:4]:
                label = f"{job.kind} {name(job)}: {job.fraction:.0%} {job.message}"
                st.page_link(
                    PAGES.get(job.kind, PAGES["train"]), label=label, icon=ICONS["running"], query_params=address(job)
                )
            if len(now) > 4:
                st.caption(f"and {len(now) - 4} more")

    if running:
        st.fragment(draw, run_every=2.0)()


def panel(job: Job, more: Callable[[Job], None] | None = None, log: str = jobs.LOG) -> None:
    """One job, redrawn every second while it runs; ``more`` draws what is particular to it; ``log`` is the log to show."""

    def draw() -> None:
        with words.errors_as_sentences():  # a fragment's own rerun does not pass through app.py
            look()

    def look() -> None:
        now = jobs.status(job.folder)
        if now.state != job.state:
            st.rerun()
        _head(now)
        if more:
            more(now)
        lines = jobs.tail(now.folder, 200, log) or now.tail(200)
        open_log = now.state == "failed" or (now.kind == "flash" and now.running)
        with (
            st.expander(
                f"Log ({len(lines)} {'line' if len(lines) == 1 else 'lines'})",
                expanded=open_log,
                icon=":material/terminal:",
                key=f"log_{now.state}",
            ),
            st.container(height=260 if len(lines) > 8 else "content", border=False, autoscroll=True),
        ):
            st.code("\n".join(lines) or "nothing yet", language=None, wrap_lines=True)

    st.fragment(draw, run_every=1.0 if job.running else None)()


def _head(job: Job) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{words.escape(name(job))}**", width="content")
        st.badge(f"{job.state}, {job.seconds:,.0f} s", icon=ICONS[job.state], color=COLOURS[job.state])
        if job.running:
            st.button("Cancel", icon=":material/stop_circle:", key="cancel", on_click=_cancel, args=(job,))
    if job.running:
        st.progress(job.fraction, text=job.message or "starting")
    lines = []
    for step in job.progress.get("steps", []):
        state = step.get("state", "waiting")
        state = job.state if state == "running" and not job.running else state  # it died in this step
        message = "" if state == "failed" else words.escape(step.get("message", ""))  # the error below says it
        lines.append(f"{STEPS.get(state, STEPS['waiting'])} **{step['name']}** {message}")
    st.markdown("  \n".join(lines))
    if job.state == "failed":
        fix = (
            f"{job.fix}; to go on where it stopped: tbn train --resume {job.folder}"
            if job.kind == "train" and job.returncode is None
            else job.fix
        )
        st.error(words.told(job.error, fix), icon=":material/error:")
    if job.state == "cancelled":
        st.info("This job was cancelled.", icon=":material/cancel:")


def _cancel(job: Job) -> None:
    try:
        jobs.cancel(job.folder)
    except TBNError as error:
        st.session_state["notice"] = str(error)
