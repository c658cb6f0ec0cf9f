"""The tile's formula follows the pointer and the arrow keys, and the page plays by itself."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tbn import toy
from tests.browser.server import settle

pytestmark = pytest.mark.browser


def test_the_formula_follows_the_pointer_and_the_page_plays(server: Any, visit: Callable[..., Page]) -> None:
    page = visit(f"{server.url}/tile?rows=4&columns=6&p=3")
    settle(page)
    state = toy.play(4, 6, 3)[-1]
    told, frames = page.locator(".st-key-formula .numbers"), page.locator(".tbn-frames > div")
    expect(told).to_contain_text("Point at a cell")
    page.wait_for_timeout(1000)  # until the formula listens to the charts
    plot = page.locator(
        ".st-key-tiled .js-plotly-plot .cartesianlayer .bglayer rect, .st-key-tiled .js-plotly-plot .nsewdrag"
    ).last
    box = plot.bounding_box()
    assert box is not None
    for shift in (0, 3):  # row 1, column 2 of the weight: place 0 of block 1
        page.mouse.move(box["x"] + box["width"] * 2.5 / 6 + shift, box["y"] + box["height"] * 1.5 / 4)
        page.wait_for_timeout(200)
    sign = "+1" if state.tile[0] > 0 else "−1"  # noqa: RUF001
    expect(told).to_contain_text(f"= {sign}")
    expect(told).to_contain_text(re.compile(rf"Ŵ1,2 = .*{state.alphas[1]:.2f}"))
    expect(frames).to_have_count(3 + 3 + 3 + 2)  # each copy in both weights and in the blocks, its sum and its bit
    page.locator(".st-key-formula .formula").focus()
    page.keyboard.press("ArrowRight")
    expect(told).to_contain_text("t1 = sign(")
    page.locator(".st-key-playing label").click()
    expect(page).to_have_url(re.compile(r"steps=[2-9]"), timeout=60_000)
    page.get_by_role("button", name="Start again").click()
    expect(page.get_by_label("Steps", exact=True)).to_have_value("0")
    page.wait_for_timeout(2000)
    expect(page.get_by_label("Steps", exact=True)).to_have_value("0")
