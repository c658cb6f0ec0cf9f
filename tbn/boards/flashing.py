"""One call from a run to a board that answers like the run: check, generate, build, fit, port, flash, verify.

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

from tbn.boards import drives, dropping, emulator, pio, ports, selftest
from tbn.boards.building import BuildReport, Place, Progress, Steps, build_in, check_tools, place_of
from tbn.boards.catalogue import Board
from tbn.boards.device import connect
from tbn.errors import TBNError
from tbn.export.report import ExportReport
from tbn.export.run import cache_root, export_run
from tbn.files import write_json


@dataclass(frozen=True)
class FlashReport:
    """A flashed and tested board.

    Attributes:
        passed, total: images of the self-test that agree with the model: bit for bit in integers, to 1e-5 of their largest logit in float32.
        max_difference: the largest difference, relative to the image's largest output.
        stream_inputs: inputs that the board made itself and answered bit for bit as the same C does here (integers; else 0).
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
    stream_inputs: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"build": self.build.to_dict()}


def flash(
    run: str | Path, board: str | Board = "nucleo_f411re", port: str | None = None, progress: Progress | None = None,
    limit_seconds: float = pio.BUILD_SECONDS, precision: str | None = None, drive: str | None = None,
) -> FlashReport:  # fmt: skip
    """Build a run's firmware, put it on a board and prove that it answers as the model does.

    Args:
        run: id or path of a complete run.
        board: a name of boards.toml, or a Board.
        port: "emulator", a serial port, or None for the only port whose VID:PID is the board's.
        progress: told (step, "running" | "done" | "failed", message) for each of ``build.STEPS``.
        limit_seconds: for the build.
        precision: "integer", "float32", or None: see ``tbn.export.run.export_run``.
        drive: folder that the board's USB drive is mounted at, or "auto" for the only one: copies the bare-metal image there instead of
            running PlatformIO's uploader, and asks the board on ``port`` afterwards.
    """
    steps = Steps(progress)
    with ExitStack() as owned:
        with steps.step("check", "run, board, port and tools") as say:
            place = place_of(run, board)
            chosen = ports.choose(place.board, port)
            if drive is not None and ports.is_emulator(chosen):
                raise TBNError("an emulated board has no drive", "leave --drive out, or name the board's serial port")
            onto = None if drive is None else drives.choose(place.board, drive)
            check_tools(place.board, ports.is_emulator(chosen) or onto is not None)
            owned.enter_context(ports.held(port_lock(place, chosen), chosen))
            say(
                f"{place.run.id} for {place.board.title} on {chosen}"
                + (f" and {onto.path}" if onto is not None else "")
            )
        return _flash(place, chosen, onto, steps, limit_seconds, precision)


def evaluate_on_board(
    run: str | Path, board: str | Board = "nucleo_f411re", port: str | None = ports.EMULATOR, *, limit: int | None = None,
    progress: Callable[[float, str], None] | None = None, precision: str | None = None,
) -> tuple[npt.NDArray[np.float32], float | None]:  # fmt: skip
    """Send the run's test set (or its first ``limit`` images) through a board; flashes it first unless it already runs this model.

    A board that is unplugged meanwhile has some seconds to come back; see ``tbn.boards.selftest.evaluate``.

    Returns:
        outputs (images, outputs) float32 in the unit of the model's, and the mean instructions per inference (None on a real board).
    """
    tell = progress or (lambda fraction, message: None)
    place = place_of(run, board)
    chosen = ports.choose(place.board, port)
    with ports.held(port_lock(place, chosen), chosen):
        export = export_run(place.run, precision=precision)
        if not _runs_model(place, chosen, export):
            steps = Steps(lambda step, state, message: tell(0.0, f"{step}: {message}"))
            check_tools(place.board, ports.is_emulator(chosen))
            _flash(place, chosen, None, steps, pio.BUILD_SECONDS, export.precision)
        from tbn.restore import task_of

        inputs = task_of(place.run).test_inputs[:limit]
        outputs, ticks = selftest.evaluate(
            lambda: connect(port_url(place, chosen)), export, export.encode(inputs), progress
        )
    return export.decode(outputs, inputs), float(ticks.mean()) if ports.is_emulator(chosen) else None


