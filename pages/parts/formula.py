"""The formula of a tiled weight in the visitor's browser: the numbers of the cell that the pointer is on, and frames where else they are.

It listens to the cells of the three pictures of the page "The tile" (``tbn.cells``), and to the arrow keys; the server is not asked. What
the browser gets is beside this file: ``formula.html``, ``formula.css``, ``formula.js``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

HTML, CSS, JS = (Path(__file__).with_suffix(end).read_text() for end in (".html", ".css", ".js"))
_formula: Any = st.components.v2.component("tbn_formula", html=HTML, css=CSS, js=JS)


def draw(values: Mapping[str, Any]) -> None:
    """The formula; ``values`` are numbers of a ``tbn.toy.Toy``: p, q, columns, blocks (p, q), sums (q,), tile (q,), alphas (p,) or (1,)."""
    _formula(key="formula", data=dict(values), height="content")
