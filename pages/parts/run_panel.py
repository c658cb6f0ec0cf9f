"""A chosen run: what it scores and answers, what it weighs layer by layer, how it learned, what can be taken away of it, and the command that
makes it again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import figures, samples_panel, scores_panel, signals_panel, take_away, words
from pages.parts.choose import FIRMWARE_MODELS, describe
from tbn import charts, measured, runs
from tbn.marks import Network
from tbn.scores import METRICS

LAYER_COLUMNS = {
    "name": "Layer",
    "shape": "Shape",
    "status": "Stored as",
    "p": "p",
    "q": st.column_config.NumberColumn("Tile length q", format="localized"),
    "bytes": st.column_config.NumberColumn("Bytes", format="localized"),
    "bits_per_weight": st.column_config.NumberColumn("Bits a weight", format="%.3f"),
    "macs_dense": st.column_config.NumberColumn("MACs, dense", format="localized"),
    "macs_computed": st.column_config.NumberColumn("MACs, computed", format="localized"),
}
LINKS = {
    "pages/explore/memory.py": ("Memory map", ":material/memory:", "run"),
    "pages/explore/layers.py": ("Layers", ":material/layers:", "run"),
    "pages/explore/compare.py": ("Compare", ":material/compare:", "runs"),
    "pages/deploy/firmware.py": ("Make firmware", ":material/developer_board:", "run"),
}
Row = "pd.Series[Any]"


def draw(row: Row, same: pd.DataFrame) -> None:  # type: ignore[valid-type]
    """The panel of the run in ``row`` of the frame; ``same`` are the runs of its configuration: ``charts.configurations`` merges them.

    Only the part that is open is made; it is in the address (``?part=``).
    """
    run = runs.Run(Path(row["path"]))
    _head(row, same)
    parts: dict[str, Callable[[], None]] = {
        "Scores": lambda: _scores(run, row),
        "Answers": lambda: samples_panel.draw([row["path"]], [Network(describe(row), str(row["method"]))]),
        "Layers": lambda: _layers(run, row),
        "Signals": lambda: signals_panel.draw(
            run.signals(), {layer["name"]: layer["status"] for layer in _sizes(run)["layers"]}
        ),
        "Take away": lambda: take_away.draw(run, str(row["model"])),
        "Setup": lambda: _setup(run, row),
    }
    part = st.segmented_control(
        "Show",
        list(parts),
        default="Scores",
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
    )
    with st.container(key="part_body"):
        parts[part if part in parts else "Scores"]()


def _head(row: Row, same: pd.DataFrame) -> None:  # type: ignore[valid-type]
    """Its name, its numbers, and the ways to other pages."""
    metric = row["metric"]
    st.subheader(f"{describe(row)}, seed {row['seed']}", anchor=False)
    with st.container(horizontal=True):
        st.metric(f"Test {METRICS[metric].label}", charts.score_text(metric, row["score"]), width="content")
        stored = f"{row['weight_bytes']:,} bytes: tiles and alphas"
        st.metric("Weights", charts.bytes_text(row["weight_bytes"]), width="content", help=stored)
        st.metric("Bits a weight", f"{row['bits_per_weight']:.3g}", width="content")
    notes = [charts.smaller_text(float(row["compression"]))]
    for whole in charts.configurations(same).to_dict("records"):
        if whole["seeds"] > 1:
            mean, std = (charts.score_text(metric, whole[name]) for name in ("score", "score_std"))
            notes.append(f"{mean} ± {std} over {whole['seeds']} seeds")
    if row["macs_computed"] and row["macs_computed"] < row["macs_dense"]:
        notes.append(f"{row['macs_dense'] / row['macs_computed']:.2f}x fewer MACs ({int(row['macs_computed']):,})")
    if (timed := measured.latency(row["path"], row["source"])) is not None:
        notes.append(f"{timed['median_ms']:.3g} ms an input on one thread of this machine")
    notes += [str(row["setup"])] if row["setup"] else []
    st.caption(words.escape("; ".join(notes)))
    with st.container(horizontal=True):
        for page, (label, icon, name) in LINKS.items():
            if page != "pages/deploy/firmware.py" or row["model"] in FIRMWARE_MODELS:
                st.page_link(page, label=label, icon=icon, query_params={name: row["run"]})


def _sizes(run: runs.Run) -> dict[str, Any]:
    return dict((run.result or {})["size"])


def _scores(run: runs.Run, row: Row) -> None:  # type: ignore[valid-type]
    result = run.result or {}
    scores_panel.draw_scores(result["metrics"], result.get("baselines") or {})
    scores_panel.draw_curves(run.metrics(), row["metric"], str(row["method"]))


def _layers(run: runs.Run, row: Row) -> None:  # type: ignore[valid-type]
    size = _sizes(run)
    layers = pd.DataFrame(size["layers"])
    layers["shape"] = ["x".join(map(str, shape)) for shape in layers["shape"]]
    order = [name for name in LAYER_COLUMNS if name in layers]
    figures.table(
        layers[order], "layers_table", f"layers-{row['run']}", alt="Size of each layer", column_order=order, column_config=LAYER_COLUMNS,
        placeholder="-",
    )  # fmt: skip
    st.caption(f"Biases, norms and the rest: {size['other_bytes']:,} bytes more; in all {row['total_bytes']:,} bytes.")


def _setup(run: runs.Run, row: Row) -> None:  # type: ignore[valid-type]
    if (file := run.config.get("uploaded")) is not None:
        st.markdown(f"Not trained here: it was uploaded as `{file}` and tested on this task's data.")
    else:
        st.code(words.train_command(run.config), language="bash", wrap_lines=True)
    spent = "" if file is not None else f"trained in {row['seconds']:,.0f} s on "
    st.caption(
        f"`{row['run']}`, data: {words.escape(str(row['data_source']))}; {spent}{words.escape(str(row['machine']))}, {str(row['date'])[:10]}."
    )
    st.json({**run.config, **(run.result or {}).get("provenance", {})}, expanded=False)
