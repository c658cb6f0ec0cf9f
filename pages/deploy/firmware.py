"""Firmware: one button from a run to a board that gives the run's answers: check, generate, build, fit, port, flash, verify."""

import shlex

import streamlit as st

from pages.parts import board_cards, firmware_panel, flash_help, live, target, words
from pages.parts.choose import run_box, usual_run
from pages.parts.flash_panel import arguments, draw_report, draw_result, flash, python_of
from tbn import boards, jobs
from tbn.boards import fitting
from tbn.errors import TBNError

frame = target.deployable()
board = target.board_of_address()
first, second, third = st.columns([3, 2, 3], vertical_alignment="top")
with first:
    name = run_box(frame, default=usual_run(frame))
with second:
    precision = firmware_panel.precision_box()
with third:
    port = target.port_box(board, with_drives=True)
place = target.run_place(frame, name, board)
words.copy_as(python_of(place, port, precision), shlex.join(["tbn", *arguments(place, port, precision)]))

st.subheader("Board", anchor=False)
cards = st.container()  # drawn last: the boards are there while the prediction is made
report = firmware_panel.export_of(place.run, precision)
fits = {} if report is None else {entry.board: entry for entry in fitting.fits(place.run, report)}
with cards:
    board_cards.draw(board, fits)
if report is not None:
    with st.expander("The boards as a table", icon=":material/straighten:", key="fits"):
        firmware_panel.draw_fits(fits.values(), report)

st.subheader(f"{board.title}: build, flash, verify", anchor=False)
left, right = st.columns([2, 3], gap="large")
with left:
    fit = fits.get(board.name)
    if fit is not None and not fit.fits:
        st.warning(
            f"This network is too big for the {board.title} by the prediction."
            + (f" With p = {fit.smallest_p} it would fit." if fit.smallest_p else " Choose another board."),
            icon=":material/compress:",
        )
    with st.container(horizontal=True):
        st.button(
            "Build and flash", type="primary", icon=":material/bolt:", key="flash", on_click=flash,
            args=(place, port, arguments(place, port, precision)), disabled=not port,
        )  # fmt: skip
        st.button("Look again", icon=":material/refresh:", key="look", help="List the serial ports again")
    st.code(shlex.join(["tbn", *arguments(place, port, precision)]), language="bash", wrap_lines=True)
    if port and not port.startswith(target.DRIVE) and port != target.EMULATOR:
        st.caption("The program on the board is replaced.")
try:
    job = jobs.status(place.folder)
except TBNError:
    job = None
with right:
    live.notice("flash")
    if job is None and draw_report(place.folder):
        st.caption("Flashed from the command line or from Python.")
    elif job is None:
        st.markdown(
            f"**{words.escape(place.run.id)}** has not been built for {board.title} yet. **Build and flash** does it all:"
        )
        flash_help.draw_steps(boards.STEPS)
    else:
        live.panel(job, draw_result, log="build.log")
with left:
    flash_help.draw_help(board, job)
