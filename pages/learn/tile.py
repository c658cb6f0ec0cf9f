"""Learn, the tile: a small weight drawn, its blocks, their sum, the sign, the tile laid back; step by step."""

import streamlit as st

from pages.parts import figures
from tbn import learn_charts, toy
from tbn.tiling import AlphaPer

PER: dict[str, AlphaPer] = {"one a tile": "tile", "one a layer": "layer"}


def step(count: int) -> None:
    """Callback of the buttons: so many more steps, or back to the start."""
    st.session_state["steps"] = min(toy.MOST_STEPS, st.session_state["steps"] + count) if count else 0


with st.container(horizontal=True, vertical_alignment="bottom"):
    rows = st.slider("Rows m", 1, 16, 8, key="rows", bind="query-params", width=150, help="outputs of the layer")
    columns = st.slider("Columns n", 1, 16, 6, key="columns", bind="query-params", width=150, help="inputs")
    known = toy.factors(rows * columns, 24)
    p = st.select_slider(
        "Tiling factor p", known, 4 if 4 in known else known[-1], key="p", bind="query-params", width=220,
        help="how often the tile is repeated; the factors that divide m x n",
    )  # fmt: skip
    alpha = st.segmented_control(
        "Alpha", list(PER), default="one a tile", required=True, key="alpha", bind="query-params"
    )
    lr = st.select_slider("Learning rate", [0.01, 0.03, 0.1, 0.3], 0.1, key="lr", bind="query-params", width=150)
    seed = st.number_input("Seed", 0, 9999, 0, key="seed", bind="query-params", width=120)
    steps = st.number_input("Steps", 0, toy.MOST_STEPS, 0, key="steps", bind="query-params", width=120)
with st.container(horizontal=True):
    st.button("One step", icon=":material/skip_next:", key="one", on_click=step, args=(1,), type="primary")
    st.button("Ten steps", icon=":material/fast_forward:", key="ten", on_click=step, args=(10,))
    st.button("Start again", icon=":material/replay:", key="again", on_click=step, args=(0,))

states = toy.play(rows, columns, p, PER[str(alpha)], int(seed), int(steps), lr)
now, q = states[-1], rows * columns // p
left, middle, right = st.columns([3, 4, 3], gap="large")
with left:
    st.markdown(f"**1 · Latent weights W**, {rows} x {columns}, cut row by row into p = {p} blocks of q = {q}")
    figures.draw(learn_charts.latent_figure(now), "latent", bar=False)
    st.caption(
        "Trained as usual, forgotten afterwards. Blue is above zero, amber below; point at a cell for its numbers."
    )
with middle:
    st.markdown("**2 · Add the blocks up, keep the sign**")
    st.latex(r"t_j = \operatorname{sign}\Big(\sum_{i=0}^{p-1} X_{ij}\Big)")
    figures.draw(learn_charts.fold_figure(now), "fold", bar=False)
    st.caption(
        f"Rings: {now.disagrees.mean():.0%} of the weights are of another sign than the tile; the last step flipped {now.flipped.sum()} of {q} bits."
    )
with right:
    st.markdown("**3 · Lay the tile back**, scaled")
    st.latex(r"\hat W = \alpha_i\, t, \qquad \alpha_i = \operatorname{mean}|A_i|")
    figures.draw(learn_charts.tiled_figure(now), "tiled", bar=False)
    count = 32 * len(now.alphas)
    st.caption(
        f"Stored: {q} bits of tile and {count} of alphas instead of {32 * rows * columns} bits. {now.distinct_rows} of {rows} rows have signs of "
        "their own: only those have to be computed."
    )
st.subheader("Learning it", anchor=False)
st.markdown(
    "The target is a random matrix. Each step is the gradient of the squared distance, passed **straight through** the signs to W. p places of W "
    "vote on one bit, so a larger p fits the target less well, and bits keep flipping where the votes are even."
)
figures.draw(learn_charts.progress_figure(states), "progress", bar=False)
st.page_link("pages/learn/straight_through.py", label="How a gradient passes a sign", icon=":material/arrow_forward:")
code = f"from tbn import toy\n\nstates = toy.play({rows}, {columns}, p={p}, per={PER[str(alpha)]!r}, seed={seed}, steps={steps}, lr={lr})\n"
st.code(code + "print(states[-1].tile, states[-1].alphas)", language="python")
