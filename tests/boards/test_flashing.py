"""The whole way with real `pio run`: build, upload into the emulated board, self-test; and all that can go wrong on it."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tbn import memory, runs
from tbn.boards import STEPS, build, emulator, evaluate_on_board, flash, get_board
from tbn.boards.building import BuildReport, place_of
from tbn.boards.device import Device, connect
from tbn.boards.fit import sizes_of
from tbn.boards.frames import encode
from tbn.boards.ports import held
from tbn.boards.selftest import STREAM_INPUTS, stream_crc, stream_inputs
from tbn.errors import TBNError
from tbn.export.host import compile_model, evaluate_on_host, run_library
from tbn.export.run import export_run
from tests.boards.flashed_run import Flashed, copy_of

pytestmark = pytest.mark.board


def test_integers_bit_for_bit(flashed: Flashed) -> None:
    report = flashed.report
    assert report.build.precision == "integer"
    assert (report.passed, report.total, report.max_difference, report.stream_inputs) == (32, 32, 0.0, STREAM_INPUTS)
    assert report.build.weight_bytes == report.build.linked_weight_bytes == export_run(flashed.run).weight_bytes
    assert report.tick_unit == "instructions" and report.instructions == report.ticks
    assert 10_000 < report.ticks < 80_000  # 26,368 products; the paper's loop takes some 2 million


def test_float32_to_a_tolerance(trained: dict[str, Path], tmp_path: Path) -> None:
    run = copy_of(trained["binary"], tmp_path)
    try:
        report = flash(run, port="emulator", precision="float32")
        assert report.build.precision == "float32"
        assert (report.passed, report.total, report.stream_inputs) == (32, 32, 0)
        assert report.max_difference < 1e-5
        result = runs.find(run).result
        assert result is not None and result["size"]["weight_bytes"] == report.build.linked_weight_bytes
        logits, _ = evaluate_on_board(run, limit=30, precision="float32")
        assert np.array_equal(logits, evaluate_on_host(run, limit=30, precision="float32"))
    finally:
        emulator.stop(run / "firmware" / "nucleo_f411re" / "pio" / "emulator.json")


def test_each_step_was_told(flashed: Flashed) -> None:
    assert [(step, state) for step, state, _ in flashed.events] == [
        (step, state) for step in STEPS for state in ("running", "done")
    ]
    assert "32 of 32" in flashed.events[-1][2]


def test_report_json(flashed: Flashed) -> None:
    report = flash(flashed.run, port="emulator")  # other tests flash this run, too
    stored = json.loads((flashed.folder / "report.json").read_text())
    assert stored == json.loads(json.dumps(report.to_dict()))
    assert (flashed.folder / "build.log").read_text().count("SUCCESS") >= 2


def test_sizes_are_the_elfs(flashed: Flashed) -> None:
    """The rows of the memory map add up to the sections, and the layers' rows to the packed file."""
    build_report = flashed.report.build
    sizes = sizes_of(build_report.elf)
    assert (sizes.flash_bytes, sizes.ram_bytes) == (build_report.flash_bytes, build_report.ram_bytes)
    export = export_run(flashed.run)
    table = memory.frame(memory.linked(build_report.elf, export))
    assert table.groupby("region").bytes.sum().to_dict() == {"flash": sizes.flash_bytes, "ram": sizes.ram_bytes}
    owners = table.groupby("owner").bytes.sum()
    for layer in export.layers:
        assert owners[layer.name] == layer.bytes
    assert owners["arena"] == export.arena_bytes
    assert {"runtime", "self-test", "startup"} <= set(owners.index)
    placed = table.dropna(subset=["address"]).sort_values("address")
    assert (placed.address.shift(-1).dropna() >= (placed.address + placed.bytes)[:-1]).all()
    guess = memory.frame(memory.predicted(export))
    assert guess.groupby("region").bytes.sum().to_dict() == {"flash": export.weight_bytes, "ram": export.arena_bytes}


def test_board_equals_host_bit_for_bit(flashed: Flashed) -> None:
    told: list[float] = []
    logits, instructions = evaluate_on_board(flashed.run, limit=60, progress=lambda fraction, _: told.append(fraction))
    assert np.array_equal(logits, evaluate_on_host(flashed.run, limit=60))
    assert instructions is not None and abs(instructions - flashed.report.ticks) < 100
    assert told == [(image + 1) / 60 for image in range(60)]


