"""Drawing for a board, which only a browser shows: with the mouse, and with the keyboard alone; the answer comes at every stroke."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tbn import runs
from tbn.boards import emulator
from tbn.boards.building import place_of
from tests.browser.server import PATIENCE_MS

pytestmark = [pytest.mark.browser, pytest.mark.board]
Visit = Callable[..., Page]


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """The first answer of the float model loads torch, and the console is looked at every second only."""
    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def flashed(server: Any, trained: tuple[str, str]) -> Iterator[str]:
    """A run on scikit-learn's digits, flashed onto the emulated Nucleo."""
    run = server.runs / trained[0]
    subprocess.run(
        [sys.executable, "-m", "tbn", "flash", str(run), "--port", "emulator"], check=True, capture_output=True, timeout=400
    )  # fmt: skip
    yield trained[0]
    emulator.stop(place_of(runs.Run(run), "nucleo_f411re").emulator_state)


@pytest.fixture
def page(server: Any, flashed: str, visit: Visit) -> Page:
    """The Device page, connected, with the canvas."""
    page = visit(f"{server.url}/device?run={flashed}&input=draw")
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_role("button", name="Disconnect")).to_be_visible()
    return page


def canvas_of(page: Page) -> Locator:
    return page.get_by_role("application", name=re.compile("Canvas of 8 x 8 pixels"))


def ink(canvas: Locator) -> list[int]:
    """The pixels that are shown, 0 to 255."""
    read = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).filter((_, k) => k % 4 == 0)"
    return canvas.evaluate(read)  # type: ignore[no-any-return]


def requests(page: Page) -> int:
    """INFER frames on the console."""
    return page.get_by_test_id("stMain").inner_text().count("bytes of input")


def test_draw_with_the_mouse(page: Page) -> None:
    canvas = canvas_of(page)
    box = canvas.bounding_box()
    assert box is not None and not any(ink(canvas))
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 20, steps=10)
    page.mouse.up()
    drawn = ink(canvas)
    assert drawn[3 * 8 + 3] > 100 and drawn[3 * 8 + 4] > 100 and drawn[3 * 8] == 0  # an upright stroke in the middle
    expect(page.get_by_text("The board", exact=True)).to_be_visible()
    expect(page.get_by_text("The float model", exact=True)).to_be_visible(timeout=120_000)
    expect(page.get_by_text("Instructions", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("INFER 2: 64 bytes of input"))).to_be_visible()
    page.get_by_role("link", name=re.compile("Flash this or another run")).click()
    expect(page.get_by_role("heading", name="Firmware", exact=True)).to_be_visible()
    page.go_back()  # the drawing is there when one comes back
    expect(canvas_of(page)).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Clear.")).to_be_visible()
    assert not any(ink(canvas_of(page)))


def test_draw_with_the_keyboard_alone(page: Page) -> None:
    canvas = canvas_of(page)
    canvas.focus()
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    expect(page.get_by_text("Row 2, column 5, pen down.")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_text("Row 2, column 5, pen up.")).to_be_visible()
    expect(page.get_by_text("The float model", exact=True)).to_be_visible(timeout=120_000)
    page.keyboard.press("Tab")  # leaves the canvas, and with it the mark of the cursor
    drawn = ink(canvas)
    assert [drawn[8 * row + 4] > 100 for row in range(8)] == [False, True, True, True, True, False, False, False]
    canvas.focus()
    page.keyboard.press("Delete")
    expect(page.get_by_text("Clear.")).to_be_visible()


def test_another_visitor_is_told(page: Page, server: Any, flashed: str, visit: Visit) -> None:
    second = visit(f"{server.url}/device?run={flashed}")
    second.get_by_role("button", name="Connect", exact=True).click()
    expect(
        second.get_by_text(re.compile("is in use by another flash or evaluation, or by the console"))
    ).to_be_visible()
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("button", name="Connect", exact=True)).to_be_visible()
    second.get_by_role("button", name="Connect", exact=True).click()
    expect(second.get_by_role("button", name="Disconnect")).to_be_visible()
    second.get_by_role("button", name="Disconnect").click()
