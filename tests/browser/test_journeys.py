"""What people come for, from the first click to the last."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.server import serving, settle

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


def go(page: Page, section: str, name: str) -> None:
    """To a page by the menu."""
    page.get_by_test_id("stTopNavSection").filter(has_text=section).click()
    page.get_by_role("menuitem", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    settle(page)


def test_understand_a_tile(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    go(page, "Learn", "The tile")
    factor = page.get_by_role("slider", name="Tiling factor p")
    factor.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("p = 6 blocks of q = 8")).to_be_visible()  # 8 x 6 weights: 4, 6, 8
    expect(page).to_have_url(re.compile(r"[?&]p=6"))
    for count in (10, 20):
        page.get_by_role("button", name="Ten steps").click()
        expect(page).to_have_url(re.compile(f"steps={count}"))
    expect(page.get_by_label("Steps", exact=True)).to_have_value("20")
    expect(page.get_by_text("Stored: 8 bits of tile and 192 of alphas instead of 1536 bits")).to_be_visible()
    page.get_by_role("link", name="How a gradient passes a sign").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Straight-through")


@pytest.mark.board
def test_pick_a_point_and_put_it_on_a_board(server: Any, trained: Any, visit: Visit) -> None:
    page = visit(f"{server.url}/?task=digits")
    settle(page)
    chart = page.get_by_role("figure", name=re.compile("Test accuracy against"))  # a run's curves have points, too
    points = chart.locator(".scatterlayer .points path")
    points.nth(1).wait_for()
    page.wait_for_timeout(1000)
    box = min(
        (box for point in points.all() if (box := point.bounding_box())), key=lambda box: box["x"]
    )  # the smallest network
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_role("heading", name="mlp, p = 4, seed 0")).to_be_visible()
    page.get_by_role("link", name="Make firmware").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Firmware")
    expect(page).to_have_url(re.compile("run=(tiled|digits-mlp-p4)"))  # both are of that point
    page.get_by_role("button", name="Build and flash").click()
    page.get_by_text("The board gives the run's answers: 32/32").wait_for(timeout=240_000)
    for step in ("check", "generate", "build", "fit", "flash", "verify"):
        expect(page.get_by_text(step, exact=True).locator("visible=true").first).to_be_visible()
    expect(page.get_by_text("Instructions per inference", exact=True)).to_be_visible()
    page.get_by_role("link", name="Memory map of this firmware").click()
    expect(page.get_by_label(re.compile("Flash and RAM of the firmware for ST Nucleo"))).to_be_visible()


def test_compare_two_runs(server: Any, trained: Any, visit: Visit) -> None:
    page = visit(f"{server.url}/?run=tiled")
    settle(page)
    page.get_by_role("link", name="Compare", exact=True).click()  # from a run's panel
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare")
    page.goto(f"{server.url}/compare?runs=tiled,binary")
    settle(page, 180_000)  # its first visitor waits for torch
    for words in (
        "Accuracy against the epoch.*p = 4.*binary",
        "Bytes: .*p = 4.*binary",
        "Truth: .* p = 4 says .* binary says",
    ):
        expect(page.get_by_role("figure", name=re.compile(words)).first).to_be_visible()
    expect(page.get_by_role("figure", name=re.compile("Test image 0 of digits"))).to_be_visible()
    page.get_by_role("button", name="Increment").click()
    expect(page.get_by_role("figure", name=re.compile("Test image 1 of digits"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"agree on [\d.]+% of 360 images"))).to_be_visible()
    assert page.get_by_test_id("stAlertContentError").count() == 0


LINKS = (
    "tile?rows=4&columns=8&p=8&steps=30&rate=0.03&seed=5&alpha_kind=one+a+layer",
    "?task=digits&run=binary&size=bits+per+weight",
    "compare?runs=tiled,binary",
    "memory?run=binary",
)


def test_shared_links_show_the_same_in_a_fresh_server(server: Any, trained: Any, visit: Visit) -> None:
    def seen(url: str, link: str) -> tuple[str, str]:
        page = visit(f"{url}/{link}")
        settle(page)
        page.wait_for_timeout(800)
        alts = [str(chart.get_attribute("aria-label")) for chart in page.locator('[role="figure"]').all()]
        text = page.get_by_test_id("stMain").inner_text()
        page.close()
        return text, "\n".join(alts)

    here = [seen(server.url, link) for link in LINKS]
    with serving(server.runs) as other:
        there = [seen(other.url, link) for link in LINKS]
    assert there == here and all(len(text) > 200 for text, _ in here)
