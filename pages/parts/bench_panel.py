"""Benchmarks of this computer, run as jobs from the page; what they leave can be chosen beside the recorded ones."""

import shutil
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts import data, live, words
from tbn import job_keeping, jobs, runs
from tbn.jobs import Job

RECORD = "record.json"
WHAT = {"cpu": "layers on the CPU", "gpu": "layers on the GPU", "networks": "whole networks", "mcu": "emulated boards"}
TAKES = {  # (quick, whole), about
    "cpu": ("a minute", "15 minutes"),
    "gpu": ("two minutes", "7 minutes"),
    "networks": ("a minute", "20 minutes"),
    "mcu": ("a minute", "10 minutes"),
}


def records() -> list[dict[str, Any]]:
    """What benchmarks measured on this computer, as far as they came."""
    found = data.records(runs.runs_root() / job_keeping.FOLDER, f"bench-*/{RECORD}")
    return [record | {"file": path.parent.name, "job": path.parent.name} for path, record in found.items()]


def path_of(record: dict[str, Any]) -> Path:
    """The file of a record of ``records``."""
    return runs.runs_root() / job_keeping.FOLDER / str(record["job"]) / RECORD


def draw(kinds: tuple[str, ...]) -> None:
    """Choose and start a benchmark of this computer; how far the last one is.

    Args:
        kinds: of ``WHAT``.
    """
    kinds = tuple(kind for kind in kinds if kind != "gpu" or shutil.which("nvidia-smi"))
    if not kinds:
        return
    found = [job for job in live.of_kind("bench").values() if len(job.argv) > 1 and job.argv[1] in kinds]
    running = next((job for job in found if job.running), None)
    with st.expander("Measure this computer", icon=":material/timer:", key="measure", expanded=running is not None):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            what = kinds[0]
            if len(kinds) > 1:
                what = (
                    st.segmented_control(
                        "What", kinds, default=what, required=True, key="bench_what", format_func=WHAT.get
                    )
                    or what
                )
            quick = st.toggle(
                "Quick",
                value=True,
                key="bench_quick",
                help="Few cases; the whole benchmark takes longer and is steadier",
            )
            threads = None
            if what != "mcu":
                threads = st.number_input("Threads", 1, 256, 1, key="bench_threads", width=120)
            argv = arguments(what, bool(quick), threads)
            st.button(
                "Measure",
                type="primary",
                icon=":material/play_arrow:",
                key="bench_start",
                on_click=_start,
                args=(argv,),
            )
        st.caption(
            f"Takes about {TAKES[what][not quick]}, in the background. Leave the computer alone meanwhile: what else runs spoils the ratios. The "
            f"record can be chosen above when it is done, and stays in `{runs.runs_root() / job_keeping.FOLDER}`."
        )
        live.notice()
        if found:
            live.panel(found[0], _done)


def arguments(what: str, quick: bool, threads: int | None) -> list[str]:
    """Of ``tbn``, without the file."""
    return ["bench", what, *["--quick"] * quick, *(["--threads", str(int(threads))] if threads else [])]


def _start(argv: list[str]) -> None:
    def begin() -> None:
        folder = job_keeping.new_folder("bench")
        jobs.start(folder, [*argv, "--json", "--out", str(folder / RECORD)], kind="bench")

    live.trying(begin)


def _done(job: Job) -> None:
    if job.state == "done" and (job.folder / RECORD).is_file():
        st.success(f"Measured: `{words.escape(job.folder.name)}` can be chosen above.", icon=":material/check_circle:")
