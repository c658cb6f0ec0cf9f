"""Everybody can use every page: axe-core finds nothing serious, the keyboard reaches everything, links and pictures have names."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pages.parts.contents import PAGES
from tests.browser.server import address, settle, title

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="no axe-core: pip install axe-playwright-python"
)
pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 420)])
def test_every_page_is_for_everybody(server: Any, trained: Any, visit: Visit, scheme: str, width: int) -> None:
    """No error, nothing wider than the window, words for every chart, and axe-core finds nothing serious; all pages are told at once."""
    found: list[str] = []
    for script in PAGES:
        page = visit(f"{server.url}/{address(script)}?run=tiled", width, scheme)
        expect(page.get_by_role("heading", level=1)).to_have_text(title(script))
        settle(page)
        for kind in ("stException", "stAlertContentError"):
            found += [f"{title(script)}: {box.inner_text()[:200]}" for box in page.get_by_test_id(kind).all()]
        wide = page.get_by_test_id("stMain").evaluate("main => main.scrollWidth - main.clientWidth")
        if wide > 0:
            found.append(f"{title(script)} is {wide} px wider than a window of {width}")
        for chart in page.get_by_test_id("stPlotlyChart").all():
            if not (chart.locator("[aria-label]").count() or chart.get_attribute("aria-label")):
                found.append(f"{title(script)}: a chart without words")
        for violation in axe.Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                places = "; ".join(str(node["html"])[:160] for node in violation["nodes"][:3])
                found.append(f"{title(script)}: {violation['id']} ({len(violation['nodes'])} times): {places}")
        page.close()
    assert not found, "\n".join(found)


def test_the_keyboard_opens_a_page_and_moves_a_control(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    settle(page)
    for _ in range(40):  # Tab reaches the menu
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("Learn"):
            break
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name=re.compile("The tile")).wait_for()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("The tile")
    settle(page)
    slider = page.get_by_role("slider", name="Rows m")
    slider.focus()
    before = slider.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("rows="))
    assert slider.get_attribute("aria-valuetext") != before
    page.get_by_role("button", name="One step").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("1")
