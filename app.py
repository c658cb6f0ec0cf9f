"""TBN Explorer: the frame around every page. ``streamlit run app.py`` (or ``make app``)."""

import streamlit as st

from pages.parts import live, words

st.set_page_config(page_title="TBN Explorer", page_icon=":material/grid_view:", layout="wide")
page = st.navigation(
    [
        st.Page(
            "pages/explore/tradeoff.py",
            title="Trade-off",
            icon=":material/scatter_plot:",
            default=True,
            help="Accuracy against size for every finished run, with the Pareto front. Choose a run to see what it is made of.",
        ),
        st.Page(
            "pages/run/train.py",
            title="Train",
            icon=":material/model_training:",
            help="Train a full-precision, binary or tiled network in the background and watch it. The job outlives this page.",
        ),
        st.Page(
            "pages/explore/kernels.py",
            title="Kernels",
            icon=":material/speed:",
            help="How fast the packed kernels are beside the usual ones, as measured, with the machine and the date.",
        ),
        st.Page(
            "pages/explore/memory.py",
            title="Memory",
            icon=":material/memory:",
            help="Where the bytes of a run are, layer by layer, in fp32, binary and tiled; and the flash and RAM of its firmware.",
        ),
        st.Page(
            "pages/deploy/firmware.py",
            title="Firmware",
            icon=":material/developer_board:",
            help="One button: check, generate, build, fit, flash and verify a run on a board, with the log and each step's state.",
        ),
    ],
    position="top",
)
with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
    st.title(page.title, anchor=False, width="content")
    live.strip()
st.caption(page.help)
with words.errors_as_sentences():
    page.run()
