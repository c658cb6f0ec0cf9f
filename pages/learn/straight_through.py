"""Learn, straight-through: the step forward, the gradient backward, and the inertia of a latent weight."""

import streamlit as st

from pages.parts import figures, words
from tbn import learn_charts, toy

with st.container(horizontal=True, vertical_alignment="bottom"):
    p = st.select_slider("Tiling factor p", [1, 2, 4, 8, 16], 4, key="p", bind="query-params", width=200)
    rest = st.slider(
        "Sum of the other blocks", -2.0, 2.0, 0.5, 0.1, key="rest", bind="query-params", width=240, disabled=p == 1,
        help="what the other p - 1 blocks say about this place",
    )  # fmt: skip
    gradient = st.slider("dL/db from the layer", -2.0, 2.0, 1.0, 0.1, key="gradient", bind="query-params", width=240)
rest = 0.0 if p == 1 else rest
left, right = st.columns(2, gap="large")
with left:
    st.markdown(
        "**One latent weight w moves.** Forward, the layer sees only the sign of the sum. That curve is flat, so its true derivative is 0 and "
        "nothing would ever learn. The **straight-through estimator** pretends that the step is the identity:"
    )
    st.latex(
        r"b = \operatorname{sign}\Big(w + \sum_{\text{other blocks}}\Big), \qquad \frac{\partial L}{\partial w} := \frac{\partial L}{\partial b}"
    )
    figures.draw(learn_charts.forward_figure(toy.straight_through(p, rest, gradient), gradient), "curves", bar=False)
    st.caption("Both curves are drawn by calling `tbn.tiling.binary_weight` and autograd. Nothing is clipped.")
with right:
    st.markdown(
        "**Latent weights are inertia.** They are no weights that anybody multiplies with: they gather gradients until the sum changes its sign, "
        "then the bit flips and the gradient stops."
    )
    with st.container(horizontal=True):
        lr = st.select_slider("Learning rate", [0.01, 0.03, 0.1, 0.3], 0.03, key="rate", bind="query-params", width=200)
        target = st.segmented_control(
            "Wanted bit",
            [1, -1],
            default=1,
            required=True,
            key="target",
            bind="query-params",
            format_func=lambda b: f"{b:+d}",
        )
    latent, binary = toy.inertia(p, rest, float(target or 1), lr, 40)
    figures.draw(learn_charts.inertia_figure(latent, binary), "inertia", bar=False)
    st.caption(
        "A small learning rate flips few bits and late; a large one flips them to and fro. That is why learning rates of binary networks are judged "
        "by the flip ratio, which every run records."
    )
st.page_link("pages/learn/tile.py", label="The tile", icon=":material/arrow_back:")
st.page_link("pages/learn/sizes.py", label="What it saves: sizes", icon=":material/arrow_forward:")
words.copy_as(
    f"""
from tbn import learn_charts, toy

curves = toy.straight_through(p={p}, rest={rest}, gradient={gradient})
learn_charts.forward_figure(curves, {gradient}).show()
latent, binary = toy.inertia({p}, {rest}, {float(target or 1)}, {lr}, 40)
learn_charts.inertia_figure(latent, binary).show()"""
)
