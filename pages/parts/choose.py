"""Choices that all pages share, the run and the task: kept in the address, from page to page.

Streamlit drops an address parameter that a widget of another page is bound to. So these two are not bound: the address is the truth, a
widget's callback writes it, and each page reads it before it draws.
"""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from tbn.charts import label_of

# whose runs ``tbn.export`` can turn into C
FIRMWARE_MODELS = (
    "mlp", "cnn", "micro_cnn", "vgg_small", "resnet18", "resnet34", "resnet50", "convmixer", "mlp_mixer", "pointnet_cls", "forecaster_mlp",
)  # fmt: skip


def shared_box(
    label: str,
    options: Sequence[str],
    key: str,
    default: str | None = None,
    width: int | str = "stretch",
    words: Callable[[str], str] = str,
) -> str | None:
    """A box whose choice is the address's ``?key=``, else the last choice on any page, else ``default`` (None: nothing chosen).

    ``words`` says an option to people; the address has the option itself. A default that nobody chose is not written there: what a page adds
    to its address by itself is one more press of the browser's back button.
    """
    chosen = shared_choice(label, options, key, default)
    st.session_state[key] = chosen
    st.selectbox(
        label,
        options,
        key=key,
        on_change=_take,
        args=(key,),
        placeholder=f"Choose a {label.lower()}",
        width=width,
        format_func=words,
    )  # type: ignore[arg-type]
    return chosen


def shared_choice(label: str, options: Sequence[str], key: str, default: str | None = None) -> str | None:
    """What ``shared_box`` shows as chosen; for a page that has no such box."""
    asked = st.query_params.get(key)
    if asked is not None and asked not in options:
        st.warning(
            f"There is no {label.lower()} `{asked}` here. Choose one of the {len(options)}.", icon=":material/link_off:"
        )
    remembered = st.session_state.get(f"last_{key}")
    chosen = next((value for value in (asked, remembered, default) if value in options), None)
    if asked is None and chosen == default:
        st.session_state[f"last_{key}"] = chosen
    else:
        remember(key, chosen)
    return chosen


def remember(key: str, value: str | None) -> None:
    """Make ``value`` the choice of this and every other page."""
    st.session_state[f"last_{key}"] = value
    if value is None:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != value:
        st.query_params[key] = value


def _take(key: str) -> None:
    remember(key, st.session_state[key])


def run_box(frame: pd.DataFrame, default: str | None = None) -> str | None:
    """The finished runs; returns the id of the chosen one, whose task the other pages then take up."""
    chosen = shared_box("Run", list(frame["run"]), "run", default)
    if chosen is not None:
        st.session_state["last_task"] = frame.loc[frame["run"] == chosen, "task"].iloc[0]
    return chosen


def usual_run(frame: pd.DataFrame) -> str:
    """What a page shows before anything is chosen: an MLP with p = 4, which fits every board, or else the first run."""
    small = frame[(frame["model"] == "mlp") & (frame["p"] == 4)]
    return str((small if len(small) else frame)["run"].iloc[0])


def describe(row: "pd.Series") -> str:  # type: ignore[type-arg]
    """A run in short: ``mlp, p = 4``."""
    return f"{row['model']}, {label_of(row['p'])}"


def from_chart(chart_key: str) -> None:
    """Callback of a chart whose points carry the run id first in ``customdata``."""
    points = st.session_state[chart_key]["selection"]["points"]
    if points and (data := points[0].get("customdata")):
        remember("run", data[0])
        _forget("table")


def from_table(table_key: str, ids: list[str]) -> None:
    """Callback of a table with one row a run."""
    rows = st.session_state[table_key]["selection"]["rows"]
    if rows and rows[0] < len(ids):
        remember("run", ids[rows[0]])
        _forget("chart")


def turn(name: str) -> int:
    """Part of a widget's key; it changes when the choice was made elsewhere, so that the widget drops its own mark."""
    return int(st.session_state.get(f"turn_{name}", 0))


def _forget(name: str) -> None:
    st.session_state[f"turn_{name}"] = turn(name) + 1
