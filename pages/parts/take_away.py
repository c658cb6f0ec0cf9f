"""A run to take away: its packed model, ONNX and C source as files, and the way to firmware."""

import io
import zipfile
from pathlib import Path

import streamlit as st

from pages.parts import live, words
from pages.parts.choose import FIRMWARE_MODELS
from tbn import charts, job_keeping, jobs, runs
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.report import ExportReport
from tbn.export.run import exported
from tbn.measured import folder_of

KIND = "export"
PACKED, DENSE, ONNX = "packed.safetensors", "model.safetensors", "model.onnx"
RUNTIME = "lib/tbn_runtime"


def draw(run: runs.Run, model: str) -> None:
    """Buttons for what is there, and for what a job makes of it."""
    weights = run.path / (PACKED if run.config["p"] else DENSE)
    if not weights.is_file():
        st.caption(f"This run keeps no `{weights.name}`, so there is nothing to take away. Train it again to have one.")
        return
    job = next((job for job in live.every_job() if job.kind == KIND and str(run.path) in job.argv), None)
    idle = job is None or not job.running
    st.markdown("**Weights** as they are stored, for `tbn.load`, which checks them and rebuilds the network:")
    _download(
        f"{weights.name}, {charts.bytes_text(weights.stat().st_size)}", weights, f"{run.id}.safetensors", "packed_file"
    )
    st.markdown("**ONNX**, for ONNX Runtime and OpenVINO: bits inside, each distinct row computed once.")
    onnx = folder_of(run.path, run.source) / ONNX
    if onnx.is_file():
        _download(f"{ONNX}, {charts.bytes_text(onnx.stat().st_size)}", onnx, f"{run.id}.onnx", "onnx_file")
    elif idle:
        _button("Write ONNX", "onnx", run)
    st.markdown("**C source** with the runtime, C99 without malloc, for any board:")
    if model not in FIRMWARE_MODELS:
        st.caption(f"None for a {words.escape(model)}: the C runtime has not all of its operations.")
    elif (report := _exported(run)) is not None:
        told = f"model.c and runtime ({report.precision}), {report.weight_bytes:,} bytes of weights"
        st.download_button(
            told, lambda: c_archive(report), f"{run.id}-c.zip", "application/zip", key="c_file", on_click="ignore", icon=":material/download:"
        )  # fmt: skip
    elif idle:
        _button("Write C source", "c", run)
    if model in FIRMWARE_MODELS:
        here = {"run": run.id}
        st.page_link(
            "pages/deploy/firmware.py", label="Put it on a board", icon=":material/developer_board:", query_params=here
        )
    if job is not None and (job.running or job.state == "failed"):
        live.panel(job)
    live.notice(KIND)
    load = (
        f"model = tbn.load({str(weights)!r})" if run.config["p"] else f"model = latent_model(runs.complete({run.id!r}))"
    )
    first = "import tbn" if run.config["p"] else "from tbn import runs\nfrom tbn.restore import latent_model"
    st.code(f"{first}\n\n{load}", language="python", wrap_lines=True)
    st.code(f"tbn export {run.id} --to onnx\ntbn export {run.id} --to c", language="bash", wrap_lines=True)


def c_archive(report: ExportReport) -> bytes:
    """A zip with the generated source and the runtime that it calls."""
    found, runtime = io.BytesIO(), firmware_root() / RUNTIME
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(report.folder.glob("model.*")):
            archive.write(path, f"model/{path.name}")
        for path in sorted(path for path in runtime.rglob("*") if path.is_file()):
            archive.write(path, f"tbn_runtime/{path.relative_to(runtime)}")
    return found.getvalue()


def _exported(run: runs.Run) -> ExportReport | None:
    try:
        return exported(run)
    except TBNError:
        return None


def _download(label: str, path: Path, name: str, key: str) -> None:
    st.download_button(label, path.read_bytes, name, key=key, on_click="ignore", icon=":material/download:")


def _button(label: str, form: str, run: runs.Run) -> None:
    st.button(
        label,
        key=f"write_{form}",
        icon=":material/output:",
        on_click=_start,
        args=(run, form),
        help="Some seconds, in the background",
    )


def _start(run: runs.Run, form: str) -> None:
    argv = ["export", str(run.path), "--to", form, "--json"]
    live.trying(lambda: jobs.start(job_keeping.new_folder(KIND), argv, kind=KIND), KIND)
