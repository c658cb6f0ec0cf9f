"""What jobs are called, on which page each is shown best, and under which address."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.parts import words
from tbn import job_keeping, jobs, runs
from tbn.export.run import cache_root
from tbn.jobs import Job

JOBS = "pages/run/jobs.py"


@dataclass(frozen=True)
class Kind:
    """What people call a kind of job, and the page that shows more of it than its log."""

    noun: str
    icon: str
    page: str = JOBS
    label: str = ""


KINDS = {
    "train": Kind("training", ":material/model_training:", "pages/run/train.py", "Curves on the Train page"),
    "sweep": Kind("sweep", ":material/grain:", "pages/run/sweep.py", "Trials on the Sweep page"),
    "budget": Kind("budget search", ":material/savings:", "pages/run/sweep.py", "Proposals on the Sweep page"),
    "bench": Kind("benchmark", ":material/speed:", "pages/explore/kernels.py", "Its record on the Kernels page"),
    "quantise": Kind("integer fine-tuning", ":material/pin:"),
    "adopt": Kind("upload", ":material/upload_file:"),
    "measure": Kind("measurement", ":material/timer:"),
    "export": Kind("export", ":material/output:"),
    "flash": Kind("flash", ":material/developer_board:", "pages/deploy/firmware.py", "Firmware of this run"),
    "fit": Kind("size prediction", ":material/memory:", "pages/explore/memory.py", "Memory of this run"),
}


def kind_of(job: Job) -> Kind:
    """What its kind is called; an unknown one by its own word."""
    return KINDS.get(job.kind, Kind(job.kind or "job", ":material/work:"))


def every_job() -> list[Job]:
    """All jobs: in the runs folder, and firmware of zoo entries in the cache."""
    return jobs.every(runs.runs_root(), cache_root() / "zoo")


def key(job: Job) -> str:
    """The job's name in the address of the Jobs page: its folder below the runs folder, without ``jobs/``."""
    for root in (runs.runs_root(), cache_root() / "zoo"):
        for folder, above in ((job.folder, root), (job.folder.resolve(), root.resolve())):
            if folder.is_relative_to(above):
                return folder.relative_to(above).as_posix().removeprefix(f"{job_keeping.FOLDER}/")
    return job.folder.name


def name(job: Job) -> str:
    """A job's name for people: its folder; of a flash the run and the board, of a prediction the run."""
    if job.kind == "fit" and len(job.argv) > 1:
        return Path(job.argv[1]).name
    return f"{job.argv[1]} on {job.folder.name}" if job.kind == "flash" and len(job.argv) > 1 else job.folder.name


def address(job: Job) -> dict[str, str]:
    """The query parameters under which the page of its kind shows it."""
    if job.kind == "fit":
        return {"run": name(job)}
    if job.kind == "flash" and len(job.argv) > 1:
        return {"run": job.argv[1], "board": job.folder.name}
    return {"job": key(job)} | ({"way": "budget"} if job.kind == "budget" else {})


def link(job: Job, label: str | None = None, icon: str | None = None) -> None:
    """A link to the page that shows this job best."""
    kind = kind_of(job)
    st.page_link(
        kind.page,
        label=label or kind.label or words.escape(name(job)),
        icon=icon or kind.icon,
        query_params=address(job),
    )
