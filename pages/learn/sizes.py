"""Learn, sizes: bits, bytes and MACs of any network of the registry at any p and lambda, before any training."""

import shlex

import pandas as pd
import streamlit as st

from pages.parts import cost_panel, figures, names, train_more, words
from pages.parts.choose import shared_box
from tbn import boards, charts, memory_charts, models, tasks
from tbn.recipes import min_layer_size

FACTORS = (0, 1, 2, 4, 8, 16, 32, 64)
EMBEDDED = [name for name in tasks.names() if name not in names.FOLDERS]
COLUMNS = {
    "name": "layer", "shape": "shape", "status": "stored as", "p": "p", "q": "q (bits)", "weight_bits": "bits", "bits_per_weight": "bits a weight",
    "bytes": "bytes", "macs_dense": "MACs, every row", "macs_computed": "MACs, distinct rows",
}  # fmt: skip

left, right = st.columns([2, 3], gap="large")
with left, st.container(border=True):
    task = shared_box("Task", EMBEDDED, "task", EMBEDDED[0], words=names.title) or EMBEDDED[0]
    model = str(st.selectbox("Model", models.names(tasks.kind_of(task)), key="model", bind="query-params"))
    p = st.select_slider(
        "Tiling factor p",
        FACTORS,
        4,
        key="p",
        bind="query-params",
        format_func=lambda value: charts.label_of(value).removeprefix("p = "),
    )
    least = int(st.number_input(
        "Minimum layer size lambda", 1, 10_000_000, min_layer_size(task, "adamw"), key="min_layer_size", bind="query-params",
        help="Smaller layers stay binary (p = 1): their tile would be too short to carry much",
    ))  # fmt: skip
    alpha = st.segmented_control(
        "Alpha", ["tile", "layer"], default="tile", required=True, key="alpha", bind="query-params"
    )
    own = st.text_input(
        "Layers with a factor of their own", key="own", bind="query-params", placeholder="PATTERN=P, PATTERN=P"
    )
    factors = train_more.factors(own)
    config = {
        "task": task,
        "model": model,
        "p": int(p),
        "min_layer_size": least,
        "alpha": str(alpha),
        "per_layer": factors,
    }
    found = cost_panel.sizes_of(config)
    command = ["tbn", "summary", "--model", model, "--task", task, "--p", str(p), "--min-layer-size", str(least)]
    command += ["--alpha", str(alpha)] * (alpha != "tile")
    command += [word for pattern, factor in factors.items() for word in ("--per-layer", f"{pattern}={factor}")]
    words.copy_as(
        f"""
from tbn import tasks
from tbn.config import RunConfig
from tbn.sketch import sketch

task = tasks.create({task!r})
config = RunConfig(task={task!r}, model={model!r}, p={p}, min_layer_size={least}, alpha={str(alpha)!r}, per_layer={factors!r})
print(sketch(config, task.model_arguments, task.input_shape))  # no weight is made for it""",
        shlex.join(command),
    )

with right:
    figures.sizes(found, "Tiles and alphas", multiplications=True)
    layers = found["layers"]
    blocks = memory_charts.layer_blocks(layers, charts.method_of(int(p)))
    if charts.method_of(int(p)) != "fp32":
        blocks = blocks[blocks["storage"] != "fp32"]
    figure = memory_charts.memory_map(blocks)
    figures.draw(figure, "blocks")
    table = pd.DataFrame(layers).rename(columns=COLUMNS)[list(COLUMNS.values())]
    table["shape"] = ["x".join(map(str, shape)) for shape in table["shape"]]
    with st.expander(f"All {len(table)} layers", icon=":material/table:", expanded=len(table) <= 8):
        figures.table(table, "layers", f"layers {model} p{p}", alt="Bits, bytes and multiply-adds of each layer")
    st.markdown("**Would it fit?** Tiles, alphas, biases and norms in float32 against the flash of each board:")
    shares = [
        {"board": board.title, "flash": board.flash_bytes, "taken": found["total_bytes"] / board.flash_bytes}
        for board in boards.list_boards()
    ]
    share = st.column_config.ProgressColumn("taken by the network", format="percent", min_value=0.0, max_value=1.0)
    figures.table(
        pd.DataFrame(shares), "boards", f"boards {model} p{p}", alt="How much of each board's flash the network takes",
        column_config={"taken": share, "flash": st.column_config.NumberColumn("flash (bytes)", format="localized")},
    )  # fmt: skip
    st.caption(
        "The code, and the RAM for activations, come on top: `tbn fit RUN` predicts the whole firmware of a trained run."
    )
st.page_link(
    "pages/run/train.py",
    label="Train it",
    icon=":material/model_training:",
    query_params={"task": task, "model": model},
)
