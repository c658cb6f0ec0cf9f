"""One visit that goes from every page to every other page: a control of one page may not upset a page that comes later."""

import io
import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.contents import FIRST, PAGES
from tbn import runs, uploads
from tbn.sweep import Sweep
from tbn.sweep.desk import Desk

Open = Callable[..., AppTest]
ZOO = runs.zoo_root()
RUNS = [f"fashion_mnist-mlp-{how}-s0" for how in ("fp32", "binary", "p4")]


@pytest.fixture
def lived_in(folder: Path) -> None:
    """Runs with weights, an upload, a sweep, and a job of each kind that a page has a box for: the controls that pages show are there."""
    for name in RUNS:
        shutil.copytree(ZOO / name, folder / name)
    found = io.BytesIO()
    np.savez_compressed(found, x=np.zeros((40, 8, 8), np.uint8), y=["cat", "dog"] * 20)
    uploads.keep("mine.npz", found.getvalue())
    Desk.open(Sweep("digits", "mlp", {"p": (1, 4)}, {"epochs": 1}, seeds=1, name="kept"), folder)
    for kind in ("train", "budget", "bench", "adopt"):
        place = folder / "jobs" / f"{kind}-1"
        place.mkdir(parents=True)
        record = {"kind": kind, "argv": [kind], "pid": 1, "started": 1.0, "ended": 2.0, "returncode": 0}
        (place / "job.json").write_text(json.dumps(record))


def walk() -> list[str]:
    """The pages in an order in which each follows each other one exactly once; the first one is the last one, too."""
    left = {page: [other for other in PAGES if other != page] for page in PAGES}
    path, way = [FIRST], []
    while path:
        if left[path[-1]]:
            path.append(left[path[-1]].pop())
        else:
            way.append(path.pop())
    return way[::-1]


def complaints(app: AppTest) -> set[str]:
    """What a page says went wrong, or is not there."""
    return {str(box.value) for box in (*app.exception, *app.error, *app.warning)}


def test_every_page_after_every_other(lived_in: None, open_page: Open) -> None:
    way = walk()
    steps = list(pairwise(way))
    assert len(set(steps)) == len(steps) == len(PAGES) * (len(PAGES) - 1)
    fresh = {page: complaints(open_page(page)) for page in PAGES}
    app, new = open_page(), []
    for before, page in steps:
        app.switch_page(page).run()
        assert app.title[0].value == PAGES[page][0]
        new += [f"{page} after {before}: {told}" for told in complaints(app) - fresh[page]]
    assert not new, "\n".join(new)
