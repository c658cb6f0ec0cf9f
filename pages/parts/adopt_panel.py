"""Bringing a packed model: a job checks it and sends it through a test set; then it is a run like any other."""

import io
import json
from pathlib import Path

import streamlit as st

from pages.parts import data, live, names
from pages.parts.choose import shared_box
from tbn import adopt, job_keeping, jobs, models, tasks, uploads


def bring_model() -> None:
    """The uploader for packed models; a job checks one and sends it through the test set."""
    file = st.file_uploader(
        "A packed .safetensors file", type=["safetensors"], key="model_file", max_upload_size=adopt.MOST_MB,
        help="What tbn.save wrote. It becomes a run like any other, tested on the task that you name.",
    )  # fmt: skip
    known = list(tasks.names())
    yours = {upload.name: upload for upload in uploads.every()}
    options = [*(name for name in known if name not in names.FOLDERS), *yours]
    task = shared_box(
        "Tested on", options, "tested_on", options[0], words=lambda name: name if name in yours else names.title(name)
    )
    st.button("Check and test", type="primary", icon=":material/fact_check:", key="adopt", disabled=file is None,
              on_click=live.trying, args=(lambda: _adopt(file, str(task), yours.get(str(task))),))  # fmt: skip
    live.notice()
    job = next((job for job in live.every_job() if job.kind == "adopt"), None)
    if job is None:
        st.caption(
            "It holds the registry's name of its network, so it is rebuilt and checked: format, sha256, shapes. Networks of other "
            f"architectures are loaded in Python, `tbn.load(path, into=model)`. Known here: {', '.join(models.names())}."
        )
        return
    live.panel(job)
    if job.state == "done":
        run = Path(str(jobs.output(job.folder).get("run", ""))).name
        if run in set(data.finished()["run"]):
            st.page_link(
                "pages/explore/tradeoff.py",
                label="See it in the trade-off",
                icon=":material/scatter_plot:",
                query_params={"run": run},
            )


def _adopt(file: io.BytesIO, task: str, yours: uploads.Upload | None) -> None:
    name, folder = Path(str(getattr(file, "name", "model.safetensors"))).name, job_keeping.new_folder("adopt")
    path = folder / "uploaded.safetensors"
    path.write_bytes(file.getvalue())
    adopt.look(path)
    argv = [str(path), "--task", task if yours is None else yours.task, "--name", name]
    if yours is not None:
        argv += ["--data-root", str(yours.folder), "--task-args", json.dumps(dict(yours.task_args))]
    jobs.start(folder, argv, kind="adopt", module="tbn.adopt")
