"""A run's firmware, built: check, generate, build, fit.

Everything lies in ``firmware/`` of the run (for a zoo entry: in the cache): ``model/<precision>/`` (the source, one for all boards) and
``<board>/`` with build.log, PlatformIO's workspace ``pio/``, build.json and, after a flash, report.json.
"""

import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tbn import memory, runs
from tbn.boards import pio, simavr
from tbn.boards.catalogue import Board, get_board
from tbn.boards.fit import check_fit, check_weights, predict, sizes_of
from tbn.errors import TBNError
from tbn.export.report import FLOAT32, ExportReport
from tbn.export.run import export_run, firmware_folder
from tbn.files import write_json
from tbn.locks import owned

STEPS = ("check", "generate", "build", "fit", "port", "flash", "verify")
FREE_BYTES = 100 << 20  # a build folder with zig's cache takes some 10 MB, the first build of a toolchain more
Progress = Callable[[str, str, str], None]


@dataclass(frozen=True)
class BuildReport:
    """A built image. Sizes in bytes; ``weight_bytes`` is what the export predicts, ``linked_weight_bytes`` what the ELF holds.

    ``predicted_flash_bytes`` and ``predicted_ram_bytes`` were known before the build; None where the board's code was never measured.
    """

    run: str
    board: str
    environment: str
    emulated: bool
    model_hash: str
    elf: Path
    log: Path
    flash_bytes: int
    ram_bytes: int
    flash_limit_bytes: int
    ram_limit_bytes: int
    stack_reserve_bytes: int
    weight_bytes: int
    linked_weight_bytes: int
    arena_bytes: int
    seconds: float
    precision: str = FLOAT32
    predicted_flash_bytes: int | None = None
    predicted_ram_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"elf": str(self.elf), "log": str(self.log)}


class Steps:
    """Tells a listener how each step goes: listener(step, "running" | "done" | "failed", message)."""

    def __init__(self, listener: Progress | None) -> None:
        self.listener = listener or (lambda step, state, message: None)

    @contextmanager
    def step(self, name: str, message: str) -> Iterator[Callable[[str], None]]:
        """Within it the step runs; what the yielded function is given becomes the message of "done"."""
        said = [message]
        self.listener(name, "running", message)
        try:
            yield lambda text: said.__setitem__(0, text)
        except BaseException as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
            self.listener(name, "failed", reason)
            raise
        self.listener(name, "done", said[0])


@dataclass(frozen=True)
class Place:
    """Where a run's firmware for a board lies."""

    run: runs.Run
    board: Board
    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "pio"

    @property
    def log(self) -> Path:
        return self.folder / "build.log"

    @property
    def emulator_state(self) -> Path:
        return self.workspace / "emulator.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.json"

    def elf(self, environment: str) -> Path:
        return self.workspace / "build" / environment / "firmware.elf"


def place_of(run: str | Path | runs.Run, board: str | Board) -> Place:
    """The place for a complete run and a known board."""
    known = get_board(board) if isinstance(board, str) else board
    found = run if isinstance(run, runs.Run) else runs.complete(run)
    return Place(found, known, firmware_folder(found) / known.name)


def build(
    run: str | Path, board: str | Board = "nucleo_f411re", emulated: bool | None = None, progress: Progress | None = None,
    limit_seconds: float = pio.BUILD_SECONDS, precision: str | None = None,
) -> BuildReport:  # fmt: skip
    """Build a run's firmware.

    Args:
        run: id or path of a complete run.
        board: a name of boards.toml, or a Board.
        emulated: the bare-metal image that the emulated board runs (the real one runs it too), or the Arduino image; by default the former
            where there is one.
        progress: told about each step.
        limit_seconds: for PlatformIO.
        precision: "integer", "float32", or None: see ``tbn.export.run.export_run``.
    """
    steps = Steps(progress)
    with steps.step("check", "run, board and tools"):
        place = place_of(run, board)
        check_tools(place.board, place.board.emulated if emulated is None else emulated)
    report, _ = build_in(place, place.board.emulated if emulated is None else emulated, steps, limit_seconds, precision)
    return report


