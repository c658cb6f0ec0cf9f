"""An app with a runs folder of its own, empty or with runs that follow the run folder's contract."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tbn import runs
from tests.pages.synthetic import write_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder, and no zoo."""
    monkeypatch.setenv("TBN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TBN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runs, "zoo_root", lambda: tmp_path / "zoo")
    monkeypatch.chdir(ROOT)
    return tmp_path / "runs"


@pytest.fixture
def add_run(folder: Path) -> Callable[..., Path]:
    """Write a finished run into the runs folder: ``add_run(p, seed, score, task, kind)``."""
    return partial(write_run, folder)


@pytest.fixture
def trained(folder: Path) -> Path:
    """A runs folder with fp32, binary and tiled runs of two seeds."""
    for p, accuracy in ((0, 0.88), (1, 0.86), (4, 0.84), (8, 0.80)):
        for seed in (0, 1):
            write_run(folder, p, seed, accuracy + seed / 100)
    return folder


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Open the app at a page, with query parameters; fails on any exception that a page lets through."""

    def go(page: str = "", **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        if page:
            app.switch_page(page).run()
        assert not app.exception, app.exception[0].value
        return app

    return go
