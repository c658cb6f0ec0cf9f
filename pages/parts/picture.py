"""Drawings, and the two buttons under every figure: its picture as PNG or SVG, made in the visitor's browser."""

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
# A chart's own button for pictures does the work, once it is told the format. A drawing gets the page's colours, and is kept as it is or painted.
JS = """
const SCALE = 2;

function ofChart(chart, name, format) {
  chart._context.toImageButtonOptions = { filename: name, format, scale: SCALE };
  chart.querySelector('.modebar-btn[data-title^="Download plot"]')?.click();
}

function save(blob, file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function ofDrawing(drawing, name, format) {
  const copy = drawing.cloneNode(true), { width, height } = drawing.viewBox.baseVal;
  copy.style.color = getComputedStyle(drawing).color;
  copy.style.background = getComputedStyle(document.querySelector('[data-testid="stApp"]')).backgroundColor;
  const blob = new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  if (format === "svg") return save(blob, `${name}.svg`);
  const image = new Image(), canvas = document.createElement("canvas");
  image.src = URL.createObjectURL(blob);
  await image.decode();
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  canvas.toBlob((painted) => save(painted, `${name}.png`), "image/png");
}

export default function ({ data, parentElement }) {
  const around = parentElement.getRootNode().host?.closest('[class*="st-key-figure_"]');
  for (const button of parentElement.querySelectorAll("button")) {
    button.setAttribute("aria-label", `Download ${data.name} as ${button.textContent}`);
    button.onclick = () => {
      const chart = around?.querySelector(".js-plotly-plot"), drawing = around?.querySelector('svg[role="img"]');
      if (chart) ofChart(chart, data.name, button.dataset.format);
      else if (drawing) ofDrawing(drawing, data.name, button.dataset.format);
    };
  }
}
"""
# ``st.html`` takes out what is SVG
DRAW = """export default function ({ data, parentElement }) {
  const ground = parentElement.querySelector(".drawing");
  if (ground.drawn !== data) ground.innerHTML = ground.drawn = data;
}"""
_drawing: Any = st.components.v2.component(
    "tbn_drawing", html='<div class="drawing"></div>', js=DRAW, isolate_styles=False
)
_buttons: Any = st.components.v2.component("tbn_picture", html=HTML, css=CSS, js=JS)


def buttons(key: str, name: str) -> None:
    """PNG and SVG of the chart or drawing in the same container, whose key begins with ``figure_``; the files are called ``name``."""
    _buttons(key=key, data={"name": name}, height="content")


def drawing(svg: str, key: str) -> None:
    """A picture of ``tbn.cells`` in the page itself, so that its cells can be pointed at."""
    _drawing(key=key, data=svg, height="content")
