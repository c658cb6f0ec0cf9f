"""More of the Train page's form: the recipe and what replaces its values, and the runs that a training starts from or learns from."""

from typing import Any

import streamlit as st

from pages.parts import data, words
from tbn.errors import TBNError
from tbn.recipes import RECIPES

ORDERS = ("rows", "interleaved", "inputs", "rolled")  # tbn.TilingConfig's; importing it would load torch
ESTIMATORS = ("identity", "tile", "clip", "hat", "reste")

SUITED = {  # a kind of task: beginnings of the names of the recipes that were made for it
    "images": ("adamw", "paper_mcu", "paper_cifar", "paper_imagenet"),
    "segmentation": ("adamw",),
    "points": ("adamw", "paper_pointnet_cls"),
    "parts": ("adamw", "paper_pointnet_seg"),
    "scenes": ("adamw", "paper_pointnet_seg"),
    "forecasting": ("adamw", "forecast"),
}


def recipe_box(kind: str) -> str:
    """Hyper-parameters by name; those made for the kind of task come first."""
    suited = [name for name in RECIPES if name.startswith(SUITED.get(kind, ()))]
    name = (
        st.selectbox(
            "Recipe", [*suited, *(name for name in RECIPES if name not in suited)], key="recipe", bind="query-params"
        )
        or "adamw"
    )
    recipe = RECIPES[name]
    st.caption(
        f"{words.escape(recipe.source[:1].upper() + recipe.source[1:])}. {recipe.optimizer}, {recipe.schedule} schedule, "
        f"{recipe.epochs:,} epochs of its own, augmentation: {words.escape(recipe.augmentation)}."
    )
    return name


def instead(name: str) -> dict[str, Any]:
    """What replaces the values of a recipe; None leaves them."""
    recipe = RECIPES[name]
    first, second, third = st.columns(3)
    lr = first.number_input(
        "Learning rate", 0.0, None, None, format="%g", key="lr", bind="query-params", placeholder=f"{recipe.lr:g}"
    )
    batch = second.number_input(
        "Batch size", 1, None, None, key="batch_size", bind="query-params", placeholder=str(recipe.batch_size)
    )
    smoothing = third.number_input(
        "Label smoothing", 0.0, 0.99, None, format="%g", key="label_smoothing", bind="query-params", placeholder=f"{recipe.label_smoothing:g}"
    )  # fmt: skip
    first, second = st.columns([1, 2])
    ema = first.number_input(
        "EMA", 0.0, 0.9999, 0.0, format="%g", key="ema", bind="query-params", help="Decay of a moving average of the weights, e.g. 0.99; 0 is off"
    )  # fmt: skip
    own = second.text_input(
        "Layers with a factor of their own", key="own", bind="query-params", placeholder="PATTERN=P, PATTERN=P", help="e.g. blocks.0.*=8, fc1=2"
    )  # fmt: skip
    return {
        "recipe": name,
        "lr": lr or None,
        "batch_size": batch,
        "label_smoothing": smoothing,
        "ema": ema,
        "per_layer": factors(own),
    }


def method(p: int) -> dict[str, Any]:
    """Beyond the paper's method: how the tile is laid, how the gradient passes the sign, and what else helps."""
    first, second = st.columns(2)
    order = first.selectbox(
        "Tile order",
        ORDERS,
        key="order",
        bind="query-params",
        disabled=p < 2,
        help="rows is the paper's; C takes no other",
    )
    estimator = second.selectbox(
        "Estimator", ESTIMATORS, key="estimator", bind="query-params", disabled=p == 0, help="identity is the paper's"
    )
    first, second = st.columns(2)
    rise = first.number_input(
        "Raise p over", 0.0, 0.9, 0.0, 0.1, key="progressive", bind="query-params", disabled=p < 2,
        help="Share of the epochs over which p rises to its value; 0 trains with it from the start"
    )  # fmt: skip
    batches = second.number_input(
        "Batches for the norms", 0, 10_000, 0, key="norm_batches", bind="query-params", help="So many re-estimate the BatchNorms before the last test"
    )  # fmt: skip
    standard = st.toggle("Standardise the latent weights", key="standardise", bind="query-params", disabled=p == 0)
    if p == 0:
        return {"norm_batches": int(batches)}
    found = {"estimator": estimator, "standardise": standard, "norm_batches": int(batches)}
    return found | ({"order": order, "progressive": rise} if p > 1 else {})


def factors(text: str) -> dict[str, int]:
    """``blocks.0.*=8, fc1=2`` as factors by pattern.

    Raises:
        TBNError: a part is not PATTERN=P.
    """
    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        pattern, _, factor = item.rpartition("=")
        if not pattern or not factor.strip().isdigit():
            raise TBNError(f"{item!r} is no factor for a layer", "write PATTERN=P, for instance blocks.0.*=8")
        found[pattern.strip()] = int(factor)
    return found


def other_runs(task: str, model: str, p: int) -> dict[str, Any]:
    """Full-precision runs of this task to start from, or to learn from."""
    frame = data.finished()
    dense = frame[(frame["task"] == task) & (frame["method"] == "fp32")]
    found = {}
    for key, label, runs, tip in (
        ("warm_start", "Start from the weights of", dense[dense["model"] == model], "Its dense weights become the latent weights."),
        ("teacher", "Teacher", dense, "Its outputs are learned beside the targets (distillation)."),
    ):  # fmt: skip
        missing = f"train {task} with p = 0 first"
        found[key] = st.selectbox(
            label, list(runs["run"]), index=None, key=key, bind="query-params", help=f"A full-precision run of this task. {tip}",
            placeholder="nothing" if len(runs) else missing, disabled=runs.empty or p == 0,
        )  # fmt: skip
    return found
