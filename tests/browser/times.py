"""How long people wait for the explorer, in a real browser: ``python -m tests.browser.times``.

From the click to the moment when the new page's script has ended and every chart is drawn, in Chromium on this machine with a warm server, the
median of 20; and the same with ten sessions that all click at once. Writes a JSON file with every measured time; ``--show FILE`` prints it as the
table in README.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit
from playwright.sync_api import Browser, Page

from kernels.machine import cpu_name
from pages.parts.contents import FIRST, PAGES, SECTIONS
from tests.browser.server import CHROMIUM, DONE, NOT_NEW_HERE, ROOT, Server, address, chromium, serving, settle, title
from tests.pages.synthetic import write_many

LIMITS_MS = {"page": 500, "widget": 200, "many": 1000, "cold": 4000}
CLOCK = f"""
const tbnDone = {DONE};
const tbnNextFrame = () => new Promise(requestAnimationFrame);
window.tbnDrawn = async () => {{ do await tbnNextFrame(); while (!tbnDone()); await tbnNextFrame(); }};
let tbnHeard = 0;  // when the server said something last
const tbnSocket = window.WebSocket;
window.WebSocket = class extends tbnSocket {{
  constructor(...given) {{ super(...given); this.addEventListener('message', () => {{ tbnHeard = performance.now(); }}); }}
}};
// ms from a moment until everything that the server has to say to it is drawn: no further word for a tenth of a second
const tbnAnswered = async start => {{
  let drawn = null;
  while (drawn === null || performance.now() - drawn < 100) {{
    await tbnNextFrame();
    if (tbnHeard < start || !tbnDone()) drawn = null;
    else if (drawn === null || drawn < tbnHeard) drawn = performance.now();
  }}
  return drawn - start;
}};
// from the click on a link of the menu to the page of that title, in ms
window.tbnSwitch = async (label, title) => {{
  const link = [...document.querySelectorAll('[data-testid="stTopNavDropdownLink"], [data-testid="stTopNavLink"]')]
    .find(link => link.textContent.endsWith(label));
  const start = performance.now();
  link.click();
  while (document.querySelector('h1')?.textContent !== title) await tbnNextFrame();
  return tbnAnswered(start);
}};
// from the next click or key to the end of the rerun that it makes, in ms
window.tbnArm = () => {{
  window.tbnResult = new Promise(resolve => {{
    const began = event => {{
      for (const kind of ['click', 'keydown']) document.removeEventListener(kind, began, true);
      tbnAnswered(event.timeStamp).then(resolve);
    }};
    for (const kind of ['click', 'keydown']) document.addEventListener(kind, began, true);
  }});
}};
"""
WIDGETS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "One step (button)": ("pages/learn/tile.py", lambda page: page.get_by_role("button", name="One step").click()),
    "Tiling factor (slider)": ("pages/learn/tile.py", lambda page: _slide(page, "Tiling factor p")),
    "dL/db (slider)": ("pages/learn/straight_through.py", lambda page: _slide(page, "dL/db from the layer")),
    "Wanted bit (buttons)": ("pages/learn/straight_through.py", lambda page: _other(page, "target")),
    "Alpha (buttons)": ("pages/learn/sizes.py", lambda page: _other(page, "alpha")),
}


def _slide(page: Page, label: str) -> None:
    """One step to the right, the next time to the left."""
    page.get_by_role("slider", name=label).focus()
    page.evaluate("tbnArm()")
    page.keyboard.press(
        str(page.evaluate("window.tbnKey = window.tbnKey === 'ArrowRight' ? 'ArrowLeft' : 'ArrowRight'"))
    )


def _other(page: Page, key: str) -> None:
    """The button of a pair that is not pressed."""
    page.locator(f".st-key-{key} button[aria-checked=false], .st-key-{key} button[aria-pressed=false]").first.click()


def opened(browser: Browser, url: str) -> Page:
    """A page in a session of its own, with the clock in it."""
    page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    page.set_default_timeout(60_000)
    page.add_init_script(NOT_NEW_HERE + CLOCK)
    page.goto(url)
    settle(page)
    return page


def open_menu(page: Page, script: str) -> None:
    """Open the section in which a page stands, so that its link is there."""
    section = next(name for name, pages in SECTIONS.items() if script in pages)
    if page.get_by_test_id("stTopNavDropdownLink").filter(has_text=title(script)).count() == 0:
        page.get_by_test_id("stTopNavSection").filter(has_text=section).click()
        page.get_by_test_id("stTopNavDropdownLink").filter(has_text=title(script)).first.wait_for()


def switch(page: Page, script: str, wait: bool = True) -> float:
    """Go to a page by the menu; returns ms."""
    open_menu(page, script)
    call = f"tbnSwitch({json.dumps(title(script))}, {json.dumps(title(script))})"
    return float(page.evaluate(call if wait else f"() => {{ window.tbnResult = {call} }}") or 0)


def page_times(browser: Browser, server: Server, repeats: int) -> dict[str, list[float]]:
    """ms for a switch to each page."""
    page = opened(browser, server.url)
    times: dict[str, list[float]] = {}
    for turn in range(repeats + 1):  # the first turn warms the server and is left out
        for script in [*list(PAGES)[1:], next(iter(PAGES))]:
            taken = switch(page, script)
            if turn:
                times.setdefault(title(script), []).append(taken)
    page.context.close()
    return times


def widget_times(browser: Browser, server: Server, repeats: int) -> dict[str, list[float]]:
    """ms from a click or key on a Learn page to the redrawn page."""
    times: dict[str, list[float]] = {}
    for name, (script, act) in WIDGETS.items():
        page = opened(browser, f"{server.url}/{address(script)}")
        for turn in range(repeats + 1):
            page.evaluate("tbnArm()")
            act(page)
            taken = float(page.evaluate("window.tbnResult"))
            if turn:
                times.setdefault(f"{title(script)}: {name}", []).append(taken)
        page.context.close()
    return times


def crowd_times(browser: Browser, server: Server, sessions: int, repeats: int) -> dict[str, list[float]]:
    """ms for a switch to the first page and to a Learn page when so many sessions click at once."""
    pages = [opened(browser, server.url) for _ in range(sessions)]
    times: dict[str, list[float]] = {}
    for turn in range(repeats + 1):
        for script in ("pages/learn/tile.py", FIRST):
            for page in pages:
                open_menu(page, script)
            for page in pages:
                switch(page, script, wait=False)
            found = [float(page.evaluate("window.tbnResult")) for page in pages]
            if turn:
                times.setdefault(f"{title(script)}, {sessions} sessions", []).extend(found)
    for page in pages:
        page.context.close()
    return times


def many_times(browser: Browser, folder: Path, repeats: int, count: int = 2000) -> tuple[dict[str, list[float]], float]:
    """ms for a switch to the trade-off with so many runs, and the first view of it by a new server."""
    write_many(folder / "runs", count)
    with serving(folder / "runs") as server:
        page = opened(browser, f"{server.url}/tile")
        first = switch(page, FIRST)
        times = []
        for _ in range(repeats):
            switch(page, "pages/learn/tile.py")
            times.append(switch(page, FIRST))
        assert page.locator(".scatterlayer .points path").count() > 50, "the trade-off does not show its runs"
        page.context.close()
    return {f"{title(FIRST)}, {count:,} runs": times}, first


def cold_times(browser: Browser, folder: Path, repeats: int) -> list[float]:
    """ms from the address to the first page, of a server that nobody has visited yet, in a browser without a cache."""
    times = []
    for turn in range(repeats):
        with serving(folder / str(turn) / "runs") as server:
            page = opened(browser, server.url)
            times.append(float(page.evaluate("tbnDrawn().then(() => performance.now())")))
            page.context.close()
    return times


def main() -> int:
    """Measure, print a table, write the file; 1 where a median is over its limit."""
    options = argparse.ArgumentParser(prog="python -m tests.browser.times", description=__doc__)
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--sessions", type=int, default=10)
    options.add_argument("--out", type=Path, default=Path("times.json"))
    options.add_argument("--show", type=Path, metavar="FILE", help="print this record as Markdown and measure nothing")
    asked = options.parse_args()
    if asked.show is not None:
        print(markdown(json.loads(asked.show.read_text())))
        return 0
    if CHROMIUM is None:
        sys.exit("no Chromium on this machine: apt-get install chromium")
    found: dict[str, tuple[str, list[float]]] = {}

    def keep(kind: str, times: dict[str, list[float]]) -> None:
        found.update({what: (kind, taken) for what, taken in times.items()})
        print(
            "".join(f"{what}: {statistics.median(taken):,.0f} ms\n" for what, taken in times.items()),
            end="",
            file=sys.stderr,
            flush=True,
        )

    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        versions = {"chromium": browser.version, "streamlit": streamlit.__version__}
        keep("cold", {"First page of a cold server": cold_times(browser, folder / "cold", max(3, asked.repeats // 4))})
        with serving(folder / "zoo" / "runs") as server:
            keep("page", page_times(browser, server, asked.repeats))
            keep("widget", widget_times(browser, server, asked.repeats))
            keep("", crowd_times(browser, server, asked.sessions, max(2, asked.repeats // 5)))
        times, first = many_times(browser, folder / "many", asked.repeats)
        keep("many", times)
        keep("", {"the same, when a new server reads them first": [first]})
    return report(found, versions, asked.out)


def report(found: dict[str, tuple[str, list[float]]], versions: dict[str, str], out: Path) -> int:
    """The table and the file."""
    machine = f"{cpu_name()}, {os.cpu_count()} processors"
    date = datetime.now().astimezone().isoformat(timespec="seconds")
    rows: list[dict[str, Any]] = []
    for what, (kind, times) in found.items():
        median, limit = statistics.median(times), LIMITS_MS.get(kind)
        rows.append(
            {
                "what": what,
                "median_ms": round(median),
                "worst_ms": round(max(times)),
                "limit_ms": limit,
                "times_ms": [round(t) for t in times],
            }
        )
    width = max(len(row["what"]) for row in rows)
    print(f"{machine}; {date[:10]}; {', '.join(f'{name} {version}' for name, version in versions.items())}")
    print(f"{'ms, median of repeats':{width}}  median  worst  limit")
    late = 0
    for row in rows:
        over = row["limit_ms"] is not None and row["median_ms"] > row["limit_ms"]
        late += over
        print(
            f"{row['what']:{width}}  {row['median_ms']:6,}  {row['worst_ms']:5,}  {row['limit_ms'] or '-':>5}{'  over' if over else ''}"
        )
    out.write_text(
        json.dumps({"kind": "times", "machine": machine, "date": date, **versions, "rows": rows}, indent=1) + "\n"
    )
    print(f"written: {out}")
    return int(late > 0)


def markdown(record: dict[str, Any]) -> str:
    """A record as the table in README."""
    lines = ["| | median, ms | slowest | limit |", "| --- | ---: | ---: | ---: |"]
    for row in record["rows"]:
        limit = "" if row["limit_ms"] is None else f"{row['limit_ms']:,}"
        lines.append(f"| {row['what']} | {row['median_ms']:,} | {row['worst_ms']:,} | {limit} |")
    count = max(len(row["times_ms"]) for row in record["rows"] if row["limit_ms"] == LIMITS_MS["page"])
    return "\n".join([
        *lines, "", f"From the click to the drawn page, medians of {count} (a cold server: of {len(record['rows'][0]['times_ms'])}); "
        f"{record['machine']}; Chromium {record['chromium']}, Streamlit {record['streamlit']}; {record['date'][:10]}.",
    ])  # fmt: skip


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
