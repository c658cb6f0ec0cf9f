"""TBN Explorer: the frame around every page. ``make app``, or ``streamlit run app.py``."""

import logging

import streamlit as st

from pages.parts import live, words

# one tile of bits, four times
TILE = '<path d="M0 0h3v3h3v3H3V3H0z" fill="#2B87D1"/><path d="M0 0h6v6H0z" fill="#2B87D1" opacity=".35"/>'
PLACES = "".join(f'<g transform="translate({x} {y})">{TILE}</g>' for x in (1, 9) for y in (1, 9))
ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{PLACES}</svg>'
PAGES = {
    "pages/explore/tradeoff.py": (
        "Trade-off",
        ":material/scatter_plot:",
        "Score against size for every finished run of a task, with the Pareto front. Choose a run to see what it is made of.",
    ),
    "pages/run/train.py": (
        "Train",
        ":material/model_training:",
        "Train a full-precision, binary or tiled network in the background and watch it. The job outlives this page.",
    ),
    "pages/explore/kernels.py": (
        "Kernels",
        ":material/speed:",
        "How fast the packed kernels are beside the usual ones, as measured, with the machine and the date.",
    ),
    "pages/explore/memory.py": (
        "Memory",
        ":material/memory:",
        "Where the bytes of a run are, layer by layer, in fp32, binary and tiled; and the flash and RAM of its firmware.",
    ),
    "pages/deploy/firmware.py": (
        "Firmware",
        ":material/developer_board:",
        "One button: check, generate, build, fit, flash and verify a run on a board, with the log and each step's state.",
    ),
}

if __name__ == "__main__":  # a visitor's run of this script
    st.set_page_config(page_title="TBN Explorer", page_icon=ICON, layout="wide")
    pages = [
        st.Page(path, title=t, icon=i, help=h, default=path == next(iter(PAGES))) for path, (t, i, h) in PAGES.items()
    ]
    page = st.navigation(pages, position="top")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(page.title, anchor=False, width="content")
        live.strip()
    st.caption(page.help)
    with words.errors_as_sentences():
        page.run()
else:  # the server, which loads this file once before the first visitor
    # st.navigation tells Streamlit that pages/ is not its automatic folder of pages; without that, the first visitor who comes by a deep link
    # is told "Page not found". It warns that nobody is visiting yet.
    warnings = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    warnings.disabled = True
    st.navigation([st.Page(path) for path in PAGES])
    warnings.disabled = False
    app = st.App(__file__)
