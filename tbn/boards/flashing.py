"""One call from a run to a board that answers like the run: check, generate, build, fit, flash, verify.

``report.json`` beside the build says how it went; it is written once the board has answered the self-test.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tbn.boards import emulator, pio, ports, selftest
from tbn.boards.building import BuildReport, Place, Progress, Steps, build_in, check_tools, place_of
from tbn.boards.catalogue import Board
from tbn.errors import TBNError
from tbn.export.report import ExportReport
from tbn.export.run import cache_root, export_run
from tbn.files import write_json


@dataclass(frozen=True)
class FlashReport:
    """A flashed and tested board.

    Attributes:
        passed, total: images of the self-test that agree with the packed model to 1e-5 of their largest logit.
        max_difference: the largest such relative difference.
        instructions: executed per inference on an emulated board, else None.
        ticks, tick_unit: mean per inference as the board counts: "instructions", "clocks" or "microseconds".
        seconds: from the call to the answer.
    """

    build: BuildReport
    port: str
    passed: int
    total: int
    max_difference: float
    instructions: int | None
    ticks: int
    tick_unit: str
    seconds: float
    date: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"build": self.build.to_dict()}


def flash(
    run: str | Path, board: str | Board = "nucleo_f411re", port: str | None = None, progress: Progress | None = None,
    limit_seconds: float = pio.BUILD_SECONDS,
) -> FlashReport:  # fmt: skip
    """Build a run's firmware, put it on a board and prove that it answers as the packed model does.

    Args:
        run: id or path of a complete run.
        board: a name of boards.toml, or a Board.
        port: "emulator", a serial port, or None for the only port whose VID:PID is the board's.
        progress: told (step, "running" | "done" | "failed", message) for each of ``build.STEPS``.
        limit_seconds: for the build.
    """
    steps = Steps(progress)
    with ExitStack() as owned:
        with steps.step("check", "run, board, port and tools") as say:
            place = place_of(run, board)
            chosen = ports.choose(place.board, port)
            check_tools(place.board, ports.is_emulator(chosen))
            owned.enter_context(ports.held(_lock(place, chosen), chosen))
            say(f"{place.run.id} for {place.board.title} on {chosen}")
        return _flash(place, chosen, steps, limit_seconds)


def evaluate_on_board(
    run: str | Path, board: str | Board = "nucleo_f411re", port: str | None = ports.EMULATOR, *, limit: int | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[npt.NDArray[np.float32], float | None]:  # fmt: skip
    """Send the run's test set (or its first ``limit`` images) through a board; flashes it first unless it already runs this model.

    Returns:
        logits (images, outputs) float32, and the mean instructions per inference (None on a real board).
    """
    tell = progress or (lambda fraction, message: None)
    place = place_of(run, board)
    chosen = ports.choose(place.board, port)
    with ports.held(_lock(place, chosen), chosen):
        export = export_run(place.run)
        if not _runs_model(place, chosen, export):
            _flash(
                place, chosen, Steps(lambda step, state, message: tell(0.0, f"{step}: {message}")), pio.BUILD_SECONDS
            )
        from tbn.restore import task_of

        inputs = task_of(place.run).test_inputs[:limit]
        logits = np.zeros((len(inputs), export.outputs), np.float32)
        ticks = 0
        with selftest.connect(_url(place, chosen)) as (device, _):
            for index, image in enumerate(inputs):
                logits[index], spent = device.infer(image)
                ticks += spent
                if index % 50 == 0:
                    tell(index / len(inputs), f"{index} of {len(inputs)} images")
    return logits, ticks / max(1, len(inputs)) if ports.is_emulator(chosen) else None


def _flash(place: Place, port: str, steps: Steps, limit_seconds: float) -> FlashReport:
    started = time.monotonic()
    built, export = build_in(place, ports.is_emulator(port), steps, limit_seconds)
    with steps.step("flash", f"{place.board.title} on {port}") as say:
        arguments = [
            "--environment",
            built.environment,
            "--target",
            "nobuild",
            "--target",
            "upload",
            "--upload-port",
            port,
        ]
        took = pio.run(arguments, place.workspace, export.folder, place.log, pio.UPLOAD_SECONDS)
        say(f"{built.flash_bytes:,} bytes in {took:.1f} s")
    with steps.step("verify", f"{export.images} images") as say:
        with selftest.connect(_url(place, port)) as (device, info):
            test = selftest.self_test(device, info, export.reference, export.model_hash)
        emulated = ports.is_emulator(port)
        unit = "instructions" if emulated else info.tick_unit
        report = FlashReport(
            built, port, test.passed, test.total, test.max_difference, test.ticks if emulated else None, test.ticks, unit,
            round(time.monotonic() - started, 3), datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        write_json(place.report, report.to_dict())
        if not test.ok:
            raise TBNError(
                f"the self-test failed: {test.passed} of {test.total} images agree, largest difference {test.max_difference:.1e}",
                "flash again; if it stays, the board's memory or its supply is at fault",
            )
        say(
            f"{test.passed} of {test.total} images agree, largest difference {test.max_difference:.1e}, {test.ticks:,} {unit} per inference"
        )
    return report


def _runs_model(place: Place, port: str, export: ExportReport) -> bool:
    """Whether the board answers already, with this model."""
    try:
        with selftest.connect(_url(place, port), boot_seconds=1.0) as (_, info):
            return info.model_hash == export.model_hash and info.board == place.board.name
    except TBNError:
        return False


def _url(place: Place, port: str) -> str:
    """What pyserial opens."""
    if not ports.is_emulator(port):
        return port
    url = emulator.read_state(place.emulator_state).get("url")
    if url is None:
        raise TBNError("the emulated board is off", "flash it: tbn flash RUN --port emulator")
    return str(url)


def _lock(place: Place, port: str) -> Path:
    """An emulated board is the run's own; a real port is everybody's."""
    return place.folder / ".port.lock" if ports.is_emulator(port) else cache_root() / "ports" / ports.lock_name(port)
