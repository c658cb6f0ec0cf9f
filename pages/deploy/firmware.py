"""Firmware: one button from a run to a board that gives the run's answers: check, generate, build, fit, flash, verify."""

import shlex

import streamlit as st

from pages.parts import data, firmware_panel, live, words
from pages.parts.choose import FIRMWARE_MODELS, run_box, usual_run
from pages.parts.flash_panel import DRIVE, EMULATOR, arguments, draw_result, flash
from tbn import boards, charts, jobs, runs
from tbn.boards import drives
from tbn.boards.building import place_of
from tbn.errors import TBNError

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
    precision = firmware_panel.precision_box()
    found = [port for port in boards.list_ports() if not port.boards or board.name in port.boards]
    there = [] if board.drive is None else [f"{DRIVE}{drive.path}" for drive in drives.find(board.drive)]
    ports = [EMULATOR] * board.emulated + there + [port.device for port in found]
    port = st.selectbox(
        "Port", ports, key="port", bind="query-params", placeholder="no serial port found", disabled=not ports
    )
    if port == EMULATOR:
        st.caption(
            "An emulated board on this computer runs the same image as the real one; every executed instruction is counted."
        )
    elif port and port.startswith(DRIVE):
        st.caption(
            "The image is dropped onto the board's USB drive, then the board is asked over its serial port. Its program is replaced."
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
    command = arguments(place, port, precision)
    with st.container(horizontal=True):
        st.button(
            "Build and flash", type="primary", icon=":material/bolt:", key="flash", on_click=flash, args=(place, command), disabled=not port
        )  # fmt: skip
        st.button("Look again", icon=":material/refresh:", key="look", help="List the serial ports again")
    st.code(shlex.join(["tbn", *command]), language="bash", wrap_lines=True)

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
    with st.expander("Which boards does it fit?", icon=":material/straighten:"):
        report = firmware_panel.export_of(place.run, precision)
        if report is not None:
            firmware_panel.draw_fits(place.run, report)
