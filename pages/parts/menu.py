"""Streamlit's menu of a narrow window puts list items outside of a list, which screen readers stumble over: to them it is made a row of links."""

from typing import Any

import streamlit as st

PLAIN = """
const ITEMS = '[data-testid="stSidebarNavItems"]';

export default function () {
  const mend = () => document.querySelectorAll(`${ITEMS}, ${ITEMS} li`).forEach((item) => item.setAttribute("role", "none"));
  mend();
  const watch = new MutationObserver(mend);  // the menu comes and goes with the window's width
  watch.observe(document.body, { childList: true, subtree: true });
  return () => watch.disconnect();
}
"""
_plain: Any = st.components.v2.component("tbn_menu", html="<span></span>", js=PLAIN)


def mend() -> None:
    """Once a page; takes no room (pages/parts/style.css)."""
    _plain(key="menu", height="content")
