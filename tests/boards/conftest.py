"""One real build and flash of a trained run, shared by the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flashed_run import Flashed

from tbn.boards import emulator, flash


@pytest.fixture(scope="session")
def flashed(trained: dict[str, Path]) -> Iterator[Flashed]:
    events: list[tuple[str, str, str]] = []
    report = flash(trained["tiled"], port="emulator", progress=lambda *event: events.append(event))
    found = Flashed(trained["tiled"], report, events)
    yield found
    emulator.stop(found.state)
