"""What the pages of Run say is true in a narrow window, too, where the form stands above and not on the left."""

from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "pages" / "run").glob("*.py"))


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_nothing_is_said_to_be_on_the_left(page: Path) -> None:
    assert "on the left" not in page.read_text()
