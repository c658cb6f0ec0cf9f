"""A first visit is offered a tour of three steps: understand a tile, choose on the trade-off, put it on a board.

The step is in the address (``?tour=2``), so that a step is a link like everything else; whether this browser was here before is known to the
browser alone.
"""

from typing import Any

import streamlit as st

STEPS = (
    (
        "pages/learn/tile.py",
        "Understand a tile",
        "A tiled layer stores **one block of signs** and lays it down p times, scaled by alphas. Move **p**, press **One step** and watch bits flip.",
    ),
    (
        "pages/explore/tradeoff.py",
        "Choose a network",
        "Every point is a trained network: up is better, left is smaller, **★ is on the front**. Click a point, or a row, to see all there is of it.",
    ),
    (
        "pages/deploy/firmware.py",
        "Put it on a board",
        "**Build and flash** turns the chosen run into C, links it, and asks the board for the same answers. Emulated boards need no hardware.",
    ),
)
SEEN = """
export default function ({ setTriggerValue }) {
  try {
    if (localStorage.getItem("tbn-welcome")) return;
    localStorage.setItem("tbn-welcome", new Date().toISOString());
  } catch { return; }
  setTriggerValue("first", true);
}
"""
_seen: Any = st.components.v2.component("tbn_first_visit", html="<span></span>", js=SEEN)


def draw() -> None:
    """The step that the address names, or the offer on a first visit, or nothing."""
    asked = st.query_params.get("tour", "")
    number = int(asked) if asked in ("1", "2", "3") else 0
    if number:
        st.session_state["welcome"] = False
        step(number)
    elif st.session_state.get("welcome"):
        offer()
    elif "welcome" not in st.session_state:
        with st.container(key="first_visit", height=1, border=False):
            _seen(key="first_visit_seen", on_first_change=welcome)


def link() -> None:
    """The way to the tour at any time."""
    if st.button("Tour", icon=":material/tour:", key="tour_begin", type="tertiary"):
        st.switch_page(STEPS[0][0], query_params={"tour": "1"})


def welcome() -> None:
    """This browser was never here before."""
    st.session_state["welcome"] = True


def close() -> None:
    """No more of it in this visit."""
    st.session_state["welcome"] = False
    st.query_params.pop("tour", None)


def offer() -> None:
    """Three steps in a line, and the choice."""
    with card():
        path = " → ".join(title.lower() for _, title, _ in STEPS)
        st.markdown(f"**New here?** Three steps show what this is about: {path}.")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(STEPS[0][0], label="Start the tour", icon=":material/tour:", query_params={"tour": "1"})
            st.button("Not now", key="tour_close", type="tertiary", on_click=close)


def step(number: int) -> None:
    """One step: what to try here, and the ways back and on."""
    _, title, text = STEPS[number - 1]
    with card():
        st.markdown(f"**Tour, {number} of {len(STEPS)}: {title}.** {text}")
        with st.container(horizontal=True, vertical_alignment="center"):
            for other, label, icon in ((number - 1, "Back", "arrow_back"), (number + 1, "Next", "arrow_forward")):
                if 0 < other <= len(STEPS):
                    where, name, _ = STEPS[other - 1]
                    there = {"tour": str(other)}
                    st.page_link(where, label=f"{label}: {name.lower()}", icon=f":material/{icon}:", query_params=there)
            st.button("End the tour", key="tour_close", type="tertiary", on_click=close)


def card() -> Any:
    """The frame of both."""
    return st.container(border=True, key="tour", gap="small")
