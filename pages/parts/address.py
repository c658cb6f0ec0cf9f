"""Choices of one page in its address, by key: ``?device=cuda``, whatever the button says to people.

Streamlit's own ``bind`` writes what a button says. A link with those words is still understood.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

Words = Callable[[Any], Any]


def buttons(label: str, options: Sequence[Any], default: Any, key: str, words: Words = str) -> Any:
    """Buttons of which one is always pressed; the address has ``str`` of the choice, or nothing for the default."""
    chosen = _chosen(options, default, key, words)
    st.segmented_control(
        label,
        options,
        required=True,
        key=key,
        format_func=words,
        on_change=_take,
        args=(key, _default(options, default)),
    )
    return chosen


def box(
    label: str, options: Sequence[Any], default: Any, key: str, words: Words = str, width: int | str = "stretch"
) -> Any:
    """The same as a box, for many options."""
    chosen = _chosen(options, default, key, words)
    st.selectbox(
        label,
        options,
        key=key,
        format_func=words,
        width=width,
        on_change=_take,
        args=(key, _default(options, default)),  # type: ignore[arg-type]
    )
    return chosen


def _chosen(options: Sequence[Any], default: Any, key: str, words: Words) -> Any:
    """What the address asks for, if it is there; it becomes the widget's value."""
    asked, usual = st.query_params.get(key), _default(options, default)
    chosen = next(
        (option for option in options if asked is not None and asked in (str(option), str(words(option)))), usual
    )
    st.session_state[key] = chosen
    return chosen


def _default(options: Sequence[Any], default: Any) -> Any:
    return default if default in options else options[0]


def _take(key: str, default: Any) -> None:
    chosen = st.session_state[key]
    if chosen is None or chosen == default:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = str(chosen)
