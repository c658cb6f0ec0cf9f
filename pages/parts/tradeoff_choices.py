"""What the trade-off shows: its two axes, the data, and which runs. Every choice is in the address."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.parts import data
from pages.parts.choose import remember, shared_box
from tbn import boards, charts, measured
from tbn.axes import AXES, Axis
from tbn.scores import METRICS, Metric

FILTERS = {  # key in the address: label, column
    "models": ("Models", "model"),
    "factors": ("Tiling factor p", "p"),
    "alphas": ("Alpha per", "alpha"),
    "sources": ("Alpha source", "alpha_source"),
    "from": ("Trained", "source"),
}
PLACES = {"zoo": "came along (zoo)", "runs": "here"}
OF_TILES = ("alpha", "alpha_source")  # full precision has neither, and stays
SHORT = {axis.short: axis for axis in AXES.values()}


@dataclass(frozen=True)
class Choices:
    """The choices made, and ``rows``: the runs that pass, with what was measured of them where the axis asks for it.

    Attributes:
        axis, board: x, and the board that it is of.
        metric: y.
        log, only_front: how it is drawn.
        filters: the values chosen, by column; only those that were.
        data: the data set whose runs these are, where the task has several.
    """

    axis: Axis
    board: str | None
    metric: Metric
    log: bool
    only_front: bool
    filters: Mapping[str, tuple[str, ...]]
    data: str | None
    rows: pd.DataFrame

    @property
    def where(self) -> str:
        """What the axis adds to its words: the board, or this machine."""
        if self.axis.unit == "ms":
            return "on this machine"
        return f"on {boards.get_board(self.board).title}" if self.board else ""

    @property
    def key(self) -> str:
        """Changes with whatever changes the figure: part of the chart's key."""
        values = int(
            pd.util.hash_pandas_object(self.rows[self.axis.column], index=False).sum()
        )  # a measurement may have come
        said = (
            self.axis.column,
            self.board,
            self.metric.name,
            self.log,
            self.only_front,
            self.filters,
            self.data,
            values,
        )
        return f"{zlib.crc32(repr(said).encode()):08x}"


def choose(of_task: pd.DataFrame) -> Choices:
    """Draw the boxes in the present container; ``of_task`` are the finished runs of one task."""
    sources = list(of_task["data_source"].value_counts().index)
    chosen_data = None
    if len(sources) > 1:  # scores compare only within one
        run = of_task[of_task["run"] == st.query_params.get("run")]
        if st.query_params.get("data") not in sources:  # another task's, or none: a link to a run opens its data
            remember("data", run["data_source"].iloc[0] if len(run) else None)
        chosen_data = shared_box("Data", sources, "data", sources[0], width=380) or sources[0]
        of_task = of_task[of_task["data_source"] == chosen_data]
    headline = str(of_task["metric"].iloc[0])
    known = {name for found in of_task["metrics"] for name in found or {}}
    names = [headline, *(name for name in METRICS if name in known and name != headline)]
    metric = headline
    if len(names) > 1:
        labels = [METRICS[name].label for name in names]
        picked = st.selectbox("Score", labels, key="score", bind="query-params", width=180)
        metric = names[labels.index(picked)] if picked in labels else headline
    picked = st.selectbox("Against", list(SHORT), key="size", bind="query-params", width=190)
    axis = SHORT.get(picked or "", AXES["weight_bytes"])
    board = _board() if axis.on_board else None
    with st.popover("Filter and scale", icon=":material/tune:", key="filter"):
        log = st.toggle("Logarithmic axis", True, key="log", bind="query-params")
        only_front = st.toggle("Only the Pareto front", False, key="front", bind="query-params")
        filters = {
            column: tuple(values)
            for key, (label, column) in FILTERS.items()
            if (values := _pills(of_task, key, label, column))
        }
    rows = of_task
    for column, values in filters.items():
        keep = _words(rows, column).isin(values)
        rows = rows[keep | (rows["p"] == 0)] if column in OF_TILES else rows[keep]
    if axis.unit == "ms" or axis.on_board:
        rows = measured.with_measured(rows, board)
    return Choices(axis, board, METRICS[metric], log, only_front, filters, chosen_data, rows)


def _board() -> str:
    known = {board.name: board.title for board in boards.list_boards()}
    usual = "nucleo_f411re" if "nucleo_f411re" in known else next(iter(known))
    return (
        shared_box("Board", list(known), "board", usual, width=260, words=lambda name: known.get(name, name)) or usual
    )


def _pills(rows: pd.DataFrame, key: str, label: str, column: str) -> list[str]:
    """The values chosen of a column, none for all; no box where there is nothing to choose."""
    words = _words(rows[rows["p"] > 0] if column in OF_TILES else rows, column)
    order = rows["p"] if column == "p" else words
    values = list(dict.fromkeys(words.loc[order.loc[words.index].sort_values(kind="stable").index]))
    if len(values) < 2:
        return []
    return list(st.pills(label, values, selection_mode="multi", key=key, bind="query-params", help="none chosen = all"))


def _words(rows: pd.DataFrame, column: str) -> "pd.Series[str]":
    """A column's values as the boxes say them."""
    if column == "p":
        return rows["p"].map({0: "fp32", 1: "binary"}).fillna(rows["p"].map("p{:g}".format))
    return rows[column].fillna("not known").astype(str).replace(PLACES if column == "source" else {})


@st.cache_resource(max_entries=40, show_spinner=False)
def figure(task: str, key: str, stamp: int, _chosen: Choices) -> go.Figure:
    """The chart of these choices, drawn again when a run comes; nobody changes it."""
    baselines = data.baselines(_chosen.rows, _chosen.metric.name)
    return charts.tradeoff(
        _chosen.rows, _chosen.axis.column, baselines, y=_chosen.metric.name, log=_chosen.log, only_front=_chosen.only_front, where=_chosen.where
    )  # fmt: skip
