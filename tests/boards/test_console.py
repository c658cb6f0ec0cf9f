"""The console: one at a time on a port, whatever ends it; and a board's answers beside those of the same C and of the float model."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tbn import predictions, runs
from tbn.boards import emulator, flash
from tbn.boards.asking import ask, float_model, probabilities, same_c
from tbn.boards.building import Place, place_of
from tbn.boards.console import Console, open_console
from tbn.boards.flashing import port_lock
from tbn.boards.line import LineClosed
from tbn.boards.ports import EMULATOR
from tbn.errors import TBNError
from tbn.export.run import export_run
from tests.boards.flashed_run import Flashed
from tests.boards.host_board import HostBoard, compile_board

pytestmark = pytest.mark.board


@pytest.fixture
def place(flashed: Flashed) -> Place:
    return place_of(flashed.run, "nucleo_f411re")


@pytest.fixture
def console(place: Place) -> Iterator[Console]:
    found = open_console(place, EMULATOR)
    yield found
    found.close()


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def test_the_board_says_what_it_is_and_answers(console: Console, place: Place) -> None:
    export = export_run(place.run)
    info = console.meet()
    assert (info.board, info.model_hash) == ("nucleo_f411re", export.model_hash)
    task = predictions.task_of(place.run)
    model = float_model(place.run)
    for index in (0, 17):
        sample = np.asarray(task.test_inputs[index])
        answer = ask(console, export, sample)
        assert answer.outputs.shape == (10,) and answer.outputs.dtype == np.float32
        assert np.array_equal(answer.raw, same_c(export, sample))
        assert 10_000 < answer.ticks < 80_000 and answer.seconds > 0
        said = model(sample)
        assert np.abs(answer.outputs - said).max() < 0.1 * np.abs(said).max()  # 8-bit integers beside float32
        assert probabilities(answer.outputs).sum() == pytest.approx(1)
    words = [entry.words for entry in console.entries()]
    assert words[0] == "emulator is open" and any(line.endswith("784 bytes of input") for line in words)
    assert any("ticks; " in line for line in words)
    crc, _ = console.self_test(1, 8)
    assert f"{crc:08X}" in console.entries()[-1].words


def test_the_float_model_is_the_one_of_the_predictions(flashed: Flashed) -> None:
    run = runs.Run(flashed.run)
    found, model = predictions.predict(run, 3), float_model(run)
    for sample, outputs in zip(found.inputs, found.outputs, strict=True):
        assert np.allclose(model(sample), outputs, atol=1e-5)


def test_one_at_a_time_and_a_clear_sentence_otherwise(console: Console, place: Place) -> None:
    with pytest.raises(TBNError, match=r"in use by another flash.*console.*disconnect the console"):
        open_console(place, EMULATOR)
    with pytest.raises(TBNError, match="console of a Device page"):
        flash(place.run.path, port=EMULATOR)
    closer = threading.Thread(target=console.close)  # another thread than the one that opened it
    closer.start()
    closer.join()
    again = open_console(place, EMULATOR)
    assert again.meet().outputs == 10
    again.close()
    with pytest.raises(LineClosed, match=r"is closed: disconnected; connect again"):
        console.infer(np.zeros(784, np.uint8))


def test_threads_take_turns(console: Console, place: Place) -> None:
    export = export_run(place.run)
    console.meet()
    samples = np.asarray(predictions.task_of(place.run).test_inputs[:4])
    wanted = [same_c(export, sample) for sample in samples]
    found: dict[int, list[bool]] = {}

    def work(index: int) -> None:
        found[index] = [bool(np.array_equal(ask(console, export, samples[index]).raw, wanted[index])) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {index: [True] * 5 for index in range(4)}


def test_a_board_that_is_off_is_switched_on(place: Place) -> None:
    emulator.stop(place.emulator_state)
    console = open_console(place, EMULATOR)
    assert console.meet().board == "nucleo_f411re"
    console.close()


def test_a_board_whose_process_was_killed_is_switched_on(place: Place) -> None:
    open_console(place, EMULATOR).close()
    state = emulator.read_state(place.emulator_state)
    emulator.stop(place.emulator_state)
    time.sleep(3 * emulator.LOOK_SECONDS)
    emulator.write_state(place.emulator_state, state)  # as a kill leaves it: named, but nobody listens
    console = open_console(place, EMULATOR)
    assert console.meet().board == "nucleo_f411re"
    console.close()


def test_a_board_that_goes_away_closes_the_console(console: Console, place: Place) -> None:
    console.meet()
    emulator.stop(place.emulator_state)
    until(lambda: console.closed)
    assert "closed the line" in console.closed and "is closed" in console.entries()[-1].words
    again = open_console(place, EMULATOR)  # and the port is free
    again.close()


def test_nobody_asks(place: Place) -> None:
    console = open_console(place, EMULATOR, idle_seconds=0.3)
    until(lambda: console.closed)
    assert console.closed.startswith("nobody asked for")
    open_console(place, EMULATOR).close()


def test_a_run_that_was_never_flashed(place: Place, tmp_path: Path) -> None:
    empty = Place(place.run, place.board, tmp_path)
    with pytest.raises(TBNError, match=r"has no firmware of .* yet; flash it: tbn flash .* --port emulator"):
        open_console(empty, EMULATOR)


def test_a_serial_port_and_plain_lines(place: Place, tmp_path: Path) -> None:
    """The firmware's C behind a pseudo-terminal, which pyserial opens; what it says by itself is heard, and a line is sent."""
    export = export_run(place.run)
    board = HostBoard(compile_board(export, tmp_path / "board"), tmp_path / "port")
    try:
        console = Console(str(board.port), tmp_path / "lock", "port")
        assert console.meet().model_hash == export.model_hash
        board.disturb(b"Guru Meditation Error\r\n")
        until(lambda: any(entry.words == "Guru Meditation Error" for entry in console.entries()))
        console.send("are you there?")
        assert console.entries()[-1].line().endswith("-> are you there?")
        sample = np.asarray(predictions.task_of(place.run).test_inputs[3])
        assert np.array_equal(
            ask(console, export, sample).raw, same_c(export, sample)
        )  # after the line that it did not know
        with pytest.raises(TBNError, match="in use by another flash"):
            Console(str(board.port), tmp_path / "lock", "port")
        board.unplug()
        until(lambda: console.closed)
    finally:
        if board.process is not None:
            board.power_off()


def test_the_lock_is_the_one_of_a_flash(console: Console, place: Place) -> None:
    assert port_lock(place, EMULATOR).is_file() and console.port == EMULATOR
