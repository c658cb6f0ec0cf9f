"""What stands in a closed expander is made when somebody opens it, so that a page does not wait for what nobody sees."""

from collections.abc import Callable

import streamlit as st


@st.fragment
def expander(label: str, draw: Callable[[], None], *, icon: str, key: str) -> None:
    """A closed expander that calls ``draw`` once it is open; ``st.session_state[key]`` says whether it is."""
    box = st.expander(label, icon=icon, key=key, on_change="rerun")
    if box.open:
        with box:
            draw()
