"""Flash and RAM of a firmware as a picture: predicted before it is built, beside what was linked."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import figures
from tbn import memory_charts, runs
from tbn.boards import Board, list_boards
from tbn.errors import TBNError
from tbn.export.report import ExportReport
from tbn.export.run import firmware_folder


def draw_map(report: ExportReport, board: Board, built: dict[str, Any] | None, methods: dict[str, str]) -> None:
    """Flash and RAM, predicted beside linked where an image of this precision was built; and the plan of the arena."""
    from tbn import memory
    from tbn.code_sizes import code_sizes

    code = code_sizes(board.emulator_environment, report.precision)
    try:
        guess = memory.predicted(report, code)
    except TBNError:  # the stored sizes are older than the runtime
        code, guess = None, memory.predicted(report)
    predicted = memory.frame(guess)
    elf = Path(built["elf"]) if built and built.get("precision") == report.precision else None
    linked = memory.frame(memory.linked(elf, report)) if elf is not None and elf.is_file() else None
    blocks = memory_charts.firmware_blocks(predicted, linked, methods)
    figure = memory_charts.memory_map(
        blocks, f"Bytes on {board.title}", f"Flash and RAM of the firmware for {board.title}"
    )
    figures.draw(figure, "firmware", f"firmware {report.task} {board.name}")
    st.caption(
        _told(
            report,
            board,
            memory.totals(guess),
            built if linked is not None else None,
            code is not None,
        )
    )
    if linked is not None:
        table = memory_charts.comparison(predicted, linked)
        told = "Bytes of each part of the firmware, predicted and linked"
        figures.table(table, "predicted_linked", f"firmware {board.name}", alt=told)
    if code is not None and code.stack_bytes:
        st.caption(
            f"Stack: {code.stack_bytes:,} bytes at its deepest, measured in the emulator on other networks; "
            f"{board.stack_reserve_bytes:,} bytes are kept for it."
        )
    parts = pd.DataFrame(
        [{"name": part.name, "start": part.start, "bytes": part.bytes} for part in report.arena],
        columns=["name", "start", "bytes"],
    )
    with st.expander("The arena's plan", icon=":material/view_timeline:", expanded=len(parts) < 12):
        figure = memory_charts.arena_plan(parts)
        figures.draw(figure, "arena", f"arena {report.task}")
        st.caption(
            "One stretch of RAM for all tensors. Those that overlap live at different times, or one is written over the other."
        )
    if linked is not None:
        with st.expander("Every symbol of the image", icon=":material/table:", key="symbols"):
            told = "Symbols of the image with address, bytes and owner"
            figures.table(linked, "symbols_table", f"symbols {board.name}", alt=told)


def built_for(run: runs.Run) -> dict[str, dict[str, Any]]:
    """The last build of each board, by its name."""
    found = {}
    for path in sorted(firmware_folder(run).glob("*/build.json")):
        try:
            found[path.parent.name] = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
    return found


def mapped_boards(built: dict[str, dict[str, Any]]) -> list[str]:
    """Boards whose memory can be drawn: built ones first, then all that are emulated."""
    emulated = [board.name for board in list_boards() if board.emulated]
    known = {board.name for board in list_boards()}
    return [*(name for name in built if name in known), *(name for name in emulated if name not in built)]


def _told(
    report: ExportReport, board: Board, guess: dict[str, int], built: dict[str, Any] | None, measured: bool
) -> str:
    what = "the whole firmware" if measured else "the model itself, whose code on this board was never measured"
    text = (
        f"Green is what is no weight. *Predicted*, before anything is built, is {what}: flash {guess['flash']:,} of {board.flash_bytes:,} bytes, "
        f"RAM {guess['ram']:,} of {board.ram_bytes:,} bytes. "
    )
    if built is None:
        return text + "No image of this precision has been built for this board yet."
    return text + (
        f"*Linked*, read from the image: flash {built['flash_bytes']:,} bytes, RAM {built['ram_bytes']:,} bytes; of the {report.weight_bytes:,} "
        f"bytes of weights {built['linked_weight_bytes']:,} were found in it."
    )


def python_of(run: runs.Run) -> str:
    """The page's first figure in Python."""
    return f"""from tbn import memory_charts, runs

run = runs.complete("{run.id}")
method = {{0: "fp32", 1: "binary"}}.get(run.config["p"], "tiled")
blocks = memory_charts.layer_blocks(run.result["size"]["layers"], method)
memory_charts.memory_map(blocks).show()"""
