"""Firmware: one button from a run to a board that gives the run's answers: check, generate, build, fit, flash, verify."""

import json

import streamlit as st

from pages.parts import data, live, words
from pages.parts.choose import FIRMWARE_MODELS, run_box, usual_run
from tbn import boards, charts, jobs, runs
from tbn.boards.building import Place, place_of
from tbn.errors import TBNError

EMULATOR = "emulator"


def flash(place: Place, port: str) -> None:
    """Start the job; a second one for the same run and board is refused with a sentence."""
    try:
        jobs.start(
            place.folder, ["flash", place.run.id, "--board", place.board.name, "--port", port, "--json"], kind="flash"
        )
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
    st.success(
        f"The board gives the run's answers: **{report['passed']}/{report['total']}** test images, largest difference "
        f"{report['max_difference']:.1e} of the largest logit.",
        icon=":material/verified:",
    )
    with st.container(horizontal=True):
        st.metric("Self-test", f"{report['passed']}/{report['total']}", width="content")
        st.metric("Flash", charts.bytes_text(built["flash_bytes"]), width="content", help=flash_text)
        kept = f"{ram_text}; {built['stack_reserve_bytes']:,} more are kept for the stack"
        st.metric("RAM", charts.bytes_text(built["ram_bytes"]), width="content", help=kept)
        st.metric(f"{report['tick_unit'].capitalize()} per inference", f"{report['ticks']:,}", width="content")
    st.caption(
        f"From the linked image: {flash_text}, {ram_text}, weights {built['linked_weight_bytes']:,} bytes as predicted. "
        f"{report['port']}, {report['date'][:10]}, {report['seconds']:.1f} s in all."
    )
    st.page_link(
        "pages/explore/memory.py",
        label="Memory map of this firmware",
        icon=":material/memory:",
        query_params={"run": built["run"]},
    )


everything = data.finished()
frame = everything[everything["model"].isin(FIRMWARE_MODELS)]
other = everything.loc[everything["run"] == st.query_params.get("run"), "model"]
if len(other) and not other.isin(FIRMWARE_MODELS).any():
    served = ", ".join(FIRMWARE_MODELS)
    st.info(
        f"Firmware can be made of {served} runs only; `{st.query_params['run']}` is a run of {other.iloc[0]}. These can be put on a board:",
        icon=":material/developer_board_off:",
    )
    st.query_params.pop("run")
if frame.empty:
    words.nothing_yet(
        f"There is no finished {', '.join(FIRMWARE_MODELS)} run in `{runs.runs_root()}` yet, so there is nothing to put on a board."
    )
    st.stop()
left, right = st.columns([2, 3], gap="large")
with left, st.container(border=True):
    name = run_box(frame, default=usual_run(frame))
    known = {board.name: board for board in boards.list_boards()}
    board = known[st.selectbox("Board", list(known), key="board", bind="query-params") or next(iter(known))]
    st.caption(
        f"{board.title}: {board.cpu}; flash {charts.bytes_text(board.flash_bytes)}, RAM {charts.bytes_text(board.ram_bytes)}"
    )
    found = [port for port in boards.list_ports() if not port.boards or board.name in port.boards]
    ports = [EMULATOR] * board.emulated + [port.device for port in found]
    port = st.selectbox(
        "Port", ports, key="port", bind="query-params", placeholder="no serial port found", disabled=not ports
    )
    if port == EMULATOR:
        st.caption(
            "An emulated board on this computer runs the same image as the real one; every executed instruction is counted."
        )
    elif port:
        st.caption(
            "; ".join(f"{p.device}: {p.description} ({p.usb_id})" for p in found if p.device == port)
            + ". The program on the board is replaced."
        )
    else:
        st.caption(
            f"Plug the {board.title} in with a data cable and press **Look again**, or choose an emulated board."
        )
    row = frame[frame["run"] == name].iloc[0]
    place = place_of(runs.Run(runs.Path(row["path"])), board)
    with st.container(horizontal=True):
        st.button(
            "Build and flash",
            type="primary",
            icon=":material/bolt:",
            key="flash",
            on_click=flash,
            args=(place, str(port)),
            disabled=not port,
        )
        st.button("Look again", icon=":material/refresh:", key="look", help="List the serial ports again")
    st.code(f"tbn flash {name} --board {board.name} --port {port or 'PORT'}", language="bash", wrap_lines=True)

with right:
    if (error := st.session_state.pop("firmware_error", None)) is not None:
        words.sentence(error)
    try:
        job = jobs.status(place.folder)
    except TBNError:
        steps = ", ".join(boards.STEPS)
        st.info(
            f"**{name}** has not been built for {board.title} yet. **Build and flash** does it all: {steps}.",
            icon=":material/developer_board:",
        )
    else:
        live.panel(job, draw_result, log="build.log")
