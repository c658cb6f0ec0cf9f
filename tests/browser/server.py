"""A real server and a real browser, for tests, pictures and times."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from pages.parts.contents import FIRST, PAGES

ROOT = Path(__file__).parents[2]
PATIENCE_MS = 30_000  # a busy machine is no failure
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
NOT_NEW_HERE = "try { localStorage.setItem('tbn-welcome', 'test') } catch {}"  # else every page would offer the tour
# a page is done when its script is, and every chart of it has something drawn
DONE = """() => document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === 'notRunning'
  && document.querySelector('h1') !== null && document.querySelector('[data-stale="true"], [data-testid="stSkeleton"]') === null
  && [...document.querySelectorAll('[data-testid="stPlotlyChart"]')].every(
    chart => chart.offsetParent === null || chart.querySelector('.main-svg'))"""


class Server:
    """``streamlit run app.py`` on a free port."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.runs.parent.mkdir(parents=True, exist_ok=True)
        self.log = (self.runs.parent / "server.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)],
            cwd=ROOT, env=os.environ | {"TBN_RUNS": str(self.runs)}, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1):
                    return
            except OSError:
                assert self.process.poll() is None, (self.runs.parent / "server.log").read_text()
                time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@contextmanager
def serving(runs: Path) -> Iterator[Server]:
    """A server that ends with the block."""
    server = Server(runs)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        try:
            yield browser
        finally:
            browser.close()


def address(script: str) -> str:
    """A page's path: ``tile`` of ``pages/learn/tile.py``, nothing of the first page."""
    return "" if script == FIRST else Path(script).stem


def title(script: str) -> str:
    """What a page's heading says."""
    return PAGES[script][0]


def settle(page: Page, timeout_ms: float = 60_000) -> None:
    """Wait until the page is done."""
    page.wait_for_function(DONE, timeout=timeout_ms)
