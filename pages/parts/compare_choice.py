"""Which runs are compared: kept in the address as ``?runs=A,B``, of one task, and a telling default."""

import pandas as pd
import streamlit as st

from pages.parts import names
from pages.parts.choose import shared_box
from tbn import comparing

MOST = len(comparing.LETTERS)


def run_boxes(frame: pd.DataFrame) -> list[str]:
    """The ids chosen, in their order; all of one task."""
    task_of = dict(zip(frame["run"], frame["task"], strict=True))
    asked = [name for name in (st.query_params.get("runs") or "").split(",") if name]
    for name in asked:
        if name not in task_of:
            st.warning(f"There is no run `{name}` here. Choose others.", icon=":material/link_off:")
    known = list(dict.fromkeys(name for name in asked if name in task_of))
    if known and "task" not in st.query_params:
        st.query_params["task"] = task_of[known[0]]
    tasks = list(frame["task"].value_counts().index)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task = shared_box("Task", tasks, "task", tasks[0], width=380, words=names.title)
        of_task = frame[frame["task"] == task]
        kept = [name for name in known if task_of[name] == task]
        if known and len(kept) < len(known) and kept:
            st.warning(
                "Runs of different tasks do not compare: those of another task are left out.", icon=":material/warning:"
            )
        if len(kept) > MOST:
            st.warning(
                f"More than {MOST} runs are too many for one page: the first {MOST} are shown.",
                icon=":material/warning:",
            )
        last = st.session_state.get(f"last_runs_{task}")
        if len(kept) == 1 and last != kept:  # somebody came with one run, and did not take the others away
            kept += beside(of_task, kept[0])
        if not kept:  # an empty choice stays empty
            kept = usual(of_task) if last is None else [name for name in last if name in task_of]
        st.session_state["runs"] = kept[:MOST]
        chosen = st.multiselect(
            "Runs", list(of_task["run"]), key="runs", max_selections=MOST, on_change=_take, args=(task,),
            placeholder="Choose two to four runs",
        )  # fmt: skip
    _write(task, list(chosen))
    return list(chosen)


def usual(frame: pd.DataFrame) -> list[str]:
    """What is compared before anything is chosen: full precision, binary and tiled of the model with most methods, smallest seed, p nearest 4."""
    if frame.empty:
        return []
    along = frame["data_source"].astype(str).str.contains("embedded")  # data that everybody has
    one = frame[along] if along.any() else frame
    frame = one[one["data_source"] == one["data_source"].mode().iloc[0]]
    model = frame.groupby("model")["method"].nunique().sort_values(ascending=False, kind="stable").index[0]
    of_model = frame[frame["model"] == model].assign(far=(frame["p"] - 4).abs())
    first = of_model.sort_values(["far", "seed", "run"]).drop_duplicates("method").sort_values("p")
    if len(first) < 2:
        first = of_model.sort_values(["seed", "run"]).head(2)
    return list(first["run"])


def beside(frame: pd.DataFrame, run: str) -> list[str]:
    """What one run is compared with at first: its model on its data in full precision, or else of another method, of the nearest seed."""
    row = frame[frame["run"] == run].iloc[0]
    alike = (frame["model"] == row["model"]) & (frame["data_source"] == row["data_source"])
    others = frame[alike & (frame["run"] != run)]
    others = others.assign(same=others["method"] == row["method"], far=(others["seed"] - row["seed"]).abs())
    return list(others.sort_values(["same", "p", "far", "run"])["run"].head(1))


def _take(task: str | None) -> None:
    _write(task, list(st.session_state["runs"]))


def _write(task: str | None, chosen: list[str]) -> None:
    st.session_state[f"last_runs_{task}"] = chosen
    text = ",".join(chosen)
    if not text:
        st.query_params.pop("runs", None)
    elif st.query_params.get("runs") != text:
        st.query_params["runs"] = text
