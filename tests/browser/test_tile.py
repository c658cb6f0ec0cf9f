"""The tile's formula follows the pointer and the arrow keys, and the page plays by itself."""

import re
from collections.abc import Callable
from pathlib import Path
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
    told, frames = page.locator(".st-key-formula .numbers"), page.locator("svg rect.framed")
    expect(told).to_contain_text("Point at a cell")
    cells = page.locator(".st-key-tiled svg rect")
    expect(cells).to_have_count(24)
    cells.nth(8).hover()  # row 1, column 2 of the weight: place 0 of block 1
    sign = "+1" if state.tile[0] > 0 else "−1"  # noqa: RUF001
    expect(told).to_contain_text(f"= {sign}")
    expect(told).to_contain_text(re.compile(rf"Ŵ1,2 = .*{state.alphas[1]:.2f}"))
    expect(frames).to_have_count(3 + 3 + 3 + 2)  # each copy in both weights and in the blocks, its sum and its bit
    page.locator(".st-key-formula .formula").focus()
    page.keyboard.press("ArrowRight")
    expect(told).to_contain_text("t1 = sign(")
    with page.expect_download() as kept:
        page.get_by_role("button", name="Download tbn-tile-fold as PNG").click()
    assert Path(kept.value.path()).read_bytes()[:4] == b"\x89PNG"
    with page.expect_download() as kept:
        page.get_by_role("button", name="Download tbn-tile-fold as SVG").click()
    assert Path(kept.value.path()).read_text().count("<rect ") == 3 * 8 + 8 + 8
    page.locator(".st-key-playing label").click()
    expect(page).to_have_url(re.compile(r"steps=[2-9]"), timeout=60_000)
    page.get_by_role("button", name="Start again").click()
    expect(page.get_by_label("Steps", exact=True)).to_have_value("0")
    page.wait_for_timeout(2000)
    expect(page.get_by_label("Steps", exact=True)).to_have_value("0")
