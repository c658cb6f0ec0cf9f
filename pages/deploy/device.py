"""Device: talk to a flashed board. Send it a drawing or a test sample and see its answer beside the float model's; and the line itself."""

import streamlit as st

from pages.parts import ask_panel, device_panel, target, words
from pages.parts.choose import run_box, usual_run

frame = target.deployable()
first, second, third = st.columns([3, 2, 3], vertical_alignment="top")
with first:
    name = run_box(frame, default=usual_run(frame))
with second:
    board = target.board_box()
with third:
    port = target.port_box(board, with_drives=False)
place = target.run_place(frame, name, board)
emulated = port == target.EMULATOR
words.copy_as(
    ask_panel.python_of(place, port),
    f"tbn eval {place.run.id} --engine board --board {board.name} --port {port or 'PORT'}",
)
console = device_panel.console_at(place, port)
here = {"run": place.run.id, "board": board.name}
if console is None and not place.report.is_file():
    words.nothing_yet(
        f"**{words.escape(place.run.id)}** has not been flashed onto {'the emulated ' if emulated else 'a '}{board.title} from here yet.",
        "pages/deploy/firmware.py", "Build and flash it", ":material/bolt:", here,
    )  # fmt: skip
device_panel.draw_state(place, port, console)
method = str(frame.loc[frame["run"] == name, "method"].iloc[0])
ask_panel.draw(place, console, method, ask_panel.unit_of(console, emulated))
device_panel.draw_console(console)
st.page_link(
    "pages/deploy/firmware.py", label="Flash this or another run", icon=":material/developer_board:", query_params=here
)
