"""How every page shows a figure with its words, and the sizes of a network in a line."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.parts import words
from tbn import charts


def draw(figure: go.Figure, key: str, bar: bool = True) -> None:
    """The figure with its words for those who cannot see it; without ``bar`` it has no tools."""
    st.plotly_chart(
        figure,
        alt=charts.alt_text(figure),
        config={"displaylogo": False} if bar else {"displayModeBar": False},
        key=key,
    )


def sizes(size: Mapping[str, Any], own: str, multiplications: bool = False) -> None:
    """``Summary.to_dict()`` as a line of numbers; ``own`` is what the tiles and alphas are called."""
    with st.container(horizontal=True):
        st.metric("fp32", charts.bytes_text(size["fp32_bytes"]), width="content")
        stored = f"{size['weight_bytes']:,} bytes of tiles and alphas"
        st.metric(own, charts.bytes_text(size["weight_bytes"]), width="content", help=stored)
        st.metric("Bits a weight", f"{size['bits_per_weight']:.3g}", width="content")
        apart = "float32, counted apart from the weights"
        st.metric("Biases, norms", charts.bytes_text(size["other_bytes"]), width="content", help=apart)
        if multiplications and size["macs_computed"]:
            dense, computed = size["macs_dense"], size["macs_computed"]
            told = f"{computed:,} of {dense:,} for one input"
            st.metric("Multiply-adds", f"{dense / computed:.2f}x fewer", width="content", help=told)
    st.caption(words.escape(charts.smaller_text(float(size["compression"]))))
