"""How every page shows a figure with its words, a table, and the sizes of a network in a line; each with its download."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.parts import picture as pictures
from pages.parts import words
from tbn import charts
from tbn.cells import Picture

STYLE = Path(__file__).parent / "style.css"


def draw(figure: go.Figure, key: str, name: str | None = None, bar: bool = True, **options: Any) -> Any:
    """The figure with its words for those who cannot see it, and its PNG and SVG to download as ``name``.

    Without ``bar`` it has no tools for zooming. ``options`` go to ``st.plotly_chart``, whose answer is returned (``on_select``, for example).
    """
    config = {"displaylogo": False} if bar else {"modeBarButtons": [["toImage"]], "displayModeBar": True}
    config |= options.pop("config", {})
    with st.container(key=f"figure_{'' if bar else 'plain_'}{key}", gap=None):
        found = st.plotly_chart(figure, alt=charts.alt_text(figure), config=config, key=key, **options)
        pictures.buttons(f"picture_{key}", file_name(name or key))
    return found


def drawing(picture: Picture, key: str, name: str | None = None) -> None:
    """A picture of ``tbn.cells``, and its PNG and SVG to download as ``name``."""
    with st.container(key=f"figure_{key}", gap=None), st.container(key=key):
        pictures.drawing(picture.svg, f"drawing_{key}")
        pictures.buttons(f"picture_{key}", file_name(name or key))


def style() -> None:
    """What figures, tables and captions need of the page, once a page."""
    st.html(STYLE)


def table(
    frame: pd.DataFrame,
    key: str,
    name: str | None = None,
    *,
    alt: str,
    export: pd.DataFrame | None = None,
    **options: Any,
) -> Any:
    """The rows as a table that ``alt`` describes, and as a CSV file called ``name``: of ``frame``, or of ``export`` where that tells more.

    ``options`` go to ``st.dataframe``, whose answer is returned (``on_select``, for example).
    """
    rows = frame if export is None else export
    with st.container(key=f"listing_{key}", gap=None, horizontal_alignment="right"):
        found = st.dataframe(frame, key=key, alt=alt, **({"hide_index": True} | options))
        st.download_button(
            "CSV", lambda: rows.to_csv(index=False), f"{file_name(name or key)}.csv", "text/csv", key=f"{key}_csv", on_click="ignore",
            type="tertiary", help=f"{len(rows)} rows with everything that is known of them",
        )  # fmt: skip
    return found


def file_name(name: str) -> str:
    """A name that every file system takes: ``tbn-tradeoff-digits``."""
    return "tbn-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


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
