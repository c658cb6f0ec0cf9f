"""Hide controls by the address: ``?hide=lr,seed`` takes the widgets and containers of these keys out of sight, for a class or a talk.

What is hidden keeps its value, so a link fixes it: ``?p=8&lr=0.1&hide=p,lr``. The wish goes along from page to page; ``?hide=`` ends it.
It is a convenience and no lock.
"""

import re

import streamlit as st

NAVIGATION = '[data-testid="stTopNavLink"], [data-testid="stTopNavSection"]'
OTHERS = {"navigation": f":is({NAVIGATION})"}  # what has no key of its own


def apply() -> None:
    """Hide what the address, or an earlier address of this visit, names."""
    asked = st.query_params.get("hide", st.session_state.get("hidden", ""))
    st.session_state["hidden"] = asked
    if not asked:
        st.query_params.pop("hide", None)
        return
    if st.query_params.get("hide") != asked:
        st.query_params["hide"] = asked
    st.html(f"<style>{css(asked)}</style>")


def css(asked: str) -> str:
    """The style sheet that hides the named keys, parted by commas; anything but letters, digits, _ and - ends up as -, as in Streamlit's classes."""
    names = [re.sub(r"[^A-Za-z0-9_-]", "-", name.strip()) for name in asked.split(",") if name.strip()]
    return "".join(f"{OTHERS.get(name, f'.st-key-{name}')} {{ display: none !important; }}\n" for name in names)
