"""Which run on which board at which port: chosen on the Firmware and on the Device page, in the address under the same names."""

import pandas as pd
import streamlit as st

from pages.parts import choose, data, words
from tbn import boards, runs
from tbn.boards import Board, Port, drives
from tbn.boards.building import Place, place_of

EMULATOR, DRIVE = "emulator", "drive: "


def deployable() -> pd.DataFrame:
    """The finished runs that firmware can be made of; where there is none, the page says so and ends. One of another kind is refused in words."""
    everything = data.finished()
    frame = everything[everything["model"].isin(choose.FIRMWARE_MODELS)]
    other = everything.loc[everything["run"] == st.query_params.get("run"), "model"]
    served = ", ".join(choose.FIRMWARE_MODELS)
    if len(other) and not other.isin(choose.FIRMWARE_MODELS).any():
        st.info(
            f"Firmware can be made of {served} runs only; `{st.query_params['run']}` is a run of {other.iloc[0]}. These can be put on a board:",
            icon=":material/developer_board_off:",
        )
        st.query_params.pop("run")
    if frame.empty:
        words.nothing_yet(
            f"There is no finished {served} run in `{runs.runs_root()}` yet, so there is nothing to put on a board."
        )
        st.stop()
    return frame


def run_place(frame: pd.DataFrame, name: str | None, board: Board) -> Place:
    """Where the firmware of a run for a board lies."""
    row = frame[frame["run"] == name].iloc[0]
    return place_of(runs.Run(runs.Path(row["path"])), board)


def board_of_address() -> Board:
    """The board that the address, or else an earlier page, names; the first one otherwise."""
    known = {board.name: board for board in boards.list_boards()}
    return known[str(choose.shared_choice("Board", list(known), "board", next(iter(known))))]


def board_box() -> Board:
    """The boards as a box."""
    known = {board.name: board for board in boards.list_boards()}
    name = choose.shared_box("Board", list(known), "board", next(iter(known)), words=lambda name: known[name].title)
    return known[name or next(iter(known))]


def port_box(board: Board, with_drives: bool) -> str | None:
    """The places that such a board may be at now: emulated, mounted as a drive, at a serial port. Never guesses a port of another board."""
    found = [port for port in boards.list_ports() if not port.boards or board.name in port.boards]
    there = (
        [] if board.drive is None or not with_drives else [f"{DRIVE}{drive.path}" for drive in drives.find(board.drive)]
    )
    ports = [EMULATOR] * board.emulated + there + [port.device for port in found]
    asked = st.query_params.get("port")
    if asked not in ports and asked == st.session_state.get("last_port"):
        st.query_params.pop("port", None)  # it was another board's
    if not ports:
        st.selectbox("Port", [], key="no_port", placeholder="no serial port found", disabled=True)
        st.caption(
            f"Plug the {board.title} in with a data cable and press **Look again**, or choose an emulated board."
        )
        return None
    port = choose.shared_box("Port", ports, "port", ports[0])
    st.caption(_about(port or ports[0], found))
    return port


def _about(port: str, found: list[Port]) -> str:
    """What stands below the box of ports."""
    if port == EMULATOR:
        return "Emulated on this computer: the same image as on the real board, every executed instruction counted."
    if port.startswith(DRIVE):
        return "The image is dropped onto the board's USB drive, then the board is asked over its serial port. Its program is replaced."
    return "; ".join(f"{p.device}: {p.description} ({p.usb_id})" for p in found if p.device == port)
