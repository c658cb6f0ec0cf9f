"""A chosen run: what it scores, what it weighs layer by layer, how it learned, and the command that makes it again."""

from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts import words
from pages.parts.choose import describe
from tbn import charts, runs

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
    st.subheader(f"{describe(row)}, seed {row['seed']}", anchor=False)
    with st.container(horizontal=True):
        st.metric("Test accuracy", f"{row['accuracy']:.2%}", width="content")
        st.metric(
            "Weights",
            charts.bytes_text(row["weight_bytes"]),
            width="content",
            help=f"{row['weight_bytes']:,} bytes: tiles and alphas",
        )
        st.metric("Bits a weight", f"{row['bits_per_weight']:.3g}", width="content")
    notes = [charts.smaller_text(float(row["compression"]))]
    whole = charts.configurations(same).iloc[0]
    if whole["seeds"] > 1:
        notes.append(f"{whole['accuracy']:.2%} ± {whole['accuracy_std']:.2%} over {whole['seeds']} seeds")
    if row["macs_computed"] and row["macs_computed"] < row["macs_dense"]:
        notes.append(f"{row['macs_dense'] / row['macs_computed']:.2f}x fewer MACs ({int(row['macs_computed']):,})")
    st.caption(words.escape("; ".join(notes)))
    with st.container(horizontal=True):
        here = {"run": row["run"]}
        st.page_link("pages/explore/memory.py", label="Memory map", icon=":material/memory:", query_params=here)
        st.page_link(
            "pages/deploy/firmware.py", label="Make firmware", icon=":material/developer_board:", query_params=here
        )
    sizes, curve, made = st.tabs(["Sizes", "Curve", "Configuration"])
    with sizes:
        layers = pd.DataFrame((run.result or {})["size"]["layers"])
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
            f"Biases, norms and the rest: {(run.result or {})['size']['other_bytes']:,} bytes more; in all {row['total_bytes']:,} bytes."
        )
    with curve:
        draw_curves(run.metrics(), str(row["method"]))
    with made:
        st.code(words.train_command(run.config), language="bash", wrap_lines=True)
        st.caption(
            f"`{row['run']}`, data: {words.escape(str(row['data_source']))}; trained in {row['seconds']:,.0f} s on "
            f"{words.escape(str(row['machine']))}, {str(row['date'])[:10]}."
        )
        st.json({**run.config, **(run.result or {}).get("provenance", {})}, expanded=False)


def draw_curves(metrics: pd.DataFrame, method: str) -> None:
    """Accuracy and loss over the epochs, or why there are none."""
    if metrics.empty:
        st.caption("No curve: no epoch has been written down.")
        return
    for what in ("accuracy", "loss"):
        figure = charts.curves(metrics, what, method)
        st.plotly_chart(figure, alt=charts.alt_text(figure), config={"displayModeBar": False}, key=f"curve_{what}")
