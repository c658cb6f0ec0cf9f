"""Microcontrollers: flash, RAM and instructions on each emulated board, and accuracy against bytes and work beside what others published."""

import pandas as pd
import streamlit as st

from pages.parts import data, figures, words
from pages.parts.kernels_panel import choose
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
FRONT_TEXT = (
    "Integer networks on all 10,000 test images of MNIST, one seed each, choices made looking at them; bytes are those of tiles, multipliers and "
    "biases. BitNetMCU's numbers are its authors'; on the right they are cycles on a RISC-V with wait states, ours are instructions of one "
    "inference. Both networks of ours are binary (p = 1): at these sizes no tiling beat a narrower network."
)

st.subheader("One inference", anchor=False)
found = [record for record in data.kernel_records() if record.get("kind") == "mcu"]
if not found:
    st.info("**Not measured here yet.** This counts on every emulated board:", icon=":material/timer_off:")
else:
    record = found[0]
    titles = {board["title"]: board for board in record["boards"]}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        board = titles[choose("Board", list(titles), next(iter(titles)), "board")]
        network = choose("Network", list(record["networks"]), "mlp", "network")
    rows = pd.DataFrame(record["rows"])
    rows = rows[(rows["core"] == board["core"]) & (rows["model"] == network)].copy()
    plain = rows.loc[rows["engine"] == "plain loop", "instructions"].iloc[0]
    done = rows["computed"].where(
        rows["engine"].str.startswith("integer"), rows["multiplies"]
    )  # float firmware multiplies every row
    rows["per_multiply"], rows["fewer"] = rows["instructions"] / done, plain / rows["instructions"]
    st.dataframe(
        rows.rename(columns=COLUMNS)[list(COLUMNS.values())], hide_index=True, alt="Flash, RAM and instructions of each way to compute the network",
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

st.subheader("MNIST: accuracy against bytes and work", anchor=False)
entries = frame()
if entries.empty:
    st.info("There are no entries of the front here. This trains them on the full MNIST:", icon=":material/timer_off:")
else:
    figure = front_charts.fronts(entries, {"nucleo_f411re": "Cortex-M4", "microbit": "Cortex-M0"})
    figures.draw(figure, "fronts")
    st.caption(FRONT_TEXT)
    with st.expander("As a table", icon=":material/table:"):
        st.dataframe(entries.drop(columns="instructions"), hide_index=True, alt="The entries of the front")
st.code("python -m tbn.front --data-root FOLDER", language="bash")
