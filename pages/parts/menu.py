"""Streamlit's menu of a narrow window puts list items outside of a list, which screen readers stumble over: to them it is made a row of links."""

from typing import Any

import streamlit as st

PLAIN = """
const ITEMS = '[data-testid="stSidebarNavItems"]';

export default function () {
  if (window.tbnMenu) return;
  window.tbnMenu = true;
  let due = false;
  const mend = () => {
    due = false;
    for (const item of document.querySelectorAll(`${ITEMS}, ${ITEMS} li`)) item.setAttribute("role", "none");
  };
  const soon = () => { if (!due) due = Boolean(setTimeout(mend, 100)); };
  mend();
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });  // it comes and goes with the window's width
}
"""
_plain: Any = st.components.v2.component("tbn_menu", html="<span></span>", js=PLAIN)


def mend() -> None:
    """Once a visit: the script stays in the browser. Takes no room (pages/parts/style.css)."""
    if "menu_mended" not in st.session_state:
        st.session_state["menu_mended"] = True
        _plain(key="menu", height="content")
