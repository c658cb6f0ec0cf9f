"""How many of the runs shown were measured (latency) or predicted (a board's flash and RAM), and the button that does the rest."""

from pathlib import Path

import streamlit as st

from pages.parts import live
from pages.parts.tradeoff_choices import Choices
from tbn import job_keeping, jobs
from tbn.export.run import WEIGHTS

KIND = "measure"
MOST = 200  # runs of one job


def draw(chosen: Choices) -> None:
    """One line on what is known of the axis, and the job or its button; nothing to do for what a flashed board has counted."""
    rows, axis = chosen.rows, chosen.axis
    have = int(rows[axis.column].notna().sum())
    known = f"**{have} of the {len(rows)} runs** {'have' if have != 1 else 'has'} a value"
    if axis.unit == "instructions":
        units = sorted(set(rows["tick_unit"].dropna()))
        st.caption(
            f"{known}: a board counts them when it is flashed and answers the self-test, an emulated one, too; "
            "some models have no C runtime. " + f"In {' and '.join(units)}." * bool(units)
        )
        st.page_link(
            "pages/deploy/firmware.py",
            label="Flash a run",
            icon=":material/developer_board:",
            query_params=_query(chosen),
        )
        return
    if axis.on_board:
        how = rows["how"].value_counts()
        st.caption(
            f"{known}: {how.get('linked', 0)} read from a built image, {how.get('predicted', 0)} predicted from the run's C source; "
            "RAM without the stack. A zoo entry in full precision keeps no weights, and some models have no C runtime: they have none."
        )
    else:
        st.caption(
            f"{known}: median of single inputs on one thread of this machine's CPU, packed and fused; full precision as torch runs it."
        )
    running = next((job for job in live.every_job() if job.kind == KIND and job.running), None)
    if running is not None:
        live.panel(running)
        return
    missing = [
        path
        for path in rows.loc[rows[axis.column].isna(), "path"]
        if any((Path(path) / name).is_file() for name in WEIGHTS)
    ]
    if not missing:
        return
    word, what = ("Predict", "boards") if axis.on_board else ("Measure", "latency")
    st.button(
        f"{word} the other {min(len(missing), MOST)}", icon=":material/timer:" if what == "latency" else ":material/calculate:", key="measure",
        on_click=_start, args=([what, *missing[:MOST]],), help="Runs in the background, about a second a run",
    )  # fmt: skip
    live.notice(KIND)


def _query(chosen: Choices) -> dict[str, str]:
    return {"board": chosen.board} if chosen.board else {}


def _start(argv: list[str]) -> None:
    live.trying(lambda: jobs.start(job_keeping.new_folder(KIND), argv, kind=KIND, module="tbn.measure"), KIND)
