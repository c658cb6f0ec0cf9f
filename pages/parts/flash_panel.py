"""A flash from the Firmware page: the command, the job, and the board's report."""

import json
from pathlib import Path

import streamlit as st

from pages.parts import device_panel, live
from pages.parts.target import DRIVE, EMULATOR
from tbn import charts, jobs
from tbn.boards.building import Place


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


def python_of(place: Place, port: str | None, precision: str | None) -> str:
    """The same in Python."""
    chosen = port or EMULATOR
    drive = chosen.startswith(DRIVE)
    options = [
        f'"{place.run.id}"',
        f'"{place.board.name}"',
        f'drive="{chosen.removeprefix(DRIVE)}"' if drive else f'port="{chosen}"',
    ]
    options += [f'precision="{precision}"'] if precision else []
    return (
        "from tbn import boards\n\n"
        f"report = boards.flash({', '.join(options)}, progress=print)\n"
        'print(report.passed, "of", report.total, "images agree;", report.ticks, report.tick_unit)'
    )


def flash(place: Place, port: str | None, words_of: list[str]) -> None:
    """Start the job; a second one for the same run and board is refused with a sentence. A console of this visitor lets go of the port."""
    device_panel.hang_up(place, port)
    live.trying(lambda: jobs.start(place.folder, [*words_of, "--json"], kind="flash"), "flash")


def draw_result(job: jobs.Job) -> None:
    """The board's report at the end of a job."""
    if job.state == "done":
        draw_report(job.folder)


def draw_report(folder: Path) -> bool:
    """What the board answered last, if it was ever flashed; returns whether it was."""
    try:
        report = json.loads((folder / "report.json").read_text())
    except (OSError, ValueError):
        return False
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
    here = {"run": built["run"]}
    with st.container(horizontal=True):
        st.page_link(
            "pages/explore/memory.py", label="Memory map of this firmware", icon=":material/memory:", query_params=here
        )
        st.page_link(
            "pages/deploy/device.py", label="Talk to the board", icon=":material/terminal:",
            query_params=here | {"board": folder.name, "port": report["port"]},
        )  # fmt: skip
    return True
