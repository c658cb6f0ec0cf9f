"""Memory: where a run's bytes are, layer by layer, drawn to one scale; and the flash and RAM of its firmware."""

import json
from pathlib import Path

import streamlit as st

from pages.parts import data, words
from pages.parts.choose import FIRMWARE_MODELS, describe, run_box, usual_run
from tbn import charts, memory_charts, runs
from tbn.boards import get_board
from tbn.export.report import read_report
from tbn.export.run import firmware_folder

frame = data.finished()
if frame.empty:
    words.nothing_yet(f"There is no finished run in `{runs.runs_root()}` yet, so there is no memory to map.")
    st.stop()
name = run_box(frame, default=usual_run(frame))
row = frame[frame["run"] == name].iloc[0]
run = runs.find(row["path"])
size = (run.result or {})["size"]

st.subheader(f"Weights of {describe(row)}", anchor=False)
with st.container(horizontal=True):
    st.metric("fp32", charts.bytes_text(size["fp32_bytes"]), width="content")
    st.metric(
        "This run",
        charts.bytes_text(size["weight_bytes"]),
        width="content",
        help=f"{size['weight_bytes']:,} bytes of tiles and alphas",
    )
    st.metric("Bits a weight", f"{size['bits_per_weight']:.3g}", width="content")
    st.metric(
        "Biases, norms",
        charts.bytes_text(size["other_bytes"]),
        width="content",
        help="float32, counted apart from the weights",
    )
st.caption(words.escape(charts.smaller_text(float(size["compression"]))))
blocks = memory_charts.layer_blocks(size["layers"], str(row["method"]))
figure = memory_charts.memory_map(blocks)
st.markdown("**Drawn to one scale**: a block is a layer, in address order. Grey is fp32, orange binary, blue tiled.")
st.plotly_chart(figure, alt=charts.alt_text(figure), config={"displaylogo": False}, key="one_scale")
small = blocks[blocks["storage"] != "fp32"]
if len(small) and row["method"] != "fp32":
    times = blocks[blocks["storage"] == "fp32"]["bytes"].sum() / small.groupby("storage")["bytes"].sum().max()
    st.markdown(f"**The same bytes, magnified {times:.0f} times**")
    figure = memory_charts.memory_map(small)
    st.plotly_chart(figure, alt=charts.alt_text(figure), config={"displaylogo": False}, key="magnified")
with st.expander("The blocks as a table", icon=":material/table:"):
    st.dataframe(blocks, hide_index=True, alt="Bytes of each layer in each storage")

st.subheader("Flash and RAM of its firmware", anchor=False)
if row["model"] not in FIRMWARE_MODELS:
    st.caption(
        f"No firmware: it can be made of {', '.join(FIRMWARE_MODELS)} runs only, and this one is a {words.escape(row['model'])}."
    )
    st.stop()
home = firmware_folder(run)
records = {path.parent.name: json.loads(path.read_text()) for path in sorted(home.glob("*/build.json"))}
built = {board: record for board, record in records.items() if Path(record["elf"]).is_file()}
export = read_report(home / "model")
if not built or export is None:
    missing = "No firmware has been built for this run yet; the map of its flash and RAM is read from the linked image."
    go = {"page": "pages/deploy/firmware.py", "label": "Build and flash it", "icon": ":material/developer_board:"}
    words.nothing_yet(missing, **go, query={"run": name})
    st.stop()
first = next(iter(built))
board = st.segmented_control("Board", list(built), default=first, required=True, key="map_of", bind="query-params")
build = built[board or first]
from tbn import memory  # noqa: E402 - needs the firmware packages, which the rest of the page does not

linked = memory.frame(memory.linked(Path(build["elf"]), export))
methods = {layer["name"]: layer["status"] for layer in size["layers"]}
blocks = memory_charts.firmware_blocks(memory.frame(memory.predicted(export)), linked, methods)
title = get_board(build["board"]).title
figure = memory_charts.memory_map(blocks, f"Bytes on {title}", f"Flash and RAM of the firmware for {title}")
st.plotly_chart(figure, alt=charts.alt_text(figure), config={"displaylogo": False}, key="firmware")
st.caption(
    f"Green is what is no weight. *Predicted* is what the model itself needs: its arrays in flash "
    f"({build['weight_bytes']:,} bytes, {build['linked_weight_bytes']:,} found in the image) and its arena in RAM "
    f"({build['arena_bytes']:,} bytes). *Linked* is the whole image with self-test and C library: "
    f"flash {build['flash_bytes']:,} of {build['flash_limit_bytes']:,} bytes, "
    f"RAM {build['ram_bytes']:,} of {build['ram_limit_bytes']:,} bytes."
)
with st.expander("Every symbol of the image", icon=":material/table:"):
    st.dataframe(linked, hide_index=True, alt="Symbols of the image with address, bytes and owner")
