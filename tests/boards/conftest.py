"""One real build and flash of a trained run, and images of the example model, shared by the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tbn.boards import emulator, flash, pio, simavr
from tbn.boards.chips import MODELS
from tbn.export import firmware_root
from tests.boards.flashed_run import Flashed


@pytest.fixture(scope="session")
def flashed(trained: dict[str, Path]) -> Iterator[Flashed]:
    events: list[tuple[str, str, str]] = []
    report = flash(trained["tiled"], port="emulator", progress=lambda *event: events.append(event))
    found = Flashed(trained["tiled"], report, events)
    yield found
    emulator.stop(found.state)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with firmware.elf, .bin etc. of the example model, by board: each Cortex-M one, and AVR where its tools are installed."""
    workspace = tmp_path_factory.mktemp("boards")
    boards = [*MODELS, *([] if simavr.missing() else simavr.CHIPS)]
    environments = [word for name in boards for word in ("--environment", f"sim_{name}")]
    pio.run(environments, workspace, firmware_root() / "example_model", workspace / "build.log", pio.BUILD_SECONDS)
    assert "warning" not in (workspace / "build.log").read_text().lower()
    return {name: workspace / "build" / f"sim_{name}" for name in boards}
