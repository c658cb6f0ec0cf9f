"""Microcontrollers: flash, RAM and instructions on each emulated board, and accuracy against bytes and work beside what others published."""

import pandas as pd
import streamlit as st

from pages.parts import address, bench_panel, figures, kernels_panel, words
from tbn import front_charts
from tbn.front import frame

COLUMNS = {
    "engine": "firmware", "flash_bytes": "flash (bytes)", "ram_bytes": "RAM (bytes)", "instructions": "instructions",
    "per_multiply": "a multiply", "fewer": "x fewer than the plain loop",
}  # fmt: skip
FORMATS = {
    "flash (bytes)": "localized",
    "RAM (bytes)": "localized",
    "instructions": "localized",
    "a multiply": "%.2f",
    "x fewer than the plain loop": "%.1f",
}
PYTHON = """from tbn import front, front_charts
from tbn.boards import bench

print(bench.markdown(bench.measure()))  # the table
front_charts.fronts(front.frame()).show()  # the figure"""
FRONT_TEXT = (
    "Integer networks on all 10,000 test images of MNIST, one seed each, choices made looking at them; bytes are those of tiles, multipliers and "
    "biases. BitNetMCU's numbers are its authors'; on the right they are cycles on a RISC-V with wait states, ours are instructions of one "
    "inference. Both networks of ours are binary (p = 1): at these sizes no tiling beat a narrower network."
)

st.subheader("One inference", anchor=False)
found = kernels_panel.records("mcu")
if not found:
    st.info("**Not measured here yet.** This counts on every emulated board:", icon=":material/timer_off:")
else:
    files = {str(record["file"]): record for record in reversed(found)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(files) > 1:
            names = sorted(files, key=lambda name: "job" in files[name])
            record = files[
                address.box(
                    "Measured", names, names[0], "counted", lambda name: files[name]["date"][:16].replace("T", " "), 220
                )
            ]
        else:
            record = found[0]
        known = {board["name"]: board for board in record["boards"]}
        board = known[
            address.buttons("Board", list(known), next(iter(known)), "board", lambda name: known[name]["title"])
        ]
        network = address.buttons("Network", list(record["networks"]), "mlp", "network")
    rows = pd.DataFrame(record["rows"])
    rows = rows[(rows["core"] == board["core"]) & (rows["model"] == network)].copy()
    plain = rows.loc[rows["engine"] == "plain loop", "instructions"].iloc[0]
    done = rows["computed"].where(
        rows["engine"].str.startswith("integer"), rows["multiplies"]
    )  # float firmware multiplies every row
    rows["per_multiply"], rows["fewer"] = rows["instructions"] / done, plain / rows["instructions"]
    figures.table(
        rows.rename(columns=COLUMNS)[list(COLUMNS.values())], "ways", f"{board['name']} {network}",
        alt="Flash, RAM and instructions of each way to compute the network",
        column_config={name: st.column_config.NumberColumn(format=text) for name, text in FORMATS.items()},
    )  # fmt: skip
    st.caption(
        "*integer* has p = 4. The plain loop extracts a bit and multiplies floats, as the paper's code does. Counted by executing the image: "
        "instructions, not microseconds; a multiply is one that is done (integers: of distinct rows). Flash and RAM without the serial protocol. "
        + words.escape(
            f"{record['date'][:10]}, " + ", ".join(f"{name} {number}" for name, number in record["versions"].items())
        )
    )
    with st.expander(f"Not measured here: {len(record['not_measured'])}", icon=":material/timer_off:"):
        st.markdown("\n".join(f"- {words.escape(line)}" for line in record["not_measured"]))
st.code("tbn bench mcu", language="bash")
bench_panel.draw(("mcu",))
words.copy_as(PYTHON, "tbn bench mcu")

st.subheader("MNIST: accuracy against bytes and work", anchor=False)
entries = frame()
if entries.empty:
    st.info("There are no entries of the front here. This trains them on the full MNIST:", icon=":material/timer_off:")
else:
    figure = front_charts.fronts(entries, {"nucleo_f411re": "Cortex-M4", "microbit": "Cortex-M0"})
    figures.draw(figure, "fronts", "mnist front")
    st.caption(FRONT_TEXT)
    with st.expander("As a table", icon=":material/table:"):
        figures.table(
            entries.drop(columns="instructions"),
            "front_table",
            "mnist front",
            alt="The entries of the front",
            export=entries,
        )
st.code("python -m tbn.front --data-root FOLDER", language="bash")
