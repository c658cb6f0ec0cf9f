"""Layers: the bits of a run's tiles as they are stored, their alphas and balance, and how they flipped while it learned."""

from pathlib import Path

import pandas as pd
import streamlit as st

from pages.parts import data, figures, signals_panel, words
from pages.parts.choose import describe, run_box, shared_box, usual_run
from tbn import layer_charts, runs, training_charts
from tbn.layer_views import PackedView, View, views

COLUMNS = {
    "name": "Layer",
    "shape": "Shape",
    "status": "Stored as",
    "p": "p",
    "q": st.column_config.NumberColumn("q (bits)", format="localized", help="tile length"),
    "alphas": st.column_config.NumberColumn("Alphas", format="localized"),
    "bytes": st.column_config.NumberColumn("Bytes", format="localized"),
    "balance": st.column_config.NumberColumn("Mean sign", format="%+.3f", help="0 = as many +1 as -1"),
    "flips": st.column_config.NumberColumn(
        "Flips in the last epoch", format="%.3f %%", help="share of the tile's signs"
    ),
}


@st.cache_resource(max_entries=8, show_spinner="Reading the bits")
def views_of(path: str, stamp: tuple[int, ...]) -> list[View]:
    """The layers of a run, kept while its files do not change."""
    return views(runs.Run(Path(path)))


frame = data.finished()
if frame.empty:
    words.nothing_yet(f"There is no finished run in `{runs.runs_root()}` yet, so there are no layers to look at.")
    st.stop()
name = run_box(frame, default=usual_run(frame))
row = frame[frame["run"] == name].iloc[0]
run = runs.Run(Path(row["path"]))
words.copy_as(
    f"""from tbn import layer_charts, runs
from tbn.layer_views import views

layers = views(runs.find({name!r}))
for layer in layers:
    print(layer, layer.balance)
layer_charts.laid_back(layers[0]).show()""",
    f"tbn summary {name}",
)
layers = views_of(str(run.path), data.weights_stamp(run.path))
signals = run.signals()
last = signals[-1]["layers"] if signals else {}
stored = {layer["name"]: layer["bytes"] for layer in (run.result or {})["size"]["layers"]}
known = [view.name for view in layers]
if not known:
    words.nothing_yet("This run has no layer with weights of its own.")
    st.stop()
usual = next((view.name for view in layers if view.status == "tiled"), known[0])
chosen = shared_box("Layer", known, "layer", usual, width=320)
view = next(view for view in layers if view.name == chosen)

st.subheader(f"{layer_charts.title_of(view)}, of {describe(row)}", anchor=False)
left, right = st.columns(2, gap="large")
if isinstance(view, PackedView):
    q, (rows, columns) = len(view.tile), view.weight.shape
    with left:
        st.markdown(f"**The tile**, {q:,} bits: all that is stored of the signs")
        figures.draw(layer_charts.tile_picture(view), "tile", f"tile-{name}-{chosen}", bar=False)
        st.caption(
            f"Blue is +1, amber -1; {(view.tile > 0).mean():.1%} are +1. {-(-q // 8):,} bytes stand for {4 * rows * columns:,} in float32."
        )
        st.markdown(f"**{len(view.alphas)} alpha{'s' * (len(view.alphas) != 1)}**")
        figures.draw(layer_charts.alpha_bars(view), "alphas", f"alphas-{name}-{chosen}", bar=False)
    with right:
        st.markdown(
            f"**The weight that it stands for**, {rows:,} x {columns:,}: the tile {view.p} times, each copy times its alpha"
        )
        figures.draw(layer_charts.laid_back(view), "weight", f"weight-{name}-{chosen}", bar=False)
        st.caption(
            f"{view.distinct_rows:,} of {rows:,} rows have signs of their own: only their products have to be computed."
            + f" The copies lie in order {view.order!r}." * (view.order != "rows")
        )
        st.markdown("**Balance of its rows**")
        figures.draw(layer_charts.row_balance(view), "rows", f"rows-{name}-{chosen}", bar=False)
else:
    with left:
        st.markdown("**The weights**, 32 bits each: this layer is in full precision and has no tile")
        figures.draw(layer_charts.laid_back(view), "weight", f"weight-{name}-{chosen}", bar=False)
    with right:
        st.markdown("**Their values**")
        figures.draw(layer_charts.histogram(view), "values", f"values-{name}-{chosen}", bar=False)
        st.markdown("**Balance of its rows**")
        figures.draw(layer_charts.row_balance(view), "rows", f"rows-{name}-{chosen}", bar=False)

st.subheader("How its bits came to be", anchor=False)
methods = {view.name: view.status for view in layers if view.status != "fp32"}
if not signals or not methods:
    signals_panel.draw(signals, methods)  # says why there is nothing
else:
    which = "this layer" if chosen in methods else "all layers"
    if chosen in methods:
        scope = st.segmented_control(
            "Show", ["this layer", "all layers"], default=which, required=True, key="scope", bind="query-params"
        )
        which = str(scope or which)
    part = signals if which == "all layers" else [
        {"epoch": line["epoch"], "layers": {chosen: line["layers"][chosen]}} for line in signals if chosen in line["layers"]
    ]  # fmt: skip
    for place, (text, chart, key) in zip(st.columns(2, gap="large"), (
        (signals_panel.FLIPS, training_charts.flips, "flips"), (signals_panel.BALANCE, training_charts.balance, "balance")
    ), strict=True):  # fmt: skip
        with place:
            figures.draw(chart(part, methods), f"over_time_{key}", f"{key}-{name}", bar=False)
            st.caption(text)

st.subheader(f"All {len(layers)} layers", anchor=False)
figures.draw(layer_charts.balance_of_layers(layers, chosen), "all_balance", f"balance-{name}", bar=False)
st.caption(
    "The mean sign of each tile; the grey band is what so many tosses of a coin would give, two standard deviations wide."
)
table = pd.DataFrame([
    {
        "name": one.name, "shape": "x".join(map(str, one.shape)), "status": one.status, "p": one.p,
        "q": len(one.tile) if isinstance(one, PackedView) else None, "alphas": len(one.alphas) if isinstance(one, PackedView) else None,
        "bytes": stored.get(one.name), "balance": one.balance, "flips": 100 * last[one.name]["flip_ratio"] if one.name in last else None,
    }
    for one in layers
])  # fmt: skip
figures.table(
    table,
    "all_layers",
    f"layers-{name}",
    alt="Bits, alphas, bytes and balance of each layer",
    column_config=COLUMNS,
    placeholder="-",
)