def _flash(
    place: Place, port: str, drive: drives.Drive | None, steps: Steps, limit_seconds: float, precision: str | None
) -> FlashReport:
    started = time.monotonic()
    emulated = ports.is_emulator(port)
    built, export = build_in(place, emulated or drive is not None, steps, limit_seconds, precision)
    with steps.step("port", f"{place.board.title} on {port if drive is None else drive.path}") as say:
        say(_there(place.board, port, drive))
    with steps.step("flash", f"{place.board.title} on {port if drive is None else drive.path}") as say:
        if drive is not None:
            image = built.elf.with_suffix(f".{drive.kind.image}")
            dropping.flash_drive(drive, image, lambda: _check_model(place, port, export))
            say(f"{image.stat().st_size:,} bytes onto {drive.path}")
        else:
            upload = f"--environment {built.environment} --target nobuild --target upload --upload-port".split()
            took = pio.run([*upload, port], place.workspace, export.folder, place.log, pio.UPLOAD_SECONDS)
            say(f"{built.flash_bytes:,} bytes in {took:.1f} s")
    with steps.step("verify", f"{export.images} images") as say:
        with connect(port_url(place, port)) as (device, info):
            test = selftest.self_test(device, info, export)
        unit = "instructions" if emulated else info.tick_unit
        report = FlashReport(
            built, port, test.passed, test.total, test.max_difference, test.ticks if emulated else None, test.ticks, unit,
            round(time.monotonic() - started, 3), datetime.now(UTC).isoformat(timespec="seconds"), test.stream_inputs,
        )  # fmt: skip
        write_json(place.report, report.to_dict())
        said = _in_words(test)
        if not test.ok:
            raise TBNError(
                f"the self-test failed: {said}",
                "flash again; if it stays, the board's memory or its supply is at fault",
            )
        say(f"{said}, {test.ticks:,} {unit} per inference")
    return report


def _there(board: Board, port: str, drive: drives.Drive | None) -> str:
    """Whether the port and the drive are still where they were before the build, in words.

    Raises:
        TBNError: the board was unplugged meanwhile.
    """
    if ports.is_emulator(port):
        return f"{port}: emulated on this computer"
    chosen = ports.choose(board, port)
    found = next((known for known in ports.list_ports() if known.device == chosen), None)
    words = chosen if found is None else f"{chosen}: {found.description} ({found.usb_id})"
    if drive is None:
        return words
    return f"{drives.choose(board, str(drive.path)).path}, and {words}"


def _in_words(test: selftest.SelfTest) -> str:
    """How a self-test went."""
    images = f"{test.passed} of {test.total} images agree"
    if not test.stream_inputs:
        return f"{images}, largest difference {test.max_difference:.1e}"
    own = f"{test.stream_inputs} inputs that the board made itself {'agree' if test.stream_agrees else 'do not'}"
    return f"{images} bit for bit, {own}"


def _check_model(place: Place, port: str, export: ExportReport) -> None:
    """Whether the board runs the model."""
    with connect(port_url(place, port)) as (_, info):
        selftest.check_model(info, export)


def _runs_model(place: Place, port: str, export: ExportReport) -> bool:
    """Whether the board answers already, with this model."""
    try:
        with connect(port_url(place, port), boot_seconds=1.0) as (_, info):
            return info.model_hash == export.model_hash and info.board == place.board.name
    except TBNError:
        return False


def port_url(place: Place, port: str) -> str:
    """What ``tbn.boards.line.open_line`` opens: the port itself, or socket://127.0.0.1:PORT of an emulated board.

    Raises:
        TBNError: the emulated board is off.
    """
    if not ports.is_emulator(port):
        return port
    url = emulator.read_state(place.emulator_state).get("url")
    if url is None:
        raise TBNError("the emulated board is off", "flash it: tbn flash RUN --port emulator")
    return str(url)


def port_lock(place: Place, port: str) -> Path:
    """The lock file of whoever talks to a board. An emulated board is the run's own; a real port is everybody's."""
    return place.folder / ".port.lock" if ports.is_emulator(port) else cache_root() / "ports" / ports.lock_name(port)
