"""A flash from the Firmware page: the command, the job, and the board's report."""

import json

import streamlit as st

from tbn import charts, jobs
from tbn.boards.building import Place
from tbn.errors import TBNError

EMULATOR, DRIVE = "emulator", "drive: "


def arguments(place: Place, port: str | None, precision: str | None) -> list[str]:
    """The command's words for a port, or for a drive (the port is then found by its VID:PID)."""
    chosen = port or "PORT"
    where = ["--drive", chosen.removeprefix(DRIVE)] if chosen.startswith(DRIVE) else ["--port", chosen]
    return [
        "flash",
        place.run.id,
        "--board",
        place.board.name,
        *where,
        *(["--precision", precision] if precision else []),
    ]


def flash(place: Place, words_of: list[str]) -> None:
    """Start the job; a second one for the same run and board is refused with a sentence."""
    try:
        jobs.start(place.folder, [*words_of, "--json"], kind="flash")
    except TBNError as error:
        st.session_state["firmware_error"] = error


def draw_result(job: jobs.Job) -> None:
    """The build's own log while it runs; the board's report at the end."""
    path = job.folder / "report.json"
    if job.state != "done" or not path.is_file():
        return
    report = json.loads(path.read_text())
    built = report["build"]
    flash_text = f"flash {built['flash_bytes']:,} of {built['flash_limit_bytes']:,} bytes"
    ram_text = f"RAM {built['ram_bytes']:,} of {built['ram_limit_bytes']:,} bytes"
    integer = built.get("precision") == "integer"
    how = "bit for bit" if integer else f"largest difference {report['max_difference']:.1e} of the largest logit"
    st.success(
        f"The board gives the run's answers: **{report['passed']}/{report['total']}** test images, {how}.",
        icon=":material/verified:",
    )
    with st.container(horizontal=True):
        st.metric("Self-test", f"{report['passed']}/{report['total']}", width="content")
        st.metric("Flash", charts.bytes_text(built["flash_bytes"]), width="content", help=flash_text)
        kept = f"{ram_text}; {built['stack_reserve_bytes']:,} more are kept for the stack"
        st.metric("RAM", charts.bytes_text(built["ram_bytes"]), width="content", help=kept)
        st.metric(f"{report['tick_unit'].capitalize()} per inference", f"{report['ticks']:,}", width="content")
    guess = built.get("predicted_flash_bytes")
    told = (
        ""
        if guess is None
        else f"; predicted before the build: flash {guess:,}, RAM {built['predicted_ram_bytes']:,} bytes"
    )
    st.caption(
        f"From the linked image: {flash_text}, {ram_text}, weights {built['linked_weight_bytes']:,} bytes as predicted{told}. "
        f"{built.get('precision', 'float32')}, {report['port']}, {report['date'][:10]}, {report['seconds']:.1f} s in all."
    )
    st.page_link(
        "pages/explore/memory.py",
        label="Memory map of this firmware",
        icon=":material/memory:",
        query_params={"run": built["run"]},
    )