def test_evaluation_flashes_a_board_that_is_off(flashed: Flashed) -> None:
    emulator.stop(flashed.state)
    logits, _ = evaluate_on_board(flashed.run, limit=2)
    assert np.array_equal(logits, evaluate_on_host(flashed.run, limit=2))


def test_warm_flash_compiles_nothing_and_touches_no_source(flashed: Flashed) -> None:
    source = flashed.run / "firmware" / "model" / "integer" / "model.c"
    before = source.stat().st_mtime_ns
    elf = flashed.report.build.elf.read_bytes()
    report = flash(flashed.run, port="emulator")
    assert report.passed == 32
    assert source.stat().st_mtime_ns == before and flashed.report.build.elf.read_bytes() == elf
    assert "Compiling" not in (flashed.folder / "build.log").read_text()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda report: {"flash_bytes": report.weight_bytes - 1}, "weights alone take"),
        (lambda report: {"flash_bytes": report.flash_bytes - 1}, "bytes of flash"),
        (lambda report: {"ram_bytes": report.ram_bytes + report.stack_reserve_bytes - 1}, "bytes of RAM"),
    ],
    ids=["weights", "flash", "RAM"],
)
def test_too_big_for_the_board(flashed: Flashed, changed: Callable[[BuildReport], dict[str, int]], words: str) -> None:
    """By a byte. Fails before the upload: the board goes on with what it had, and so does the report."""
    before = (flashed.folder / "report.json").read_bytes()
    events: list[tuple[str, str, str]] = []
    board = replace(get_board("nucleo_f411re"), **changed(flashed.report.build))
    with pytest.raises(TBNError, match=words) as error:
        flash(flashed.run, board, "emulator", lambda *event: events.append(event))
    assert "choose another board" in error.value.fix
    assert events[-1][1] == "failed" and "flash" not in {event[0] for event in events}
    assert (flashed.folder / "report.json").read_bytes() == before


def test_too_big_for_the_linker(tmp_path: Path) -> None:
    """A network whose activations take more than the micro:bit's 16 KB: the linker refuses it, and its words are translated."""
    run = copy_of(runs.complete("fashion_mnist-cnn-p4-s0").path, tmp_path)
    with pytest.raises(
        TBNError, match=r"the firmware needs \d+ bytes more RAM than the board has; .*choose another board"
    ):
        build(run, "microbit", precision="integer")
    assert not (run / "firmware" / "microbit" / "build.json").exists()


def test_wrong_port_writes_nothing(trained: dict[str, Path], tmp_path: Path) -> None:
    run = copy_of(trained["binary"], tmp_path)
    with pytest.raises(TBNError, match="/dev/ttyNOWHERE does not exist"):
        flash(run, port="/dev/ttyNOWHERE")
    assert not (run / "firmware").exists()


@pytest.mark.parametrize(
    ("board", "words"), [("nucleo", "unknown board"), ("esp32dev", "there is no emulated esp32dev")]
)
def test_wrong_board(trained: dict[str, Path], board: str, words: str) -> None:
    with pytest.raises(TBNError, match=words):
        flash(trained["binary"], board, "emulator")


def test_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TBNError):
        flash(tmp_path / "nothing", port="emulator")
    assert not (tmp_path / "nothing").exists()


def test_model_with_convolutions_is_refused(trained: dict[str, Path]) -> None:
    with pytest.raises(TBNError, match="PackedConv2d"):
        build(trained["cnn"], precision="float32")
    assert not (trained["cnn"] / "firmware" / "model" / "float32").exists()


