"""The two buttons under every figure: its picture as PNG or SVG, made in the visitor's browser by the chart itself."""

from typing import Any

import streamlit as st

HTML = """<div>
<button type="button" data-format="png" title="Download this chart as PNG">PNG</button>
<button type="button" data-format="svg" title="Download this chart as SVG">SVG</button>
</div>"""
CSS = """
div { display: flex; justify-content: flex-end; gap: 0.25rem; }
button {
  background: none; border: none; border-radius: 0.25rem; padding: 0 0.3rem; cursor: pointer;
  font: 0.75rem/1.25rem var(--st-font); color: var(--st-text-color); opacity: 0.75;
}
button:hover, button:focus-visible { opacity: 1; text-decoration: underline; }
button:focus-visible { outline: 2px solid var(--st-primary-color); }
"""
# The chart's own button for pictures does the work; here it is told the format first.
JS = """
export default function ({ data, parentElement }) {
  const around = parentElement.getRootNode().host?.closest('[class*="st-key-figure_"]');
  for (const button of parentElement.querySelectorAll("button")) {
    button.setAttribute("aria-label", `Download ${data.name} as ${button.textContent}`);
    button.onclick = () => {
      const chart = around?.querySelector(".js-plotly-plot");
      if (!chart) return;
      chart._context.toImageButtonOptions = { filename: data.name, format: button.dataset.format, scale: 2 };
      chart.querySelector('.modebar-btn[data-title^="Download plot"]')?.click();
    };
  }
}
"""
_buttons: Any = st.components.v2.component("tbn_picture", html=HTML, css=CSS, js=JS)


def buttons(key: str, name: str) -> None:
    """PNG and SVG of the chart in the same container, whose key begins with ``figure_``; the files are called ``name``."""
    _buttons(key=key, data={"name": name}, height="content")
