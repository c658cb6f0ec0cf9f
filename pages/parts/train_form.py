"""The form of the Train page: what to train, and how. Every choice is in the address."""

import os
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts import names, train_more, words
from pages.parts.choose import shared_box
from tbn import tasks, uploads
from tbn.charts import method_of
from tbn.errors import TBNError
from tbn.recipes import min_layer_size

LEAST_OF_YOURS = 1_000
ADVANCED = (
    "lr",
    "batch_size",
    "label_smoothing",
    "ema",
    "own",
    "order",
    "estimator",
    "progressive",
    "norm_batches",
    "standardise",
    "model_args",
    "task_args",
    "warm_start",
    "teacher",
)


def choose() -> dict[str, Any]:
    """Draw the form; returns the configuration as ``words.train_arguments`` takes it.

    Raises:
        TBNError: an argument of model or task is not NAME=VALUE.
    """
    known = tasks.names()
    task = shared_box("Task", known, "task", known[0], words=names.title) or known[0]
    upload = _upload(task) if task in names.YOURS else None
    model = st.selectbox("Model", names.models_for(task), key="model", bind="query-params")
    config: dict[str, Any] = {"task": task, "model": model}
    if upload is not None:
        config["data_root"] = str(upload.folder)
    elif task in names.FOLDERS:
        config["data_root"] = _folder(task)
    recipe = train_more.recipe_box(tasks.kind_of(task))
    config |= _tiling(LEAST_OF_YOURS if upload is not None else min_layer_size(task, recipe))
    if (
        upload is not None and config["min_layer_size"] is None
    ):  # networks for small data are small, and 64,000 would leave them binary
        config["min_layer_size"] = LEAST_OF_YOURS
    with st.expander(
        "More choices", icon=":material/tune:", expanded=any(name in st.query_params for name in ADVANCED)
    ):
        config |= (
            train_more.instead(recipe)
            | train_more.method(config["p"])
            | train_more.other_runs(task, model, config["p"])
            | _arguments()
        )
    if upload is not None:
        config["task_args"] = {**upload.task_args, **config["task_args"]}
    return config


def _upload(task: str) -> uploads.Upload | None:
    """The file that the training reads, of those that were brought; None where there is none, or another is named below."""
    kept = {upload.name: upload for upload in uploads.every() if upload.task == task}
    if kept:
        chosen = st.selectbox("File", list(kept), key="file", bind="query-params") or next(iter(kept))
        st.caption(words.escape(kept[chosen].source + "."))
        return kept[chosen]
    st.page_link("pages/run/data.py", label="Bring your file", icon=":material/upload_file:")
    return None


def _folder(task: str) -> str | None:
    """Where the files of a task are of which nothing comes with the package."""
    folder = st.text_input(
        "Data folder", os.environ.get("TBN_DATA", ""), key="data_root", bind="query-params", placeholder="on the machine that runs this server",
        help="At first the environment's TBN_DATA",
    ).strip()  # fmt: skip
    st.caption(words.escape(names.wanted(task).strip()))
    if not folder:
        return None
    path = Path(folder).expanduser()
    if not path.exists():
        st.warning(f"There is no folder `{path}` on this machine.", icon=":material/folder_off:")
    return str(path)


def _tiling(least: int) -> dict[str, Any]:
    """How the weights are stored, how long and from which seed; ``least`` is the task's lambda."""
    first, second = st.columns(2)
    p = first.number_input(
        "Tiling factor p", 0, 32, 4, key="p", bind="query-params", help="0 = full precision (fp32), 1 = binary, 2 to 32 = tiled"
    )  # fmt: skip
    epochs = second.number_input("Epochs", 1, 1000, 10, key="epochs", bind="query-params")
    st.caption({"fp32": "p = 0: full precision, 32 bits a weight", "binary": "p = 1: binary, one bit a weight"}.get(
        method_of(p), f"p = {p}: layers are {p} copies of one binary tile, 1/{p} of a bit a weight"))  # fmt: skip
    first, second = st.columns(2)
    smallest = first.number_input(
        "Minimum layer size (lambda)", 1, None, None, step=1000, key="lambda", bind="query-params", disabled=p == 0, placeholder=f"{least:,}",
        help=f"Smaller layers are binary, not tiled. Empty: {least:,} weights for this task and recipe.",
    )  # fmt: skip
    seed = second.number_input(
        "Seed", 0, 2**31, 0, key="seed", bind="query-params", help="Equal seeds repeat bit for bit on a CPU."
    )
    alpha = st.segmented_control(
        "Alpha per", ["tile", "layer"], default="tile", required=True, key="alpha", bind="query-params", disabled=p == 0,
        help="One scale for each copy of the tile, or one for the whole layer",
    )  # fmt: skip
    source = st.segmented_control(
        "Alpha source", ["separate", "latent", "learned"], default="separate", required=True, key="alpha_source", bind="query-params",
        disabled=p == 0, help="Scales from a tensor of their own (W+A), from the latent weights (W), or learned as numbers",
    )  # fmt: skip
    return {"p": int(p), "min_layer_size": smallest, "alpha": alpha or "tile", "alpha_source": source or "separate", "epochs": int(epochs),
            "seed": int(seed)}  # fmt: skip


def _arguments() -> dict[str, dict[str, str]]:
    """Arguments of model and task, NAME=VALUE a line."""
    found = {}
    for column, key, label, example in zip(
        st.columns(2), ("model_args", "task_args"), ("Model", "Task"), ("width=16", "horizon=24"), strict=True
    ):
        text = column.text_area(
            f"{label} arguments", key=key, bind="query-params", height=80, placeholder=example, help="NAME=VALUE, one a line"
        )  # fmt: skip
        pairs = [line.partition("=") for line in map(str.strip, text.splitlines()) if line]
        for name, equals, value in pairs:
            if not equals or not name.strip().isidentifier() or not value.strip():
                raise TBNError(
                    f"the {label.lower()} argument {name + equals + value!r} is not NAME=VALUE",
                    f"write it as e.g. {example}",
                )
        found[key] = {name.strip(): value.strip() for name, _, value in pairs}
    return found
