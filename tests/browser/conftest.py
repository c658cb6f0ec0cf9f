"""One server and one browser for all tests, with a runs folder of their own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tbn import jobs
from tests.browser.server import CHROMIUM, NOT_NEW_HERE, PATIENCE_MS, ROOT, Server, chromium

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[Server]:
    """A server that nobody has visited yet."""
    server = Server(tmp_path / "runs")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of all tests; what still runs in its folder at the end is cancelled."""
    server = Server(tmp_path_factory.mktemp("app") / "runs")
    yield server
    server.stop()
    for job in jobs.every(server.runs):
        jobs.cancel(job.folder, grace_seconds=1)


@pytest.fixture(scope="session")
def trained(server: Server) -> tuple[str, str]:
    """Ids of two small finished runs on digits: p = 4 and binary."""
    for name, p in (("tiled", "4"), ("binary", "1")):
        command = [
            "train",
            "--task",
            "digits",
            "--model",
            "mlp",
            "--p",
            p,
            "--epochs",
            "1",
            "--folder",
            str(server.runs / name),
            "--json",
        ]
        subprocess.run([sys.executable, "-m", "tbn", *command], check=True, cwd=ROOT, capture_output=True, timeout=300)
    return "tiled", "binary"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address in a window of a given width and colour scheme; the page is there when its title is.

    Without ``first`` the browser was here before.
    """
    pages: list[Page] = []
    foreign: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            foreign.append(request.url)

    def go(address: str, width: int = 1400, scheme: str = "light", first: bool = False) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)  # type: ignore[arg-type]
        page.set_default_timeout(60_000)
        page.on("request", note)
        if not first:
            page.add_init_script(NOT_NEW_HERE)
        page.goto(address)
        page.get_by_role("heading", level=1).wait_for()
        pages.append(page)
        return page

    yield go
    for page in pages:
        if not page.is_closed():
            page.close()
    assert not foreign, "the app asked somebody else than its own server"
