"""A picture of every page, light and dark, wide and narrow: ``python -m tests.browser.pictures FOLDER``.

They are made to be looked at, and come from the zoo (``--runs`` takes another runs folder). ``--only first,sweep --light --wide`` makes fewer;
``--readme`` makes those that README shows, in ``pages/pictures``: the upper part of a page, smaller and with fewer colours.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from pages.parts.contents import PAGES
from tests.browser.server import CHROMIUM, NOT_NEW_HERE, ROOT, address, chromium, serving, settle

WIDTHS = {"wide": 1400, "narrow": 420}
SCHEMES = ("light", "dark")
ASKED = {
    "": "?run=fashion_mnist-mlp-p4-s0",
    "tile": "?steps=20",
    "firmware": "?port=emulator",
}  # what makes a page worth a look
TALLEST = 6000  # px
IN_README = {"": 1180, "tile": 1480, "layers": 1330, "kernels": 1010, "firmware": 1240}  # the upper part, px
README_WIDTH, README_COLOURS = 1100, 128
PICTURES = ROOT / "pages" / "pictures"


def shots(browser: Browser, url: str, scheme: str, paths: dict[int, Path]) -> None:
    """The whole page, however tall, in windows of these widths (px)."""
    page = browser.new_page(viewport={"width": max(paths), "height": 1000}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(120_000)
    page.add_init_script(NOT_NEW_HERE)
    page.goto(url)
    for width, path in paths.items():
        page.set_viewport_size({"width": width, "height": 1000})
        settle(page, 120_000)
        page.wait_for_timeout(800)  # charts take their new width
        page.set_viewport_size({"width": width, "height": min(TALLEST, max(1000, height(page)))})
        page.wait_for_timeout(500)
        page.screenshot(path=path)
    page.close()


def height(page: Page) -> int:
    """All that can be scrolled to, in px."""
    return int(page.get_by_test_id("stMain").evaluate("main => main.scrollHeight"))


def for_readme(path: Path, upper: int) -> None:
    """A picture of a page as README has it, in its place."""
    picture = Image.open(path).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(upper, picture.height)))
    size = (README_WIDTH, round(picture.height * README_WIDTH / picture.width))
    picture = picture.resize(size, Image.Resampling.LANCZOS).quantize(README_COLOURS, dither=Image.Dither.NONE)
    picture.save(PICTURES / f"{path.name.split('-')[0]}.png", optimize=True)


def main() -> int:
    """Take them all and name them."""
    options = argparse.ArgumentParser(prog="python -m tests.browser.pictures", description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument(
        "--readme", action="store_true", help="those of README, light and wide, into pages/pictures, too"
    )
    options.add_argument("--runs", type=Path, help="a runs folder, for a server of our own")
    options.add_argument("--only", help="pages' addresses, parted by commas; '' or first is the first page")
    options.add_argument("--query", default=None, help="for instance ?run=NAME")
    for name in (*SCHEMES, *WIDTHS):
        options.add_argument(f"--{name}", action="store_true")
    asked = options.parse_args()
    if CHROMIUM is None:
        sys.exit("no Chromium on this machine: apt-get install chromium")
    only = None if asked.only is None else {"" if name == "first" else name for name in asked.only.split(",")}
    if unknown := sorted((only or set()) - {address(script) for script in PAGES}):
        options.error(
            f"no page has the address {unknown[0]!r}; use first, {', '.join(filter(None, map(address, PAGES)))}"
        )
    schemes = [name for name in SCHEMES if getattr(asked, name)] or SCHEMES
    widths = [name for name in WIDTHS if getattr(asked, name)] or WIDTHS
    if asked.readme:
        only, schemes, widths = set(IN_README), ["light"], ["wide"]
    asked.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        serving((asked.runs or Path(folder) / "runs").absolute()) as server,
    ):
        for script in PAGES:
            where = address(script)
            if only is not None and where not in only:
                continue
            query = ASKED.get(where, "") if asked.query is None else asked.query
            for scheme in schemes:
                paths = {
                    WIDTHS[width]: asked.folder / f"{where or 'tradeoff'}-{scheme}-{width}.png" for width in widths
                }
                shots(browser, f"{server.url}/{where}{query}", scheme, paths)
                print(*paths.values(), sep="\n", flush=True)
                if asked.readme:
                    for_readme(paths[WIDTHS["wide"]], IN_README[where])
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
