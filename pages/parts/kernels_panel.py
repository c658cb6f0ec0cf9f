"""What the Kernels page is made of: records, tables, the words below its charts, and what stands in for a GPU that nobody has measured."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import address, bench_panel, data, figures, words
from tbn import kernel_charts, speedup_charts

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
BUSY = 1.5  # as in kernels.bench: processes that want to run
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
ALL_TEXT = (
    "Further right is faster. A line is a layer and batch: how many times as fast as the fastest dense engine there (torch, ONNX Runtime, OpenVINO) "
    "our fastest one is at each p; crosses are the fastest of others with fewer bits. Upright lines are what the roofline allows our largest p. "
    "Choose one below for every engine's time."
)
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


def records(*kinds: str) -> list[dict[str, Any]]:
    """The benchmarks that came along and those that were made here, of these kinds, the newest first."""
    found = [*bench_panel.records(), *data.kernel_records()]
    return sorted(
        (record for record in found if record.get("kind") in kinds),
        key=lambda record: str(record["date"]),
        reverse=True,
    )


def record_box(found: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """Which machine and run: those that came along first, one thread before two; then those of this computer. The address has the file's name."""
    known = {str(record["file"]): record for record in found}
    ordered = sorted(known, key=lambda name: ("job" in known[name], known[name]["threads"]))
    asked = st.query_params.get("job")
    default = asked if asked in known else ordered[0]
    return known[address.box("Machine", ordered, default, key, lambda name: record_words(known[name]), 380)]


def record_words(record: dict[str, Any]) -> str:
    """``AMD EPYC, 2 cores, 1 thread``, and of a run of this computer when."""
    name = f"{record['machine']}, {record['threads']} thread{'s' * (record['threads'] != 1)}"
    if "job" not in record:
        return name
    return f"{name}, measured here {str(record['date'])[:16].replace('T', ' ')}{', quick' * bool(record.get('quick'))}"


def where(record: dict[str, Any], more: str = "") -> None:
    """Machine, date and versions of what is drawn below, and whether the machine was busy or the run was cut short."""
    st.markdown(f"**{words.escape(record['machine'])}**")
    told = [kernel_charts.source(record) + more]
    if (record.get("load") or 0) > BUSY:
        told.append(f"the machine was busy then (load {record['load']}), so the ratios are off")
    if record.get("complete") is False:
        told.append("this run did not come to its end")
    st.caption(words.escape("; ".join(told)))


def fastest(rows: list[dict[Any, Any]], name: str) -> None:
    """The first figure as a table."""
    told = "The fastest engine of ours for each layer, batch and p"
    figures.table(speedup_charts.best_of_ours(rows), "speedups_table", name, alt=told)


def layer_rows(rows: pd.DataFrame, name: str) -> None:
    """All that was measured of one layer."""
    told = "The measured rows of this layer"
    figures.table(rows, "layer_table", name, alt=told, column_order=ROW, column_config=COLUMNS)


def network_rows(record: dict[str, Any], rows: pd.DataFrame, name: str) -> None:
    """All that was measured of whole networks, and what they weigh."""
    told = "The measured rows of whole networks"
    figures.table(rows, "networks_table", name, alt=told, column_order=MODEL_ROW, column_config=COLUMNS)
    sizes = pd.json_normalize([{"network": network, **facts} for network, facts in record["models"].items()])
    figures.table(sizes, "networks_sizes", "networks sizes", alt="Sizes and peak memory of the networks")
    st.caption(MEMORY_TEXT)


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
    told = "Registers, shared memory, spills and tensor core instructions of each kernel"
    figures.table(rows, "compiled", f"kernels compiled {day}", alt=told)
    st.caption(BLOCKS_TEXT)


def python_of(record: dict[str, Any] | None, device: str) -> str:
    """The page's first figure in Python; where there is no record, how to make one."""
    if record is None:
        kind = "cpu" if device == "cpu" else "gpu"
        return f'from kernels.bench import main\n\nmain(["{kind}"])  # as python -m kernels.bench {kind} does'
    path = (
        f'"{bench_panel.path_of(record)}"'
        if "job" in record
        else f'Path(kernels.__file__).parent / "results" / "{record["file"]}"'
    )
    return f"""import json
from pathlib import Path

import kernels
from tbn import speedup_charts

record = json.loads(Path({path}).read_text())
speedup_charts.speedups(record, record["rows"]).show()"""
