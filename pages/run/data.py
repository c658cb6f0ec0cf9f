"""Your data: bring a data set to train on, or a packed model to look at, test and put on a board."""

import pandas as pd
import streamlit as st

from pages.parts import adopt_panel, figures, names, upload_panel, words
from pages.parts.choose import shared_box
from tbn import runs, uploads

WHAT = ["Data sets", "Packed models"]
what = (
    st.segmented_control("What to bring", WHAT, default=WHAT[0], required=True, key="what", bind="query-params")
    or WHAT[0]
)
if what == WHAT[1]:
    words.copy_as(
        'from tbn.adopt import adopt\n\nrun = adopt("model.safetensors", task="fashion_mnist")\nprint(run.result["metrics"])',
        "python -m tbn.adopt model.safetensors --task fashion_mnist",
    )
    with st.container(border=True, key="bring", width=760):
        adopt_panel.bring_model()
    st.stop()

left, right = st.columns([2, 3], gap="large")
with left, st.container(border=True, key="bring"):
    upload_panel.bring_data()
kept = {upload.name: upload for upload in uploads.every()}
with right:
    if not kept:
        words.copy_as(
            'from pathlib import Path\nfrom tbn import uploads\n\nkept = uploads.keep("mine.npz", Path("mine.npz").read_bytes())\nprint(kept.source)'
        )
        st.info(
            f"No data set has been brought yet. Choose a file; it is kept in `{uploads.folder()}`.",
            icon=":material/upload_file:",
        )
        st.caption(f"Runs on it are kept in `{runs.runs_root()}` and shown like any other.")
        st.stop()
    chosen = kept[shared_box("Data set", list(kept), "dataset", next(iter(kept))) or next(iter(kept))]
    arguments = "".join(f", {name}={value!r}" for name, value in chosen.task_args.items())
    words.copy_as(
        f"from tbn import data_charts, tasks\n\ntask = tasks.create({chosen.task!r}, {str(chosen.folder)!r}{arguments})\n"
        "for figure in data_charts.overview(task):\n    figure.show()",
        words.train_command({
            "task": chosen.task, "model": names.models_for(chosen.task)[0], "p": 4, "data_root": str(chosen.folder), "task_args": chosen.task_args
        }),
    )  # fmt: skip
    upload_panel.draw_data(chosen)
    if len(kept) > 1:
        rows = pd.DataFrame(
            [
                (one.name, names.title(one.task), one.train, one.test, len(one.classes), one.bytes, one.date[:10])
                for one in kept.values()
            ],
            columns=["file", "task", "training", "test", "classes or channels", "bytes", "kept"],
        )
        figures.table(rows, "sets", "data-sets", alt="The data sets that were brought")
