"""What a training would cost, before it is started: its time by the recorded runs, and the network's bytes."""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.parts import data, figures, words
from tbn import estimate, tasks
from tbn.estimate import Estimate


@st.cache_data(show_spinner=False, max_entries=40)
def shapes_of(task: str, data_root: str | None, task_args: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """What a task's models are built with, and the shape of an input."""
    found = tasks.create(task, data_root, **task_args)
    return found.model_arguments, tuple(found.input_shape)


@st.cache_data(show_spinner="Counting", max_entries=200)
def sizes_of(config: dict[str, Any]) -> dict[str, Any]:
    """The network's sizes, as ``tbn summary`` gives them; no weight is made for it."""
    from tbn.config import RunConfig
    from tbn.sketch import sketch

    arguments, shape = shapes_of(config["task"], config.get("data_root"), config.get("task_args", {}))
    return sketch(RunConfig(**config), arguments, shape).to_dict()


@st.fragment
def draw(config: Mapping[str, Any]) -> None:
    """The time at once; bytes and multiply-adds when they are asked for, since counting them loads torch."""
    with words.errors_as_sentences():
        place = st.container()
        counted = None
        with st.expander(
            "Its bytes and multiply-adds", icon=":material/straighten:", key="cost", on_change="rerun"
        ) as more:
            if more.open:
                counted = sizes_of(plain(config))
                figures.sizes(counted, "Tiles and alphas", multiplications=True)
        with place:
            told(estimate.training(config, data.finished(), counted and counted["macs_dense"]))


def told(time: Estimate) -> None:
    """The time in a line, and below it where it is from."""
    if time.seconds is None:
        st.markdown(":material/schedule: **How long it takes is not known yet.**")
        source = time.source
    else:
        st.markdown(f":material/schedule: Training takes **{words.escape(time.text)}**.")
        source = f"By {time.source}; starting takes some seconds more, other work slows it down"
    st.caption(words.escape(source[:1].upper() + source[1:]) + ".")


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The form's configuration as ``RunConfig`` takes it: arguments that are text become numbers where they are."""
    found = {name: value for name, value in config.items() if value is not None}
    for name in ("model_args", "task_args"):
        found[name] = {key: _value(value) for key, value in (config.get(name) or {}).items()}
    return found


def _value(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
