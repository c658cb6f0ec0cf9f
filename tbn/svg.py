"""Figures as SVG files, drawn by plotly itself in a headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import plotly.graph_objects as go

from tbn.errors import TBNError

WIDTH = 1100  # pixels


def save(figures: Mapping[str, go.Figure], folder: Path, width: int = WIDTH) -> None:
    """Write each figure as ``folder/<name>.svg``, on white ground.

    Raises:
        TBNError: there is no Chromium, or no Playwright.
    """
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise TBNError("figures are drawn by Playwright, which is not installed", "pip install playwright") from None
    if browser_path is None:
        raise TBNError("figures are drawn by Chromium, which is not on this machine", "apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        for name, figure in figures.items():
            drawn = go.Figure(figure).update_layout(template="plotly_white", paper_bgcolor="white")
            page.set_content(drawn.to_html(include_plotlyjs=True, full_html=True))
            size = {"format": "svg", "width": width, "height": int(drawn.layout.height or 450)}
            address = page.evaluate("size => Plotly.toImage(document.querySelector('.js-plotly-plot'), size)", size)
            (folder / f"{name}.svg").write_text(unquote(address.split(",", 1)[1]))
        browser.close()
