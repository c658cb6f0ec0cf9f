"""Jobs as the pages show them: the strip under the menu, and one job's panel with its progress, log and cancel button."""

from collections.abc import Callable, Mapping

import streamlit as st

from pages.parts import choose, words
from pages.parts.job_names import JOBS, KINDS, address, every_job, key, kind_of, link, name
from tbn import jobs
from tbn.errors import TBNError
from tbn.jobs import Job

__all__ = [
    "ICONS",
    "JOBS",
    "KINDS",
    "address",
    "box",
    "every_job",
    "key",
    "kind_of",
    "link",
    "name",
    "notice",
    "of_kind",
    "panel",
    "strip",
    "trying",
]
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


def strip() -> None:
    """The running jobs, on every page; looked at every two seconds only while there are any."""
    running = [job for job in every_job() if job.running]

    def draw() -> None:
        now = [job for job in every_job() if job.running]
        if len(now) < len(running):
            st.rerun()
        with st.container(horizontal=True, key="running_jobs"):
            for job in now[:4]:
                what = name(job) if name(job).startswith(job.kind) else f"{job.kind} {name(job)}"
                link(job, f"{words.escape(what)}: {_how_far(job)}", ICONS["running"])
            if len(now) > 4:
                st.page_link(JOBS, label=f"and {len(now) - 4} more", icon=":material/more_horiz:")

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
        notice()
        _head(now)
        if more:
            more(now)
        lines = jobs.tail(now.folder, 200, log) or now.tail(200)
        open_log = now.state == "failed" or (now.kind in ("flash", "bench", "sweep") and now.running)
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


def of_kind(kind: str) -> dict[str, Job]:
    """The jobs of a kind, newest first, by their key."""
    return {key(job): job for job in every_job() if job.kind == kind}


def box(known: Mapping[str, Job], label: str = "Job") -> Job:
    """One of these jobs, by its key; before anybody chose, one that runs, or else the first."""
    first = next((one for one, job in known.items() if job.running), next(iter(known)))
    return known[choose.shared_box(label, list(known), "job", first) or first]


def notice(place: str = "") -> None:
    """What a button could not do, said once; ``place`` tells buttons of one page apart."""
    if (error := st.session_state.pop(f"notice_{place}", None)) is not None:
        words.sentence(error)


def trying(action: Callable[[], object], place: str = "") -> bool:
    """Do what a button asks for; where it cannot be done, ``notice`` says why at this place. Returns whether it was done."""
    try:
        action()
    except TBNError as error:
        st.session_state[f"notice_{place}"] = error
        return False
    return True


def _how_far(job: Job) -> str:
    """``40 % epoch 4 of 10``, or the last line of the log of a job that does not say how far it is."""
    if job.progress:
        return f"{job.fraction:.0%} {words.escape(job.message)}"
    last = " ".join(job.tail(1)) or "starting"
    return words.escape(last if len(last) <= 60 else last[:59] + "…")


def _head(job: Job) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{words.escape(name(job))}**", width="content")
        st.badge(f"{job.state}, {job.seconds:,.0f} s", icon=ICONS[job.state], color=COLOURS[job.state])
        if job.running:
            st.button("Cancel", icon=":material/stop_circle:", key="cancel", on_click=_cancel, args=(job,))
    if job.running:
        st.progress(job.fraction, text=_how_far(job))
    lines = []
    for step in job.progress.get("steps", []):
        state = step.get("state", "waiting")
        state = job.state if state == "running" and not job.running else state  # it died in this step
        message = "" if state == "failed" else words.escape(step.get("message", ""))  # the error below says it
        lines.append(f"{STEPS.get(state, STEPS['waiting'])} **{step['name']}** {message}")
    if lines:
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
    trying(lambda: jobs.cancel(job.folder))
