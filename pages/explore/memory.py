"""Memory: where a run's bytes are, layer by layer, drawn to one scale; and the flash and RAM of its firmware."""

import json
from pathlib import Path

import streamlit as st

from pages.parts import data, words
from pages.parts.choose import describe, run_box
from tbn import charts, memory, runs
from tbn.boards import get_board
from tbn.export.report import read_report
from tbn.export.run import firmware_folder

frame = data.finished()
if frame.empty:
    words.nothing_yet(f"There is no finished run in `{runs.runs_root()}` yet, so there is no memory to map.")
    st.stop()
tiled = frame[frame["p"] == 4] if (frame["p"] == 4).any() else frame
name = run_box(frame, default=tiled["run"].iloc[0])
row = frame[frame["run"] == name].iloc[0]
run = runs.find(row["path"])
size = (run.result or {})["size"]

st.subheader(f"Weights of {describe(row)}", anchor=False)
with st.container(horizontal=True):
    st.metric("fp32", charts.bytes_text(size["fp32_bytes"]), width="content")
    st.metric("This run", charts.bytes_text(size["weight_bytes"]), width="content", help=f"{size['weight_bytes']:,} bytes of tiles and alphas")
    st.metric("Bits a weight", f"{size['bits_per_weight']:.3g}", width="content")
    st.metric("Biases, norms", charts.bytes_text(size["other_bytes"]), width="content", help="float32, counted apart from the weights")
st.caption(words.escape(charts.smaller_text(float(size["compression"]))))
blocks = charts.layer_blocks(size["layers"], str(row["method"]))
figure = charts.memory_map(blocks)
st.markdown("**Drawn to one scale**: a block is a layer, in address order")
st.plotly_chart(figure, alt=charts.alt_text(figure), config={"displaylogo": False}, key="one_scale")
small = blocks[blocks["storage"] != "fp32"]
if len(small) and row["method"] != "fp32":
    times = blocks[blocks["storage"] == "fp32"]["bytes"].sum() / small.groupby("storage")["bytes"].sum().max()
    st.markdown(f"**The same bytes, magnified {times:.0f} times**")
    figure = charts.memory_map(small)
    st.plotly_chart(figure, alt=charts.alt_text(figure), config={"displaylogo": False}, key="magnified")
with st.expander("The blocks as a table", icon=":material/table:"):
    st.dataframe(blocks, hide_index=True, alt="Bytes of each layer in each storage")

st.subheader("Flash and RAM of its firmware", anchor=False)
home = firmware_folder(run)
built = {path.parent.name: path.parent for path in sorted(home.glob("*/build.json"))}
export = read_report(home / "model")
if not built or export is None:
    words.nothing_yet("No firmware has been built for this run yet; the map of its flash and RAM is read from the linked image.",
                      "pages/deploy/firmware.py", "Build and flash it", ":material/developer_board:", {"run": name})  # fmt: skip
    st.stop()
board = st.segmented_control("Board", list(built), default=next(iter(built)), required=True, key="map_of", bind="query-params") or next(iter(built))
build = json.loads((built[board] / "build.json").read_text())
linked = memory.frame(memory.linked(Path(build["elf"]), export))
methods = {layer["name"]: layer["status"] for layer in size["layers"]}
blocks = charts.firmware_blocks(memory.frame(memory.predicted(export)), linked, methods)
figure = charts.memory_map(blocks, f"Bytes on {get_board(board).title}", f"Flash and RAM of the firmware for {board}")
st.plotly_chart(figure, alt=charts.alt_text(figure), config={"displaylogo": False}, key="firmware")
st.caption(
    f"*Predicted* is what the model itself needs: its arrays in flash ({build['weight_bytes']:,} bytes, {build['linked_weight_bytes']:,} found in the image) and "
    f"its arena in RAM ({build['arena_bytes']:,} bytes). *Linked* is the whole image with self-test and C library: flash {build['flash_bytes']:,} of "
    f"{build['flash_limit_bytes']:,} bytes, RAM {build['ram_bytes']:,} of {build['ram_limit_bytes']:,} bytes."
)
with st.expander("Every symbol of the image", icon=":material/table:"):
    st.dataframe(linked, hide_index=True, alt="Symbols of the image with address, bytes and owner")
