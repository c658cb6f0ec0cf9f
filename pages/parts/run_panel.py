"""A chosen run: what it scores, what it weighs layer by layer, how it learned, and the command that makes it again."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts import figures, signals_panel, words
from pages.parts.choose import FIRMWARE_MODELS, describe
from tbn import charts, runs, training_charts
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


def draw(row: "pd.Series", same: pd.DataFrame) -> None:  # type: ignore[type-arg]
    """The panel of the run in ``row`` of the frame; ``same`` are the runs of its configuration: ``charts.configurations`` merges them."""
    run = runs.Run(Path(row["path"]))
    result, metric = run.result or {}, row["metric"]
    st.subheader(f"{describe(row)}, seed {row['seed']}", anchor=False)
    with st.container(horizontal=True):
        st.metric(f"Test {METRICS[metric].label}", charts.score_text(metric, row["score"]), width="content")
        st.metric(
            "Weights",
            charts.bytes_text(row["weight_bytes"]),
            width="content",
            help=f"{row['weight_bytes']:,} bytes: tiles and alphas",
        )
        st.metric("Bits a weight", f"{row['bits_per_weight']:.3g}", width="content")
    notes = [charts.smaller_text(float(row["compression"]))]
    for whole in charts.configurations(same).to_dict("records"):
        if whole["seeds"] > 1:
            mean, std = (charts.score_text(metric, whole[name]) for name in ("score", "score_std"))
            notes.append(f"{mean} ± {std} over {whole['seeds']} seeds")
    if row["macs_computed"] and row["macs_computed"] < row["macs_dense"]:
        notes.append(f"{row['macs_dense'] / row['macs_computed']:.2f}x fewer MACs ({int(row['macs_computed']):,})")
    st.caption(words.escape("; ".join(notes)))
    with st.container(horizontal=True):
        here = {"run": row["run"]}
        st.page_link("pages/explore/memory.py", label="Memory map", icon=":material/memory:", query_params=here)
        if row["model"] in FIRMWARE_MODELS:
            st.page_link(
                "pages/deploy/firmware.py", label="Make firmware", icon=":material/developer_board:", query_params=here
            )
    scores, sizes, curve, signals, made = st.tabs(["Scores", "Sizes", "Curve", "Signals", "Configuration"])
    with scores:
        draw_scores(result["metrics"], result.get("baselines") or {})
    with sizes:
        layers = pd.DataFrame(result["size"]["layers"])
        layers["shape"] = ["x".join(map(str, shape)) for shape in layers["shape"]]
        st.dataframe(
            layers,
            column_order=list(LAYER_COLUMNS),
            column_config=LAYER_COLUMNS,
            hide_index=True,
            alt="Size of each layer",
            placeholder="-",
        )
        st.caption(
            f"Biases, norms and the rest: {result['size']['other_bytes']:,} bytes more; in all {row['total_bytes']:,} bytes."
        )
    with curve:
        draw_curves(run.metrics(), metric, str(row["method"]))
    with signals:
        signals_panel.draw(run.signals(), {layer["name"]: layer["status"] for layer in result["size"]["layers"]})
    with made:
        st.code(words.train_command(run.config), language="bash", wrap_lines=True)
        st.caption(
            f"`{row['run']}`, data: {words.escape(str(row['data_source']))}; trained in {row['seconds']:,.0f} s on "
            f"{words.escape(str(row['machine']))}, {str(row['date'])[:10]}."
        )
        st.json({**run.config, **result.get("provenance", {})}, expanded=False)


def draw_scores(metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> None:
    """All that was measured on the test set, beside the task's trivial baselines."""
    measured = sorted((name for name in metrics if not name.startswith("train_")), key=lambda name: name not in METRICS)
    rows = {"this network": metrics, **baselines}
    table = {_label(name): [charts.score_text(name, scores.get(name)) for scores in rows.values()] for name in measured}
    st.dataframe({"Test set": list(rows), **table}, hide_index=True, alt="Scores of the network and of trivial methods")
    lower = [METRICS[name].label for name in measured if name in METRICS and not METRICS[name].higher_is_better]
    told = ["Whole test set, last epoch."] + [f"Lower is better for {' and '.join(lower)}."] * bool(lower)
    told.append(
        "Below the network: trivial methods on the same test set."
        if baselines
        else "Trivial baselines: not measured for this run."
    )
    told += [
        f"On the training set: {_label(name.removeprefix('train_'))} {charts.score_text(name.removeprefix('train_'), value)}."
        for name, value in metrics.items()
        if name.startswith("train_")
    ]
    st.caption(" ".join(told))


def _label(name: str) -> str:
    """A result's key in words: ``Mean IoU``, ``Loss``."""
    label = METRICS[name].label if name in METRICS else name.replace("_", " ")
    return label[:1].upper() + label[1:]


def draw_curves(metrics: pd.DataFrame, metric: str, method: str) -> None:
    """The task's metric and the loss over the epochs, or why there are none."""
    if metrics.empty:
        st.caption("No curve: no epoch has been written down.")
        return
    for what in (metric, "mae" if metric == "mse" else "loss"):  # of a forecast the loss is the metric itself
        figure = training_charts.curves(metrics, what, method)
        figures.draw(figure, f"curve_{what}", bar=False)
