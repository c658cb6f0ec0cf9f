"""What every page has in common: it opens whatever lies in the runs folder, offers its code, hides what it is told to; and who may come in."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import access, hide, tour
from pages.parts.contents import FIRST, PAGES, SECTIONS
from tbn import runs
from tests.pages.synthetic import break_runs, write_many

ROOT = Path(__file__).parents[2]
ZOO = runs.zoo_root()
Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with 2,000 runs."""
    folder = tmp_path_factory.mktemp("many") / "runs"
    write_many(folder, 2000)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One cache for all that the pages compute of the zoo."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def zoo(folder: Path, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results that come with the package, and no others."""
    monkeypatch.setenv("TBN_CACHE", cache)
    monkeypatch.setattr(runs, "zoo_root", lambda: ZOO)


@pytest.fixture(params=["empty", "zoo", "many", "broken"])
def world(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, str]]:
    """What lies in the runs folder, and an address that asks for something in it."""
    kind = request.param
    if kind == "zoo":
        request.getfixturevalue("zoo")
    if kind == "many":
        monkeypatch.setenv("TBN_RUNS", str(request.getfixturevalue("many")))
    if kind == "broken":
        break_runs(folder)
    return kind, {"many": {"run": "run-0007"}, "broken": {"run": "broken_bytes"}}.get(kind, {})


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_whatever_lies_in_the_runs_folder(page: str, world: Any, open_page: Open) -> None:
    kind, query = world
    app = open_page("" if page == FIRST else page, **query)
    assert app.title[0].value == PAGES[page][0]
    errors = [error.value for error in app.error]
    assert not any("could not be drawn" in error for error in errors), errors
    if kind in ("empty", "zoo"):  # the others are runs without weights, of which a page may tell in a sentence
        assert not errors
    for error in errors:
        assert "What to do" in error


@pytest.mark.parametrize("page", PAGES)
def test_every_page_offers_its_code_and_a_name_for_its_charts(page: str, open_page: Open, zoo: None) -> None:
    app = open_page("" if page == FIRST else page)
    code = [block.value for block in app.code if block.language == "python"]
    assert any(re.search(r"^(import|from) (tbn|kernels)", block, re.MULTILINE) for block in code), "no copy_as"
    for block in code:
        compile(block, page, "exec")
    for chart in app.get("plotly_chart"):
        assert len(chart.proto.alt) > 20


