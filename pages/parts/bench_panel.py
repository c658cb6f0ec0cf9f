"""Benchmarks of this computer, run as jobs from the page; what they leave can be chosen beside the recorded ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts import live, words
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


def _files() -> tuple[tuple[str, int], ...]:
    """The records of all benchmark jobs, and when each changed."""
    found = []
    for path in (runs.runs_root() / job_keeping.FOLDER).glob(f"bench-*/{RECORD}"):
        try:
            found.append((str(path), path.stat().st_mtime_ns))
        except OSError:
            continue
    return tuple(sorted(found))


@st.cache_data(max_entries=4, show_spinner=False)
def _read(files: tuple[tuple[str, int], ...]) -> list[dict[str, Any]]:
    found = []
    for name, _ in files:
        try:
            record = json.loads(Path(name).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and {"kind", "date", "rows"} <= set(record) and record["rows"]:
            job = Path(name).parent.name
            found.append(record | {"file": job, "job": job})
    return found


def records() -> list[dict[str, Any]]:
    """What benchmarks measured on this computer, as far as they came."""
    return _read(_files())


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
    with st.expander(
        "Measure this computer", icon=":material/timer:", key="measure", expanded=_last(kinds, running=True) is not None
    ):
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
        job = _last(kinds)
        if job is not None:
            live.panel(job, _done)


def arguments(what: str, quick: bool, threads: int | None) -> list[str]:
    """Of ``tbn``, without the file."""
    return ["bench", what, *["--quick"] * quick, *(["--threads", str(int(threads))] if threads else [])]


def _start(argv: list[str]) -> None:
    def begin() -> None:
        folder = job_keeping.new_folder("bench")
        jobs.start(folder, [*argv, "--json", "--out", str(folder / RECORD)], kind="bench")

    live.trying(begin)


def _last(kinds: tuple[str, ...], running: bool = False) -> Job | None:
    """The newest benchmark of these kinds."""
    found = (job for job in live.every_job() if job.kind == "bench" and len(job.argv) > 1 and job.argv[1] in kinds)
    return next((job for job in found if job.running or not running), None)


def _done(job: Job) -> None:
    if job.state == "done" and (job.folder / RECORD).is_file():
        st.success(f"Measured: `{words.escape(job.folder.name)}` can be chosen above.", icon=":material/check_circle:")
