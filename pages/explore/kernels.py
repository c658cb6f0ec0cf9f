"""Kernels: measured speed beside what people would use instead, with machine, date and unit; what was not measured says so."""

import pandas as pd
import streamlit as st

from pages.parts import data, figures
from pages.parts import kernels_panel as panel
from tbn import kernel_charts

DEVICES = {"cpu": "CPU", "cuda": "GPU (CUDA)"}
OPS = {"linear": "linear", "conv": "convolution", "mlp": "ViT-B perceptron"}
records = [record for record in data.kernel_records() if record.get("kind") in ("kernels", "models")]
with st.container(horizontal=True, vertical_alignment="bottom"):
    device = panel.choose("Device", list(DEVICES), "cpu", "device", DEVICES.get)
    of_device = [record for record in records if record["device"] == device and record["kind"] == "kernels"]
    if of_device:
        record = panel.record_box(of_device, "machine")
command = f"python -m kernels.bench {'cpu' if device == 'cpu' else 'gpu'}"
if not of_device:
    st.info(
        f"**{DEVICES[device]}: not measured yet.** There is no record in `kernels/results`. This measures a machine that has one:",
        icon=":material/timer_off:",
    )
    st.code(command, language="bash")
    if device == "cuda":
        panel.compiled()
else:
    st.subheader("One layer", anchor=False)
    rows = pd.DataFrame(record["rows"])
    rows["layer"] = [f"{OPS[op]} {shape}" for op, shape in zip(rows["op"], rows["shape"], strict=True)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer = st.selectbox("Layer", list(rows["layer"].unique()), key="layer", bind="query-params", width=300)
        rows = rows[rows["layer"] == layer]
        batch = panel.choose(
            "Batch" if "perceptron" not in layer else "Tokens", sorted(rows["batch"].unique().tolist()), 64, "batch"
        )
        rows = rows[rows["batch"] == batch]
        if rows["timing"].nunique() > 1:
            timing = panel.choose("Timing", list(rows["timing"].unique()), None, "timing")
            rows = rows[rows["timing"] == timing]
        p = panel.choose("p", sorted(int(p) for p in rows["p"].dropna().unique()), 4, "p")
        shown = rows[rows["p"].isna() | (rows["p"] == p) | rows["engine"].str.startswith("memory-only")]
    panel.where(record, f"; {shown['timing'].iloc[0]}")
    figures.draw(kernel_charts.engine_times(record, shown.to_dict("records")), "engines")
    st.caption(panel.LAYER_TEXT.format(shown["baseline"].iloc[0]))
    with st.expander(f"All {len(rows)} rows", icon=":material/table:"):
        st.dataframe(
            rows,
            column_order=panel.ROW,
            column_config=panel.COLUMNS,
            hide_index=True,
            alt="The measured rows of this layer",
        )
    panel.missing(record, command)

networks = [record for record in records if record["device"] == device and record["kind"] == "models"]
if networks:
    st.subheader("Whole networks", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        record = panel.record_box(networks, "networks")
        frame = pd.DataFrame(record["rows"])
        batch = panel.choose("Batch", sorted(frame["batch"].unique().tolist()), 1, "inputs")
        p = panel.choose("p", sorted(frame["p"].unique().tolist()), 4, "factor")
    shown = frame[(frame["batch"] == batch) & (frame["p"] == p)]
    panel.where(record)
    figures.draw(kernel_charts.model_ratios(record, shown.to_dict("records")), "networks_ratios")
    st.caption(panel.NETWORK_TEXT)
    if record.get("where_time_goes"):
        figures.draw(kernel_charts.where_time_goes(record), "where")
    with st.expander("Rows, bytes and peak memory", icon=":material/table:"):
        st.dataframe(
            shown,
            column_order=panel.MODEL_ROW,
            column_config=panel.COLUMNS,
            hide_index=True,
            alt="The measured rows of whole networks",
        )
        st.dataframe(
            pd.json_normalize([{"network": name, **facts} for name, facts in record["models"].items()]),
            hide_index=True,
            alt="Sizes",
        )
        st.caption(panel.MEMORY_TEXT)
    panel.missing(record, "python -m tbn.speed")