def test_code_of_the_learn_pages_runs(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    for page in SECTIONS["Learn"]:
        app = open_page(page)
        with monkeypatch.context() as there:
            there.chdir(tmp_path)
            for block in app.code:
                if block.language == "python":
                    exec(compile(block.value, page, "exec"), {})
    assert (tmp_path / "tile.svg").read_text().startswith("<svg ")
    assert shown and all(figure.data for figure in shown)


def test_hidden_controls_stay_hidden_on_the_next_page(folder: Path, open_page: Open) -> None:
    app = open_page(hide="rows, lr,<script>")
    sheet = next(html.proto.body for html in app.get("html") if "display: none !important" in html.proto.body)
    assert ".st-key-rows {" in sheet and ".st-key-lr {" in sheet and "<script" not in sheet
    app.switch_page("pages/learn/tile.py").run()
    assert app.query_params["hide"] == "rows, lr,<script>"
    assert any("st-key-rows" in html.proto.body for html in app.get("html"))


def test_a_name_cannot_leave_its_selector() -> None:
    assert hide.css("a{}*,b") == ".st-key-a--- { display: none !important; }\n.st-key-b { display: none !important; }\n"
    assert "stTopNav" in hide.css("navigation")


def test_the_tour_leads_through_three_pages_and_ends(folder: Path, open_page: Open) -> None:
    for number, (page, title, _) in enumerate(tour.STEPS, 1):
        app = open_page("" if page == FIRST else page, tour=str(number))
        told = " ".join(text.value for text in app.markdown)
        assert f"Tour, {number} of 3: {title}" in told
        app.button(key="tour_close").click().run()
        assert "tour" not in app.query_params and "Tour, " not in " ".join(text.value for text in app.markdown)
    assert "Tour, " not in " ".join(text.value for text in open_page(tour="7").markdown)


LOOPBACK, OUTSIDE = "127.0.0.1", "192.0.2.7"


@pytest.mark.parametrize(
    ("configured", "served", "host", "network", "login", "word"),
    [
        (LOOPBACK, LOOPBACK, "127.0.0.1:8501", False, False, None),
        (LOOPBACK, LOOPBACK, "localhost:8501", False, False, None),
        ("::1", "::1", "[::1]:8501", False, False, None),
        (LOOPBACK, LOOPBACK, "evil.example:8501", False, False, "evil.example"),
        (LOOPBACK, LOOPBACK, "127.0.0.1.evil.example", False, False, "evil.example"),
        (LOOPBACK, LOOPBACK, "", False, False, "this computer alone"),
        (LOOPBACK, LOOPBACK, "[", False, False, "this computer alone"),
        ("", OUTSIDE, "192.0.2.7:8501", False, False, "all addresses"),
        ("0.0.0.0", LOOPBACK, "localhost:8501", False, False, "0.0.0.0"),
        (
            LOOPBACK,
            OUTSIDE,
            "192.0.2.7",
            False,
            False,
            "192.0.2.7",
        ),  # another server than Streamlit's, told another address
        ("0.0.0.0", OUTSIDE, "box.example", True, False, None),
        ("0.0.0.0", OUTSIDE, "box.example", False, True, None),
    ],
)
def test_who_is_refused(configured: str, served: str, host: str, network: bool, login: bool, word: str | None) -> None:
    sentence = access.refusal(configured, served, host, network, login)
    assert (sentence is None) if word is None else (word in sentence and "What to do" in sentence)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_guard_answers_for_the_app(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(host: str) -> list[Any]:
        with ThreadPoolExecutor(1) as apart:  # Playwright's loop may run in this thread
            return apart.submit(asyncio.run, answer_to(host)).result()

    async def answer_to(host: str) -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        scope = {"type": kind, "server": (LOOPBACK, 1), "headers": [(b"host", host.encode())]}
        await access.Guard(app)(scope, None, send)  # type: ignore[arg-type]
        return sent

    monkeypatch.delenv("TBN_ALLOW_NETWORK", raising=False)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(access.st, "get_option", lambda name: LOOPBACK)
    assert ask("localhost")[0] == {
        "type": "http.response.start", "status": 200, "headers": [(b"content-security-policy", b"frame-ancestors 'self'")],
    }  # fmt: skip
    refused = ask("evil.example")[0]
    assert refused.get("status") == 403 if kind == "http" else refused["type"] == "websocket.close"


@pytest.mark.parametrize("extra", [[], ["--", "--allow-network"]])
def test_on_all_addresses_a_server_is_closed_until_the_network_is_allowed(extra: list[str], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.address",
        "0.0.0.0",
        "--server.port",
        str(port),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "TBN_ALLOW_NETWORK"}
    server = subprocess.Popen(
        [*command, *extra], cwd=ROOT, env=environment | {"TBN_RUNS": str(tmp_path)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=10) as answer:
                    status, text = answer.status, answer.read().decode()
                break
            except urllib.error.HTTPError as error:
                status, text = error.code, error.read().decode()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        server.kill()
        server.wait()
    if extra:
        assert status == 200 and "<html" in text
    else:
        assert status == 403 and "--allow-network" in text and "0.0.0.0" in text


def test_with_a_login_nobody_comes_in_before_it(folder: Path) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
    app.secrets["auth"] = {"redirect_uri": "http://localhost/oauth2callback", "cookie_secret": "x"}
    app.run()
    assert not app.exception
    assert [button.label for button in app.button] == ["Log in"] and len(app.title) == 1


def test_sections_name_every_page_once() -> None:
    assert list(SECTIONS) == ["Learn", "Explore", "Run", "Deploy"]
    scripts = [script for pages in SECTIONS.values() for script in pages]
    found = {
        str(path.relative_to(ROOT))
        for section in ("learn", "explore", "run", "deploy")
        for path in (ROOT / "pages" / section).glob("*.py")
    }
    assert len(scripts) == len(set(scripts)) and set(scripts) == found
    names = [Path(script).stem for script in scripts]  # they are the pages' addresses
    assert len(names) == len(set(names))
    for section, pages in SECTIONS.items():
        assert all(script.startswith(f"pages/{section.lower()}/") for script in pages)
    assert len({json.dumps(told) for told in PAGES.values()}) == len(PAGES)
