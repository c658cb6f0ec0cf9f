"""Memory: where a run's bytes are, layer by layer, drawn to one scale; and the flash and RAM of its firmware."""

import streamlit as st

from pages.parts import address, data, figures, firmware_panel, map_panel, words
from pages.parts.choose import FIRMWARE_MODELS, describe, run_box, usual_run
from tbn import memory_charts, runs
from tbn.boards import fitting, get_board
from tbn.boards.fitting import c_name

frame = data.finished()
if frame.empty:
    words.nothing_yet(f"There is no finished run in `{runs.runs_root()}` yet, so there is no memory to map.")
    st.stop()
name = run_box(frame, default=usual_run(frame))
row = frame[frame["run"] == name].iloc[0]
run = runs.find(row["path"])
size = (run.result or {})["size"]

st.subheader(f"Weights of {describe(row)}", anchor=False)
figures.sizes(size, "This run")
blocks = memory_charts.layer_blocks(size["layers"], str(row["method"]))
figure = memory_charts.memory_map(blocks)
st.markdown("**Drawn to one scale**: a block is a layer, in address order. Grey is fp32, orange binary, blue tiled.")
figures.draw(figure, "one_scale", f"memory {name}")
small = blocks[blocks["storage"] != "fp32"]
if len(small) and row["method"] != "fp32":
    times = blocks[blocks["storage"] == "fp32"]["bytes"].sum() / small.groupby("storage")["bytes"].sum().max()
    st.markdown(f"**The same bytes, magnified {times:.0f} times**")
    figure = memory_charts.memory_map(small)
    figures.draw(figure, "magnified", f"memory {name} magnified")
with st.expander("The blocks as a table", icon=":material/table:", key="blocks"):
    figures.table(blocks, "blocks_table", f"memory {name}", alt="Bytes of each layer in each storage")
words.copy_as(map_panel.python_of(run), f"tbn fit {run.id}")

st.subheader("Flash and RAM of its firmware", anchor=False)
if row["model"] not in FIRMWARE_MODELS:
    st.caption(
        f"No firmware: it can be made of {', '.join(FIRMWARE_MODELS)} runs only, and this one is a {words.escape(row['model'])}."
    )
    st.stop()
precision = firmware_panel.precision_box()
export = firmware_panel.export_of(run, precision)
if export is not None:
    built = map_panel.built_for(run)
    names = map_panel.mapped_boards(built)
    board = address.buttons("Board", names, names[0], "map_of", lambda name: get_board(name).title)
    methods = {c_name(layer["name"]): layer["status"] for layer in size["layers"]}
    methods |= {layer["name"]: layer["status"] for layer in size["layers"]}
    map_panel.draw_map(export, get_board(board), built.get(board), methods)
    if board not in built:
        query = {"run": str(name), "board": board}
        st.page_link(
            "pages/deploy/firmware.py",
            label="Build and flash it",
            icon=":material/developer_board:",
            query_params=query,
        )
    with st.expander("Which boards does it fit?", icon=":material/straighten:", key="fits"):
        firmware_panel.draw_fits(fitting.fits(run, export), export)
