"""What only a browser shows: clicks on charts and tables, live jobs, deep links, both themes, narrow windows."""

import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pages.parts.contents import PAGES
from pages.parts.job_names import key
from tbn import jobs
from tests.browser.server import address, title

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]
TITLES = {address(script): title(script) for script in PAGES}


@pytest.mark.parametrize("path", ["firmware", "memory?run=tiled"])
def test_the_first_visitor_may_come_by_a_deep_link(path: str, fresh_server: Any, visit: Visit) -> None:
    page = visit(f"{fresh_server.url}/{path}")
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[path.partition("?")[0]])
    expect(page.get_by_test_id("stTopNavSection").filter(has_text="Explore")).to_be_visible()  # the frame is there too
    page.wait_for_timeout(1500)
    assert page.get_by_text("Page not found").count() == 0


def test_train_then_tradeoff(server: Any, visit: Visit) -> None:
    page = visit(f"{server.url}/train?task=digits&epochs=1")
    page.get_by_test_id("stMain").get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_text("running", exact=False).first).to_be_visible()
    page.get_by_text("Test accuracy").wait_for(timeout=120_000)
    page.get_by_role("link", name="See it in the trade-off").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Trade-off")
    expect(page.get_by_role("heading", name="mlp, p = 4, seed 0")).to_be_visible()
    expect(page).to_have_url(re.compile(r"run=digits-mlp-p4-s0-.*|task=digits"))
    (job,) = [job for job in jobs.every(server.runs) if job.folder.name.startswith("digits-mlp-p4")]
    assert job.state == "done" and (job.folder / "result.json").is_file()


def test_a_run_is_chosen_by_a_click_on_the_chart_and_by_a_table_row(server: Any, trained: Any, visit: Visit) -> None:
    page = visit(f"{server.url}/?task=digits")
    chart = page.get_by_role("figure", name=re.compile("Test accuracy against"))  # a run's curves have points, too
    points = chart.locator(".scatterlayer .points path")
    points.nth(1).wait_for()
    panels = [page.get_by_role("heading", name=name) for name in ("mlp, p = 4, seed 0", "mlp, binary, seed 0")]
    for panel, end_of in zip(panels, (min, max), strict=True):  # the binary run is the larger one: to the right
        page.wait_for_timeout(1500)
        box = end_of((box for point in points.all() if (box := point.bounding_box())), key=lambda box: box["x"])
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(panel).to_be_visible()
    page.wait_for_timeout(1000)
    table = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert table is not None
    page.mouse.click(table["x"] + 16, table["y"] + 36 + 18)  # the box of the first row: the smallest run
    expect(panels[0]).to_be_visible()
    page.get_by_test_id("stTopNavSection").filter(has_text="Explore").click()
    page.get_by_role("menuitem", name="Memory").click()  # the choice goes along
    expect(page.get_by_role("heading", name="Weights of mlp, p = 4")).to_be_visible()


def test_the_signals_of_a_run_are_drawn(server: Any, trained: Any, visit: Visit) -> None:
    page = visit(f"{server.url}/?run=tiled")
    page.get_by_role("radio", name="Signals").click()
    for words, marks in (("signs that flipped", ".scatterlayer .points path"), ("Mean sign", ".scatterlayer .points path"),
                         ("Alphas after epoch 1", ".barlayer path")):  # fmt: skip
        chart = page.get_by_role("figure", name=re.compile(words))
        expect(chart.locator(marks).first).to_be_visible()


def test_a_job_outlives_browser_and_server(fresh_server: Any, visit: Visit) -> None:
    page = visit(f"{fresh_server.url}/train?task=digits&epochs=900")
    page.get_by_test_id("stMain").get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.close()
    fresh_server.stop()
    (job,) = jobs.every(fresh_server.runs)
    assert job.running
    fresh_server.start()
    page = visit(f"{fresh_server.url}/")  # another page: the strip tells of the job and leads to it
    page.get_by_role("link", name=re.compile("train digits-mlp")).click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("This job was cancelled").wait_for()
    assert jobs.status(job.folder).state == "cancelled"


def test_a_killed_job_turns_red_by_itself(fresh_server: Any, visit: Visit) -> None:
    page = visit(f"{fresh_server.url}/train?task=digits&epochs=900")
    page.get_by_test_id("stMain").get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("button", name="Cancel").wait_for()
    (job,) = jobs.every(fresh_server.runs)
    subprocess.run(["kill", "-9", str(job.pid)], check=True)
    page.get_by_text("The process was killed before it finished").wait_for()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_two_browsers_start_see_and_stop_the_same_jobs(fresh_server: Any, visit: Visit) -> None:
    pages = [visit(f"{fresh_server.url}/train?task=digits&epochs=900") for _ in range(2)]
    for page in pages:  # the same training, at the same moment
        page.get_by_test_id("stMain").get_by_role("button", name="Train", exact=True).click(no_wait_after=True)
    for page in pages:
        page.get_by_role("button", name="Cancel").wait_for()
    one, other = jobs.every(fresh_server.runs)
    assert one.running and other.running and one.folder != other.folder
    for job in (one, other):
        for page in pages:
            page.goto(f"{fresh_server.url}/jobs?job={key(job)}")
            expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
        pages[0].get_by_role("button", name="Cancel", exact=True).click()
        for page in pages:  # the second one looks on
            page.get_by_text("This job was cancelled").wait_for()
        assert jobs.status(job.folder).state == "cancelled"
