"""Jobs as the pages show them: the strip under the menu, and one job's panel with its progress, log and cancel button."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.parts import words
from tbn import job_keeping, jobs, runs
from tbn.errors import TBNError
from tbn.export.run import cache_root
from tbn.jobs import Job

JOBS = "pages/run/jobs.py"


@dataclass(frozen=True)
class Kind:
    """What people call a kind of job, and the page that shows more of it than its log."""

    noun: str
    icon: str
    page: str = JOBS
    label: str = ""


KINDS = {
    "train": Kind("training", ":material/model_training:", "pages/run/train.py", "Curves on the Train page"),
    "sweep": Kind("sweep", ":material/grain:", "pages/run/sweep.py", "Trials on the Sweep page"),
    "budget": Kind("budget search", ":material/savings:", "pages/run/sweep.py", "Proposals on the Sweep page"),
    "bench": Kind("benchmark", ":material/speed:"),
    "quantise": Kind("integer fine-tuning", ":material/pin:"),
    "adopt": Kind("upload", ":material/upload_file:"),
    "measure": Kind("measurement", ":material/timer:"),
    "export": Kind("export", ":material/output:"),
    "flash": Kind("flash", ":material/developer_board:", "pages/deploy/firmware.py", "Firmware of this run"),
    "fit": Kind("size prediction", ":material/memory:", "pages/explore/memory.py", "Memory of this run"),
}
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


def kind_of(job: Job) -> Kind:
    """What its kind is called; an unknown one by its own word."""
    return KINDS.get(job.kind, Kind(job.kind or "job", ":material/work:"))


def every_job() -> list[Job]:
    """All jobs: in the runs folder, and firmware of zoo entries in the cache."""
    return jobs.every(runs.runs_root(), cache_root() / "zoo")


def key(job: Job) -> str:
    """The job's name in the address of the Jobs page: its folder below the runs folder, without ``jobs/``."""
    for root in (runs.runs_root(), cache_root() / "zoo"):
        for folder, above in ((job.folder, root), (job.folder.resolve(), root.resolve())):
            if folder.is_relative_to(above):
                return folder.relative_to(above).as_posix().removeprefix(f"{job_keeping.FOLDER}/")
    return job.folder.name


def name(job: Job) -> str:
    """A job's name for people: its folder; of a flash the run and the board, of a prediction the run."""
    if job.kind == "fit" and len(job.argv) > 1:
        return Path(job.argv[1]).name
    return f"{job.argv[1]} on {job.folder.name}" if job.kind == "flash" and len(job.argv) > 1 else job.folder.name


def address(job: Job) -> dict[str, str]:
    """The query parameters under which the page of its kind shows it."""
    if job.kind == "fit":
        return {"run": name(job)}
    if job.kind == "flash" and len(job.argv) > 1:
        return {"run": job.argv[1], "board": job.folder.name}
    return {"job": name(job) if kind_of(job).page != JOBS else key(job)}


def link(job: Job, label: str | None = None, icon: str | None = None) -> None:
    """A link to the page that shows this job best."""
    kind = kind_of(job)
    st.page_link(
        kind.page,
        label=label or kind.label or words.escape(name(job)),
        icon=icon or kind.icon,
        query_params=address(job),
    )


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


def notice() -> None:
    """What a button could not do, said once."""
    told = st.session_state.pop("notice", None)
    if isinstance(told, TBNError):
        words.sentence(told)
    elif told:
        st.error(words.escape(str(told)), icon=":material/error:")


def trying(action: Callable[[], object]) -> bool:
    """Do what a button asks for; where it cannot be done, ``notice`` says why. Returns whether it was done."""
    try:
        action()
    except TBNError as error:
        st.session_state["notice"] = error
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
