"""TBN Explorer: the frame around every page. ``make app``, or ``streamlit run app.py``."""

import logging

import streamlit as st
from starlette.middleware import Middleware

from pages.parts import access, figures, garbage, hide, live, menu, tour, words
from pages.parts.contents import FIRST, ICON, PAGES, SECTIONS

if __name__ == "__main__":  # a visitor's run of this script
    st.set_page_config(page_title="TBN Explorer", page_icon=ICON, layout="wide")
    access.check()
    garbage.set_aside()
    sections = {
        section: [st.Page(path, title=t, icon=i, help=h, default=path == FIRST) for path, (t, i, h) in pages.items()]
        for section, pages in SECTIONS.items()
    }
    page = st.navigation(sections, position="top")
    hide.apply()
    figures.style()
    menu.mend()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="head"):
        st.title(page.title, anchor=False, width="content")
        live.strip()
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            tour.link()
            words.place_for_code()
    st.caption(page.help)
    tour.draw()
    with words.errors_as_sentences():
        page.run()
else:  # the server, which loads this file once before the first visitor
    # st.navigation tells Streamlit that pages/ is not its automatic folder of pages; without that, the first visitor who comes by a deep link
    # is told "Page not found". It warns that nobody is visiting yet.
    warnings = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    warnings.disabled = True
    st.navigation([st.Page(path) for path in PAGES])
    warnings.disabled = False
    app = st.App(__file__, middleware=[Middleware(access.Guard)])
