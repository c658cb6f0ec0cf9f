"""What the Firmware and the Memory page share: the precision, the run's C source, and the boards that it fits."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts import figures, live, words
from tbn import jobs, runs
from tbn.boards.fitting import Fit
from tbn.errors import TBNError
from tbn.export.report import PRECISIONS, ExportReport
from tbn.export.run import exported, firmware_folder

AUTOMATIC = "automatic"


def precision_box() -> str | None:
    """The precision of the firmware; None leaves it to the model: integers where it has a twin in whole numbers."""
    choice = st.segmented_control(
        "Precision", [AUTOMATIC, *PRECISIONS], default=AUTOMATIC, required=True, key="precision", bind="query-params",
        help="Integers: 8-bit activations, no float on the board, bit for bit what the Python reference computes. "
        "Automatic takes them wherever the model allows it.",
    )  # fmt: skip
    return None if choice in (None, AUTOMATIC) else str(choice)


def export_of(run: runs.Run, precision: str | None) -> ExportReport | None:
    """The run's C source if it was generated before. Else a button that generates it in the background, and how far that is."""
    try:
        report = exported(run, precision)
    except TBNError as error:  # a run folder without its weights
        st.caption(words.told(error.message, error.fix))
        return None
    if report is not None:
        return report
    folder = firmware_folder(run) / "sizes"
    try:
        job = jobs.status(folder)
    except TBNError:
        job = None
    argv = ["fit", str(run.path), "--json", *(["--precision", precision] if precision else [])]
    if job is None or not job.running:
        st.button(
            "Predict flash and RAM", icon=":material/calculate:", key="predict", on_click=_start, args=(folder, argv)
        )
        st.caption("The network is written as C source, which takes some seconds; nothing is compiled.")
    live.notice("fit")
    if job is not None and (job.running or (job.state == "failed" and list(job.argv) == argv)):
        live.panel(job)
    return None


def draw_fits(found: Iterable[Fit], report: ExportReport) -> None:
    """Every board: does the run fit, what would it take, and with how many tiles would it fit."""
    rows = []
    for entry in found:
        about = "" if entry.measured else "about "
        rows.append({
            "": "✓ fits" if entry.fits else "✗ too big", "board": entry.board,
            "flash": f"{about}{entry.flash_bytes:,} B", "of": f"{entry.flash_limit_bytes:,}",
            "RAM": f"{about}{entry.ram_bytes:,} B", "RAM there is": f"{entry.ram_limit_bytes - entry.stack_bytes:,}",
            "smallest p": "none" if entry.smallest_p is None else str(entry.smallest_p),
        })  # fmt: skip
    figures.table(
        pd.DataFrame(rows),
        "fits_table",
        f"boards for {report.task}",
        alt="Which boards the run fits, with predicted flash and RAM",
    )
    st.caption(
        f"{report.precision.capitalize()}. Predicted, nothing was built; RAM without the stack. *About*: the code of another board and an assumed "
        "framework, not measured here. *Smallest p*: with it the network fits, if it is trained with that p."
    )
    if report.reason:
        st.caption(words.escape(report.reason))


def _start(folder: Path, argv: list[str]) -> None:
    live.trying(lambda: jobs.start(folder, argv, kind="fit"), "fit")
