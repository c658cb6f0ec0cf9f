"""The frame around the pages: downloads, hidden controls, the tour, code to copy, and a server that is not for everybody."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.server import settle

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


def test_a_first_visit_is_offered_the_tour_once(server: Any, visit: Visit) -> None:
    page = visit(server.url, first=True)
    page.get_by_text("New here?").wait_for()
    page.get_by_role("link", name="Start the tour").click()
    page.get_by_text("Tour, 1 of 3").wait_for()
    expect(page.get_by_role("heading", level=1)).to_have_text("The tile")
    for number, heading in ((2, "Trade-off"), (3, "Firmware")):
        page.get_by_role("link", name=re.compile("^Next")).click()
        page.get_by_text(f"Tour, {number} of 3").wait_for()
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    page.get_by_role("button", name="End the tour").click()
    expect(page.get_by_text("Tour, 3 of 3")).to_have_count(0)
    page.goto(server.url)  # a new session of the same browser
    settle(page)
    page.wait_for_timeout(1000)
    expect(page.get_by_text("New here?")).to_have_count(0)


@pytest.mark.parametrize("place", ["?run=tiled", "tile"])
def test_a_chart_is_a_picture_to_keep(server: Any, trained: Any, visit: Visit, place: str, tmp_path: Path) -> None:
    page = visit(f"{server.url}/{place}")
    settle(page)
    for kind in ("PNG", "SVG"):
        with page.expect_download() as download:
            page.get_by_role("button", name=re.compile(f"^Download tbn-.* as {kind}$")).first.click()
        assert re.fullmatch(rf"tbn-[a-z0-9-]+\.{kind.lower()}", download.value.suggested_filename)
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        if kind == "PNG":
            with Image.open(path) as picture:
                assert picture.width > 300 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 5
        else:
            assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_a_table_is_a_file_to_keep(server: Any, trained: Any, visit: Visit, tmp_path: Path) -> None:
    page = visit(f"{server.url}/?task=digits")
    settle(page)
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button", name="CSV").first.click()
    download.value.save_as(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} >= set(trained) and all(float(row["score"]) > 0 for row in rows)


def test_a_teacher_hides_controls_by_the_address(server: Any, visit: Visit) -> None:
    page = visit(f"{server.url}/tile?p=8&hide=p,rate")
    settle(page)
    expect(page.get_by_role("slider", name="Tiling factor p")).to_be_hidden()
    expect(page.get_by_role("slider", name="Learning rate")).to_be_hidden()
    expect(page.get_by_role("slider", name="Rows m")).to_be_visible()
    expect(page.get_by_text("p = 8 blocks")).to_be_visible()  # hidden, and yet what the address says


def test_code_is_a_click_away(server: Any, visit: Visit) -> None:
    page = visit(f"{server.url}/tile?rows=4")
    settle(page)
    page.get_by_role("button", name=re.compile("Copy as code")).click()
    expect(page.get_by_text("toy.play(4")).to_be_visible()
