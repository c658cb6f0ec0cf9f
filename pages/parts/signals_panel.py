"""The signals of a run's tiles, each with the words that say what a healthy one looks like."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.parts import figures
from tbn import training_charts

HELWEGEN = "[Helwegen et al. 2019](https://arxiv.org/abs/1906.02107)"
FLIPS = (
    "**Flips.** The share of each tile's signs that an epoch changed, on a log axis. Latent weights are inertia: the learning rate sets how often "
    f"signs flip. Healthy: the flip ratio falls as the learning rate falls and is near zero at the end ({HELWEGEN}). One that stays high "
    "never settles; one near zero from the start does not learn."
)
BALANCE = (
    "**Balance.** The mean of each tile's signs. Healthy: near 0, as many +1 as -1, where a sign carries most information. "
    "Near +1 or -1 the copies of the tile are almost constant."
)
ALPHAS = (
    "**Alphas of the last epoch.** A row is a layer; the stronger the colour, the more of its alphas have that value. Healthy: above 0 and "
    "spread out, so that the copies of the tile differ. All in one place: one alpha a layer would do."
)


def draw(signals: Sequence[Mapping[str, Any]], methods: Mapping[str, str]) -> None:
    """The three charts; ``methods`` is how each layer is stored ("tiled", "binary", "fp32")."""
    tiled = {name: method for name, method in methods.items() if method != "fp32"}
    if not tiled:
        st.caption("No signals: full precision. There are no tiles whose signs could flip.")
        return
    if not signals:
        st.caption("No signals: this run was trained without writing them down. Train it again to have them.")
        return
    for name, chart, text in (("flips", training_charts.flips, FLIPS), ("balance", training_charts.balance, BALANCE),
                              ("alphas", training_charts.alphas, ALPHAS)):  # fmt: skip
        st.markdown(text)
        figure = chart(signals, tiled)
        figures.draw(figure, f"signals_{name}", name, bar=False)
    if len(tiled) > training_charts.NAMED_LAYERS:
        st.caption("Later layers are fainter; hover over a line for its layer. Blue is tiled, orange binary.")
    else:
        st.caption("Blue is tiled, orange binary.")
