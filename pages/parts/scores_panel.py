"""What a run scores, beside trivial methods, and how it got there."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from pages.parts import figures
from tbn import charts, training_charts
from tbn.scores import METRICS


def draw_scores(metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> None:
    """All that was measured on the test set, beside the task's trivial baselines."""
    measured = sorted((name for name in metrics if not name.startswith("train_")), key=lambda name: name not in METRICS)
    rows = {"this network": metrics, **baselines}
    table = {_label(name): [charts.score_text(name, scores.get(name)) for scores in rows.values()] for name in measured}
    told_of = pd.DataFrame({"Test set": list(rows), **table})
    figures.table(told_of, "scores_table", "scores", alt="Scores of the network and of trivial methods")
    lower = [METRICS[name].label for name in measured if name in METRICS and not METRICS[name].higher_is_better]
    told = ["Whole test set, last epoch."] + [f"Lower is better for {' and '.join(lower)}."] * bool(lower)
    told.append(
        "Below the network: trivial methods on the same test set."
        if baselines
        else "Trivial baselines: not measured for this run."
    )
    told += [
        f"On the training set: {_label(name.removeprefix('train_'))} {charts.score_text(name.removeprefix('train_'), value)}."
        for name, value in metrics.items()
        if name.startswith("train_")
    ]
    st.caption(" ".join(told))


def _label(name: str) -> str:
    """A result's key in words: ``Mean IoU``, ``Loss``."""
    label = METRICS[name].label if name in METRICS else name.replace("_", " ")
    return label[:1].upper() + label[1:]


def draw_curves(metrics: pd.DataFrame, metric: str, method: str) -> None:
    """The task's metric and the loss over the epochs, or why there are none."""
    if metrics.empty:
        st.caption("No curve: no epoch has been written down.")
        return
    for what in (metric, "mae" if metric == "mse" else "loss"):  # of a forecast the loss is the metric itself
        figure = training_charts.curves(metrics, what, method)
        figures.draw(figure, f"curve_{what}", f"curve-{what}", bar=False)
