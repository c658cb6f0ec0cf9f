"""Kernels: measured speed beside what people would use instead, with machine, date and unit; what was not measured says so."""

from functools import partial

import pandas as pd
import streamlit as st

from pages.parts import address, bench_panel, figures, later, words
from pages.parts import kernels_panel as panel
from tbn import kernel_charts, speedup_charts
from tbn.room import with_room

DEVICES = {"cpu": "CPU", "cuda": "GPU (CUDA)"}
OPS = {"linear": "linear", "conv": "convolution", "mlp": "ViT-B perceptron"}
records = panel.records("kernels", "models")
with st.container(horizontal=True, vertical_alignment="bottom"):
    device = address.buttons("Device", list(DEVICES), "cpu", "device", DEVICES.get)
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
    rows = pd.DataFrame(record["rows"])
    if rows["timing"].nunique() > 1:
        timing = address.buttons("Timing", list(rows["timing"].unique()), None, "timing")
        rows = rows[rows["timing"] == timing]
    panel.where(record, f"; {rows['timing'].iloc[0]}")
    cases = rows.to_dict("records")
    figures.draw(with_room(speedup_charts.speedups(record, cases)), "speedups", f"kernels {device}")
    st.caption(panel.ALL_TEXT)
    table = partial(panel.fastest, cases, f"kernels {device} fastest")
    later.expander("As a table", table, icon=":material/table:", key="speedups_rows")

    st.subheader("One layer", anchor=False)
    rows["layer"] = [f"{OPS[op]} {shape}" for op, shape in zip(rows["op"], rows["shape"], strict=True)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layers = list(rows["layer"].unique())
        layer = address.box("Layer", layers, layers[0], "layer", width=300)
        rows = rows[rows["layer"] == layer]
        batches = sorted(rows["batch"].unique().tolist())
        batch = address.buttons("Batch" if "perceptron" not in layer else "Tokens", batches, 64, "batch")
        rows = rows[rows["batch"] == batch]
        p = address.buttons("p", sorted(int(p) for p in rows["p"].dropna().unique()), 4, "p")
        shown = rows[rows["p"].isna() | (rows["p"] == p) | rows["engine"].str.startswith("memory-only")]
    figure = with_room(kernel_charts.engine_times(record, shown.to_dict("records")))
    figures.draw(figure, "engines", f"{layer} batch {batch} p {p}")
    st.caption(panel.LAYER_TEXT.format(shown["baseline"].iloc[0]))
    table = partial(panel.layer_rows, rows, f"{layer} batch {batch}")
    later.expander(f"All {len(rows)} rows", table, icon=":material/table:", key="layer_rows")
    panel.missing(record, command)

networks = [record for record in records if record["device"] == device and record["kind"] == "models"]
if networks:
    st.subheader("Whole networks", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        whole = panel.record_box(networks, "networks")
        frame = pd.DataFrame(whole["rows"])
        batch = address.buttons("Batch", sorted(frame["batch"].unique().tolist()), 1, "inputs")
        p = address.buttons("p", sorted(frame["p"].unique().tolist()), 4, "factor")
    shown = frame[(frame["batch"] == batch) & (frame["p"] == p)]
    panel.where(whole)
    figure = with_room(kernel_charts.model_ratios(whole, shown.to_dict("records")))
    figures.draw(figure, "networks_ratios", f"networks batch {batch} p {p}")
    st.caption(panel.NETWORK_TEXT)
    if whole.get("where_time_goes"):
        figures.draw(with_room(kernel_charts.where_time_goes(whole)), "where", "where time goes")
    table = partial(panel.network_rows, whole, shown, f"networks batch {batch} p {p}")
    later.expander("Rows, bytes and peak memory", table, icon=":material/table:", key="networks_rows")
    panel.missing(whole, "python -m tbn.speed")
bench_panel.draw(("cpu", "networks") if device == "cpu" else ("gpu",))
words.copy_as(
    panel.python_of(record if of_device else None, device), record.get("command", command) if of_device else command
)
