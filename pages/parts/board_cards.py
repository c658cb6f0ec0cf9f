"""The boards as cards: what each is, and whether the run fits it."""

from collections.abc import Mapping

import streamlit as st

from pages.parts import choose
from tbn import boards, charts
from tbn.boards import Board
from tbn.boards.fitting import Fit

NARROWEST = 168  # pixels of a card


def draw(chosen: Board, fits: Mapping[str, Fit]) -> None:
    """A card a board, emulated ones first; the title is the button that chooses it. ``fits`` is empty before the prediction."""
    with st.grid(min_column_width=NARROWEST, key="boards"):
        for board in boards.list_boards():
            with st.container(border=True, key=f"card_{board.name}", gap="xsmall"):
                st.button(
                    board.title, key=f"board_{board.name}", type="primary" if board == chosen else "secondary", width="stretch",
                    on_click=choose.remember, args=("board", board.name), help="Chosen" if board == chosen else f"Choose the {board.title}",
                )  # fmt: skip
                label, icon, colour = badge(fits.get(board.name))
                st.badge(label, icon=icon, color=colour)
                st.caption(about(board, fits.get(board.name)))


def badge(fit: Fit | None) -> tuple[str, str, str]:
    """(label, icon, colour): whether a run fits, or with which p it would."""
    if fit is None:
        return "not predicted yet", ":material/help:", "gray"
    if fit.fits:
        return "fits" if fit.measured else "fits, by estimate", ":material/check_circle:", "green"
    if fit.smallest_p is not None:
        return f"too big; p = {fit.smallest_p} fits", ":material/compress:", "orange"
    return "too big", ":material/block:", "red"


def about(board: Board, fit: Fit | None) -> str:
    """Processor and memory, and how much of it the firmware would take."""
    core = board.cpu.partition(",")[0] + (", emulated or real" if board.emulated else ", real only")
    if fit is None:
        return f"{core}  \nflash {charts.bytes_text(board.flash_bytes)}  \nRAM {charts.bytes_text(board.ram_bytes)}"
    flash = _share(fit.flash_bytes / fit.flash_limit_bytes)
    ram = _share((fit.ram_bytes + fit.stack_bytes) / fit.ram_limit_bytes)
    return f"{core}  \nflash {flash} of {charts.bytes_text(board.flash_bytes)}  \nRAM {ram} of {charts.bytes_text(board.ram_bytes)}"


def _share(part: float) -> str:
    return f"{part:.0%}" if part >= 0.01 else "under 1%"
