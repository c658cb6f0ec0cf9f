"""Kernels: measured speed beside the usual layers, with the machine and the date; what was not measured says so."""

import pandas as pd
import streamlit as st

from pages.parts import data, words
from tbn import charts, kernel_charts

KINDS = {"cpu": "CPU", "cuda": "GPU (CUDA)"}
COLUMNS = {
    "engine": "Engine",
    "m": st.column_config.NumberColumn("Rows m", format="localized"),
    "n": st.column_config.NumberColumn("Row length n", format="localized"),
    "batch": "Batch",
    "p": "p",
    "median_us": st.column_config.NumberColumn("Median (us)", format="%.1f"),
    "baseline": "Baseline",
    "baseline_us": st.column_config.NumberColumn("Baseline (us)", format="%.1f"),
    "ratio": st.column_config.NumberColumn("Times as fast", format="%.2f"),
    "repeats": "Repeats",
}

records = data.kernel_records()
head = st.container(horizontal=True, vertical_alignment="bottom")
kind = (
    head.segmented_control(
        "Device", list(KINDS.values()), default=KINDS["cpu"], required=True, key="device", bind="query-params"
    )
    or KINDS["cpu"]
)
device = next(name for name, label in KINDS.items() if label == kind)
of_device = [record for record in records if record["device"] == device]
command = f"python -m kernels.bench --device {device}"
if not of_device:
    st.info(
        f"**{kind}: not measured here.** There is no record in `kernels/results`. On a machine that has one, this measures it:",
        icon=":material/timer_off:",
    )
    st.code(command, language="bash")
    st.stop()

machines = {f"{record['machine']}, {record['threads']} threads ({record['file']})": record for record in of_device}
with head:
    machine = st.selectbox("Machine", list(machines), key="machine", bind="query-params", width=420)
    rows = pd.DataFrame(machines[machine]["rows"])
    batches = sorted(rows["batch"].unique().tolist())
    default = 64 if 64 in batches else batches[0]
    batch = (
        st.segmented_control("Batch", batches, default=default, required=True, key="batch", bind="query-params")
        or default
    )
    types = sorted(rows["dtype"].unique()) if "dtype" in rows else []
    if len(types) > 1:
        dtype = (
            st.segmented_control("Type", types, default=types[0], required=True, key="dtype", bind="query-params")
            or types[0]
        )
        rows = rows[rows["dtype"] == dtype]
record = machines[machine]
shown = rows[rows["batch"] == batch]
st.markdown(f"**{words.escape(record['machine'])}**  \n{words.escape(kernel_charts.kernel_source(record))}")
figure = kernel_charts.kernel_ratios({**record, "rows": shown.to_dict("records")})
st.plotly_chart(figure, alt=charts.alt_text(figure), config={"displaylogo": False}, key="ratios")
st.caption(
    "Longer is faster; the dotted line is the dense layer in the same run. *compute-once* multiplies only the distinct rows and writes p scaled "
    "copies; *memory-only* unpacks the whole weight at every call. Every answer was checked against the reference before it was timed."
)
with st.expander(f"All {len(rows)} rows", icon=":material/table:"):
    st.dataframe(rows, column_order=list(COLUMNS), column_config=COLUMNS, hide_index=True, alt="The measured rows")
for missing in record.get("not_measured", []):
    st.caption(f"Not measured here: {words.escape(missing)}.")
st.code(record.get("command", command), language="bash")