def test_real_board_without_registry_is_refused_at_once(
    trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tbn.boards.pio.REGISTRY", ("127.0.0.1", 9))
    started = time.monotonic()
    with pytest.raises(TBNError, match="registry cannot be reached"):
        build(trained["binary"], "esp32dev")
    assert time.monotonic() - started < 10


def test_two_flashes_at_once(flashed: Flashed) -> None:
    with held(flashed.folder / ".port.lock", "emulator"), pytest.raises(TBNError, match="in use by another flash"):
        flash(flashed.run, port="emulator")


def test_two_real_flashes_at_once(flashed: Flashed) -> None:
    """Started together, on one port: one does it, the other is told so."""
    outcomes: list[object] = []

    def attempt() -> None:
        try:
            outcomes.append(flash(flashed.run, port="emulator").passed)
        except TBNError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert 32 in outcomes
    assert [text for text in outcomes if isinstance(text, str) and "in use by another flash" in text]


def processes_of(folder: Path) -> list[int]:
    """Processes that build the model in ``folder``, emulated boards not among them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            builds = f"TBN_MODEL_DIR={folder}".encode() in (entry / "environ").read_bytes()
            if builds and b"tbn.boards.emulator" not in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_time_limit_leaves_no_process(trained: dict[str, Path], tmp_path: Path) -> None:
    run = copy_of(trained["binary"], tmp_path)
    with pytest.raises(TBNError, match=r"took longer than 0\.5 s and was stopped"):
        build(run, limit_seconds=0.5)
    assert processes_of(run / "firmware" / "model") == []
    assert not (run / "firmware" / "nucleo_f411re" / "build.json").exists()


def test_killed_build_is_an_error_and_the_next_one_works(trained: dict[str, Path], tmp_path: Path) -> None:
    run = copy_of(trained["binary"], tmp_path)
    outcome: list[object] = []

    def attempt() -> None:
        try:
            outcome.append(build(run))
        except TBNError as error:
            outcome.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    until = time.monotonic() + 60
    while not (victims := processes_of(run / "firmware" / "model")) and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(os.getpgid(victims[0]), signal.SIGKILL)
    thread.join(60)
    assert isinstance(outcome[0], TBNError) and "killed by SIGKILL" in str(outcome[0])
    folder = run / "firmware" / "nucleo_f411re"
    assert not (folder / "build.json").exists() and not (folder / "report.json").exists()
    report = build(run)
    assert report.linked_weight_bytes == report.weight_bytes and processes_of(run / "firmware" / "model") == []


@pytest.fixture
def device(flashed: Flashed) -> Iterator[Device]:
    """An open line to the flashed board."""
    url = str(emulator.read_state(flashed.state).get("url") or "")
    if not url:
        url = emulator.start("nucleo_f411re", flashed.report.build.elf, flashed.state)
    with connect(url) as (found, info):
        report = flashed.report.build
        assert info.model_hash == report.model_hash
        assert (info.board, info.input_bytes, info.outputs) == ("nucleo_f411re", 784, 10)
        assert (info.weight_bytes, info.arena_bytes, info.output_type) == (
            report.weight_bytes,
            report.arena_bytes,
            "int32",
        )
        assert (info.tick_unit, info.ticks_per_second) == ("clocks", 16_000_000)
        yield found


@pytest.mark.parametrize(
    "garbage",
    [
        bytes(300),
        b"T" * 100,
        os.urandom(2000),
        b"TB\x01\x02\x05\x00\x10\x03",
        encode(2, 1, bytes(784))[:-1] + b"?",
        b"TB" * 500,
    ],
    ids=["zeros", "sync", "random", "header only", "damaged frame", "sync words"],
)
def test_answers_after_garbage(device: Device, garbage: bytes) -> None:
    """A frame that never ends is dropped after a quarter of a second of silence; the request is repeated."""
    device.stream.write(garbage)
    assert device.info(seconds=1.5).outputs == 10
    assert device.infer(np.zeros(784, np.uint8))[0].shape == (10,)


def test_self_test_on_the_board_is_one_round_trip(flashed: Flashed, device: Device) -> None:
    """Two hundred inputs; the answer is the host's."""
    export = export_run(flashed.run)
    crc, ticks = device.self_test(77, 200)
    assert crc == stream_crc(run_library(compile_model(export), export, stream_inputs(77, 200, export.input_bytes)))
    assert abs(ticks - flashed.report.ticks) < 0.1 * flashed.report.ticks


def test_place_of_a_zoo_entry_is_not_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    place = place_of(runs.Run(runs.zoo_root() / "some"), "nucleo_f411re")
    assert place.folder == tmp_path / "zoo" / "some" / "nucleo_f411re"
