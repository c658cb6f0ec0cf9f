"""The steps of a flash, what each does, and what to do when it fails."""

from collections.abc import Sequence

import streamlit as st

from pages.parts import live
from tbn.boards import Board
from tbn.boards.ports import not_there
from tbn.jobs import Job

DOES = {
    "check": "run, board, port and tools are there",
    "generate": "the network as C source, in whole numbers where it can be",
    "build": "compiled and linked by PlatformIO",
    "fit": "flash and RAM of the linked image against the board's",
    "port": "the board is still where it was",
    "flash": "the image is written",
    "verify": "known images go in, the answers must be the model's",
}
HELP = {
    "check": ("Run `tbn doctor`: it names each missing package and tool with the command that brings it.",),
    "generate": (
        "Not every layer has a form in whole numbers: choose **float32** as the precision, or another run.",
        "Out of memory while it quantises: close other trainings.",
    ),
    "build": (
        "The log's last lines name the file and the line. `tbn doctor` checks the compilers.",
        "A real board's first build fetches its toolchain from the PlatformIO registry, which needs the internet; emulated boards need nothing.",
        "On a full disk: the Jobs page says which folders take the room.",
    ),
    "fit": (
        "Choose a board with a green badge, or train with the p that an orange badge names.",
        "Activations, not weights, fill the RAM: a narrower network helps, a larger p does not.",
    ),
    "port": ("{plug}.", "Another USB socket without a hub, another cable. Then **Look again**."),
    "flash": (
        "Close whatever else listens on the port: a serial monitor, the console of the Device page, ModemManager.",
        "No permission on Linux: `sudo usermod -aG dialout $USER`, log in again.",
        "ESP32: hold BOOT while the upload starts. Nano 33 BLE: press reset twice. Pico: hold BOOTSEL while plugging it in.",
    ),
    "verify": (
        "Press reset and flash again. The board may have lost its supply during the write.",
        "Answers that differ again and again point to the stack running into the buffers: choose a board with more RAM.",
    ),
}


def draw_steps(steps: Sequence[str]) -> None:
    """All steps, still to be done."""
    st.markdown("  \n".join(f"{live.STEPS['waiting']} **{step}** {DOES.get(step, '')}" for step in steps))


def draw_help(board: Board, job: Job | None = None) -> None:
    """What to do step by step; of a job that failed, for its step alone."""
    failed = failed_step(job)
    plug = not_there(board)
    plug = plug[:1].upper() + plug[1:]
    label = f"What to do when **{failed}** fails" if failed else "What to do when a step fails"
    with st.expander(label, icon=":material/support:", expanded=bool(failed), key="help"):
        for step in (failed,) if failed else HELP:
            lines = "\n".join(f"- {line.format(plug=plug)}" for line in HELP[step])
            st.markdown(f"**{step}**: {DOES[step]}\n\n{lines}")


def failed_step(job: Job | None) -> str:
    """The step that a failed job died in, or ""."""
    if job is None or job.state != "failed":
        return ""
    steps = job.progress.get("steps", [])
    found = next((step["name"] for step in steps if step.get("state") in ("failed", "running")), "")
    return str(found) if found in HELP else ""