def check_tools(board: Board, emulated: bool) -> None:
    """What has to be there before anything is written."""
    missing = pio.missing_packages()
    if missing:
        raise TBNError(f"Python packages are missing: {', '.join(missing)}", "pip install 'tbn-explorer[firmware]'")
    if importlib.util.find_spec("torch") is None:
        raise TBNError("torch is not installed", "pip install tbn-explorer")
    if emulated and not board.emulated:
        raise TBNError(f"there is no emulated {board.name}", "build it for the real board, or choose nucleo_f411re")
    if emulated and board.core == "avr" and (lacking := simavr.missing()):
        raise TBNError(f"emulated AVR boards need {lacking}", simavr.INSTALL)
    if not emulated:
        pio.check_registry(board)


def build_in(
    place: Place, emulated: bool, steps: Steps, limit_seconds: float, precision: str | None = None
) -> tuple[BuildReport, ExportReport]:
    """Generate, build and fit; one at a time for a run and board."""
    started = time.monotonic()
    environment = place.board.emulator_environment if emulated else place.board.environment
    with ExitStack() as owned:
        with steps.step("generate", "C source of the model") as say:
            owned.enter_context(_alone(place))
            export = export_run(place.run, precision=precision)
            check_weights(export.weight_bytes, place.board)
            guess = predict(export, place.board, emulated)
            say(
                f"{export.precision} model {export.model_hash}: {export.weight_bytes:,} bytes of weights in {len(export.layers)} layers"
                + (f"; predicted: flash {guess.flash_bytes:,}, RAM {guess.ram_bytes:,}" if guess is not None else "")
                + f" ({export.reason})" * bool(export.reason)
            )
        with steps.step("build", f"pio run -e {environment}") as say:
            place.log.unlink(missing_ok=True)
            took = pio.run(["--environment", environment], place.workspace, export.folder, place.log, limit_seconds)
            say(f"pio run -e {environment}, {took:.1f} s")
        with steps.step("fit", f"against {place.board.title}") as say:
            elf = place.elf(environment)
            sizes = sizes_of(elf)
            say(check_fit(sizes, place.board))
            found = memory.linked_weight_bytes(elf, export)
            if found != export.weight_bytes:
                raise TBNError(
                    f"the image holds {found:,} of the {export.weight_bytes:,} weight bytes",
                    f"remove {place.workspace} and build again",
                )
        report = BuildReport(
            run=place.run.id, board=place.board.name, environment=environment, emulated=emulated, model_hash=export.model_hash, elf=elf,
            log=place.log, flash_bytes=sizes.flash_bytes, ram_bytes=sizes.ram_bytes, flash_limit_bytes=place.board.flash_bytes,
            ram_limit_bytes=place.board.ram_bytes, stack_reserve_bytes=place.board.stack_reserve_bytes, weight_bytes=export.weight_bytes,
            linked_weight_bytes=found, arena_bytes=export.arena_bytes, seconds=round(time.monotonic() - started, 3),
            precision=export.precision, predicted_flash_bytes=None if guess is None else guess.flash_bytes,
            predicted_ram_bytes=None if guess is None else guess.ram_bytes,
        )  # fmt: skip
        write_json(place.folder / "build.json", report.to_dict())
    return report, export


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Be the only build of this run for this board, with room for it on the disk."""
    busy = TBNError(f"run {place.run.id} is being built for {place.board.name} already", "wait until that has ended")
    with owned(place.folder / ".build.lock", busy):
        free = shutil.disk_usage(place.folder).free
        if free < FREE_BYTES:
            raise TBNError(
                f"only {free >> 20} MB are free for {place.folder}", "free some space: a build takes up to 100 MB"
            )
        yield
