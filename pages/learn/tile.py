"""Learn, the tile: a small weight drawn, its blocks, their sum, the sign, the tile laid back; step by step, or playing."""

import streamlit as st

from pages.parts import figures, formula, words
from tbn import learn_charts, toy
from tbn.tiling import AlphaPer

PER: dict[str, AlphaPer] = {"one a tile": "tile", "one a layer": "layer"}
LEARNED = "learned"
ALPHAS = [LEARNED, *(f"{tenth / 10:.1f}" for tenth in range(1, 21))]
PAUSE = 0.6  # seconds between steps while it plays


def step(count: int) -> None:
    """Callback of the buttons: so many more steps, or back to the start."""
    st.session_state["steps"] = min(toy.MOST_STEPS, st.session_state["steps"] + count) if count else 0
    st.session_state["playing"] = False
    st.session_state.pop("next_steps", None)


@st.fragment(run_every=PAUSE)
def play_on(steps: int) -> None:
    """One step more each time the clock, and not the page, runs this."""
    if not st.session_state.pop("page_ran", False) and st.session_state.get("playing"):
        st.session_state["next_steps"] = steps + 1
        st.rerun()


if st.session_state.get("playing") and "next_steps" in st.session_state:
    st.session_state["steps"] = st.session_state.pop("next_steps")
with st.container(horizontal=True, vertical_alignment="bottom"):
    rows = st.slider("Rows m", 1, 16, 8, key="rows", bind="query-params", width=150, help="outputs of the layer")
    columns = st.slider("Columns n", 1, 16, 6, key="columns", bind="query-params", width=150, help="inputs")
    known = toy.factors(rows * columns, 24)
    p = st.select_slider(
        "Tiling factor p", known, 4 if 4 in known else known[-1], key="p", bind="query-params", width=220,
        help="how often the tile is repeated; the factors that divide m x n",
    )  # fmt: skip
    per = st.segmented_control(
        "Alpha", list(PER), default="one a tile", required=True, key="alpha_kind", bind="query-params"
    )
    size = st.select_slider(
        "Size of the alphas", ALPHAS, LEARNED, key="alpha_size", bind="query-params", width=180,
        help="learned: mean |A| of a tensor A of their own. Or set them by hand, and see what the loss says to it",
    )  # fmt: skip
    lr = st.select_slider("Learning rate", [0.01, 0.03, 0.1, 0.3], 0.1, key="rate", bind="query-params", width=150)
    seed = st.number_input("Seed", 0, 9999, 0, key="seed", bind="query-params", width=120)
    steps = st.number_input("Steps", 0, toy.MOST_STEPS, key="steps", bind="query-params", width=120)
with st.container(horizontal=True, vertical_alignment="center"):
    st.button("One step", icon=":material/skip_next:", key="one", on_click=step, args=(1,), type="primary")
    st.button("Ten steps", icon=":material/fast_forward:", key="ten", on_click=step, args=(10,))
    st.button("Start again", icon=":material/replay:", key="again", on_click=step, args=(0,))
    playing = st.toggle("Play", key="playing", help=f"a step every {PAUSE} s, until you stop it")

alpha = None if size == LEARNED else float(size)
states = toy.play(rows, columns, p, PER[str(per)], int(seed), int(steps), lr, alpha)
now, q = states[-1], rows * columns // p
formula.draw({
    "p": p, "q": q, "columns": columns, "blocks": now.blocks.tolist(), "sums": now.sums.tolist(), "tile": now.tile.tolist(),
    "alphas": now.alphas.tolist(),
})  # fmt: skip
left, middle, right = st.columns([3, 4, 3], gap="large")
with left:
    st.markdown(f"**1 · Latent weights W**, {rows} x {columns}, cut row by row into p = {p} blocks of q = {q}")
    figures.drawing(learn_charts.latent_figure(now), "latent", "tile-latent")
    st.caption(
        "Trained as usual, forgotten afterwards. Blue is above zero, amber below; point at a cell for its numbers."
    )
with middle:
    st.markdown("**2 · Add the blocks X up, keep the sign**: the tile t")
    figures.drawing(learn_charts.fold_figure(now), "fold", "tile-fold")
    st.caption(
        f"Rings: {now.disagrees.mean():.0%} of the weights are of another sign than the tile; the last step flipped {now.flipped.sum()} of {q} bits."
    )
with right:
    st.markdown("**3 · Lay the tile back**, each copy times its alpha: the weight Ŵ that the layer uses")
    figures.drawing(learn_charts.tiled_figure(now), "tiled", "tile-tiled")
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
figures.draw(learn_charts.progress_figure(states), "progress", "tile-progress", bar=False)
if alpha is not None:
    best = ", ".join(f"{value:.2f}" for value in now.best_alphas)
    st.caption(f"By hand all alphas are {alpha:.1f}. With the signs of now, {best} would be nearest to the target.")
st.page_link("pages/learn/straight_through.py", label="How a gradient passes a sign", icon=":material/arrow_forward:")
by_hand = "" if alpha is None else f", alpha={alpha}"
words.copy_as(
    f"""from tbn import learn_charts, toy

states = toy.play({rows}, {columns}, p={p}, per={PER[str(per)]!r}, seed={seed}, steps={steps}, lr={lr}{by_hand})
print(states[-1].tile, states[-1].alphas, states[-1].loss)
learn_charts.fold_figure(states[-1]).save("tile.svg")"""
)
if playing and int(steps) < toy.MOST_STEPS:
    st.session_state["page_ran"] = True
    play_on(int(steps))
