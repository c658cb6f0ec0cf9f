"""What the Kernels page is made of: choices, tables, the words below its charts, and what stands in for a GPU that nobody has measured."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import data, words
from tbn import kernel_charts

ROW = (
    "engine",
    "p",
    "dtype",
    "median_us",
    "floor_us",
    "ratio",
    "ratio_fastest",
    "weight_bytes",
    "relative_error",
    "repeats",
)
MODEL_ROW = ("model", "engine", "median_ms", "inputs_per_second", "ratio", "limit", "relative_error", "repeats")
FORMATS = {
    "median_us": "%.1f",
    "floor_us": "%.1f",
    "weight_bytes": "localized",
    "relative_error": "%.1e",
    "median_ms": "%.2f",
    "inputs_per_second": "%.0f",
}
COLUMNS = {name: st.column_config.NumberColumn(format=text) for name, text in FORMATS.items()}
LAYER_TEXT = (
    "Shorter is faster; x is the multiple of {}'s speed in the same run. *compute-once* multiplies only the distinct rows and writes p "
    "scaled copies; *collapsed* never writes the copies between two layers; *memory-only* (timed at p = 4) unpacks the whole weight at every call, "
    "which saves memory, not time. Upright lines are the least time by the bytes and fp32 multiply-adds of an engine (of look-ups and whole "
    "numbers: by the bytes alone). Every answer was checked against float64 before it was timed."
)
NETWORK_TEXT = (
    "Longer is faster. Below each name is the fastest dense engine of the same run (of torch, torch.compile with frozen weights, ONNX "
    "Runtime, OpenVINO) and its time; the upright line is what the multiply-adds alone allow, untiled layers included. Kernels that look sums "
    "up instead of multiplying can pass it."
)

MEMORY_TEXT = (
    "peak_bytes: growth of a fresh process at batch 1. *paper* holds float32 tiles and writes one whole weight at a time; its authors report 2.8 "
    "times less GPU memory for their ViT. *packed* holds bits."
)
BLOCKS_TEXT = (
    "*blocks* of one program: distinct rows x inputs x warps x stages of its load pipeline x programs that share the columns. Registers are "
    "those of a thread; *wgmma_signs_in_registers* are the tensor core instructions whose signs never pass through shared memory."
)


def choose(label: str, options: list[Any], default: Any, key: str, show: Any = str) -> Any:
    """Buttons of which one is always pressed; the choice is in the address."""
    kept = default if default in options else options[0]
    return (
        st.segmented_control(
            label, options, default=kept, required=True, key=key, format_func=show, bind="query-params"
        )
        or kept
    )


def record_box(found: list[Any], key: str) -> dict[str, Any]:
    """Which machine; one thread first, as records come by date."""
    names = {
        f"{record['machine']}, {record['threads']} thread{'s' * (record['threads'] != 1)}": record
        for record in reversed(found)
    }
    ordered = sorted(names, key=lambda name: names[name]["threads"])
    return names[st.selectbox("Machine", ordered, key=key, bind="query-params", width=300)]


def where(record: dict[str, Any], more: str = "") -> None:
    """Machine, date and versions of what is drawn below."""
    st.markdown(f"**{words.escape(record['machine'])}**")
    st.caption(words.escape(kernel_charts.source(record) + more))


def missing(record: dict[str, Any], command: str) -> None:
    """What a record has not, and how it was made."""
    with st.expander(f"Not measured here: {len(record['not_measured'])}", icon=":material/timer_off:"):
        st.markdown("\n".join(f"- {words.escape(line)}" for line in record["not_measured"]))
    st.code(record.get("command", command), language="bash")


def compiled() -> None:
    """The compile report stands in for times that nobody has taken yet."""
    path = data.RESULTS / "sm90-compile.json"
    if not path.is_file():
        return
    report = json.loads(path.read_text())
    rows = pd.DataFrame(report["rows"])
    targets = " and ".join(sorted(rows.pop("target").unique()))
    rows["blocks"] = [" x ".join(map(str, blocks)) for blocks in rows["blocks"]]
    day = str(report["date"])[:10]
    st.markdown(
        f"**Compiled for {targets}** with Triton {report['triton']}, {day}: what the machine code is, not how fast."
    )
    st.dataframe(
        rows, hide_index=True, alt="Registers, shared memory, spills and tensor core instructions of each kernel"
    )
    st.caption(BLOCKS_TEXT)
