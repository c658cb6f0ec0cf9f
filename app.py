"""TBN Explorer: the frame around every page. ``make app``, or ``streamlit run app.py``."""

import logging

import streamlit as st

from pages.parts import live, words
from pages.parts.contents import ICON, PAGES

if __name__ == "__main__":  # a visitor's run of this script
    st.set_page_config(page_title="TBN Explorer", page_icon=ICON, layout="wide")
    pages = [
        st.Page(path, title=t, icon=i, help=h, default=path == next(iter(PAGES))) for path, (t, i, h) in PAGES.items()
    ]
    page = st.navigation(pages, position="top")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(page.title, anchor=False, width="content")
        live.strip()
    st.caption(page.help)
    with words.errors_as_sentences():
        page.run()
else:  # the server, which loads this file once before the first visitor
    # st.navigation tells Streamlit that pages/ is not its automatic folder of pages; without that, the first visitor who comes by a deep link
    # is told "Page not found". It warns that nobody is visiting yet.
    warnings = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    warnings.disabled = True
    st.navigation([st.Page(path) for path in PAGES])
    warnings.disabled = False
    app = st.App(__file__)
