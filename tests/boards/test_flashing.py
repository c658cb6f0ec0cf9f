"""The whole way with real `pio run`: build, upload into the emulated board, self-test; and all that can go wrong on it."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flashed_run import Flashed

from tbn import memory, runs
from tbn.boards import STEPS, build, emulator, evaluate_on_board, flash, get_board, selftest
from tbn.boards.building import place_of
from tbn.boards.fit import sizes_of
from tbn.boards.ports import held
from tbn.errors import TBNError
from tbn.export.host import evaluate_on_host
from tbn.export.run import export_run

pytestmark = pytest.mark.board


def test_thirty_two_of_thirty_two(flashed: Flashed) -> None:
    report = flashed.report
    assert (report.passed, report.total) == (32, 32)
    assert report.max_difference < 1e-5
    assert report.build.weight_bytes == report.build.linked_weight_bytes == 3316
    assert report.tick_unit == "instructions" and report.instructions == report.ticks
    assert 30_000 < report.ticks < 80_000  # 26,368 products; the paper's loop takes some 2 million
    assert report.build.environment == "sim_nucleo_f411re"


def test_each_step_was_told(flashed: Flashed) -> None:
    assert [(step, state) for step, state, _ in flashed.events] == [
        (step, state) for step in STEPS for state in ("running", "done")
    ]
    assert "32 of 32" in flashed.events[-1][2]


def test_report_json(flashed: Flashed) -> None:
    stored = json.loads((flashed.folder / "report.json").read_text())
    assert stored == json.loads(json.dumps(flashed.report.to_dict()))
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
    result = runs.find(flashed.run).result
    assert result is not None and result["size"]["weight_bytes"] == build_report.linked_weight_bytes


def test_board_equals_host_bit_for_bit(flashed: Flashed) -> None:
    told: list[float] = []
    logits, instructions = evaluate_on_board(flashed.run, limit=60, progress=lambda fraction, _: told.append(fraction))
    assert np.array_equal(logits, evaluate_on_host(flashed.run, limit=60))
    assert instructions is not None and abs(instructions - flashed.report.ticks) < 100
    assert told == [0.0, 50 / 60]


def test_evaluation_flashes_a_board_that_is_off(flashed: Flashed) -> None:
    emulator.stop(flashed.state)
    logits, _ = evaluate_on_board(flashed.run, limit=2)
    assert np.array_equal(logits, evaluate_on_host(flashed.run, limit=2))


def test_warm_flash_compiles_nothing_and_touches_no_source(flashed: Flashed) -> None:
    source = flashed.run / "firmware" / "model" / "model.c"
    before = source.stat().st_mtime_ns
    elf = flashed.report.build.elf.read_bytes()
    report = flash(flashed.run, port="emulator")
    assert report.passed == 32
    assert source.stat().st_mtime_ns == before and flashed.report.build.elf.read_bytes() == elf
    assert "Compiling" not in (flashed.folder / "build.log").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flash_bytes": 3000}, "weights alone take 3,316 bytes"),
        ({"flash_bytes": 7000}, "bytes of flash"),
        ({"ram_bytes": 8000}, "bytes of RAM"),
    ],
)
def test_too_big_for_the_board(flashed: Flashed, change: dict[str, int], words: str) -> None:
    """Fails before the upload: the board goes on with what it had, and so does the report."""
    before = (flashed.folder / "report.json").read_bytes()
    events: list[tuple[str, str, str]] = []
    board = replace(get_board("nucleo_f411re"), **change)
    with pytest.raises(TBNError, match=words) as error:
        flash(flashed.run, board, "emulator", lambda *event: events.append(event))
    assert "choose another board" in error.value.fix
    assert events[-1][1] == "failed" and "flash" not in {event[0] for event in events}
    assert (flashed.folder / "report.json").read_bytes() == before


def test_wrong_port_writes_nothing(trained: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"  # a copy: other tests may have flashed the shared one
    shutil.copytree(trained["binary"], run, ignore=shutil.ignore_patterns("firmware"))
    with pytest.raises(TBNError, match="/dev/ttyNOWHERE does not exist"):
        flash(run, port="/dev/ttyNOWHERE")
    assert not (run / "firmware").exists()


@pytest.mark.parametrize(("board", "words"), [("nucleo", "unknown board"), ("uno", "there is no emulated uno")])
def test_wrong_board(trained: dict[str, Path], board: str, words: str) -> None:
    with pytest.raises(TBNError, match=words):
        flash(trained["binary"], board, "emulator")


def test_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TBNError):
        flash(tmp_path / "nothing", port="emulator")
    assert not (tmp_path / "nothing").exists()


def test_model_with_convolutions_is_refused(trained: dict[str, Path]) -> None:
    with pytest.raises(TBNError, match="PackedConv2d"):
        build(trained["cnn"])
    assert not (trained["cnn"] / "firmware" / "model").exists()


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


def test_time_limit_leaves_no_process(trained: dict[str, Path]) -> None:
    with pytest.raises(TBNError, match=r"took longer than 0\.5 s and was stopped"):
        build(trained["binary"], limit_seconds=0.5)
    assert processes_of(trained["binary"] / "firmware" / "model") == []
    assert not (trained["binary"] / "firmware" / "nucleo_f411re" / "build.json").exists()


def test_killed_build_is_an_error_and_the_next_one_works(trained: dict[str, Path]) -> None:
    run = trained["binary"]
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
    assert report.linked_weight_bytes == 12712 and processes_of(run / "firmware" / "model") == []


@pytest.fixture
def device(flashed: Flashed) -> Iterator[selftest.Device]:
    """An open line to the flashed board."""
    url = str(emulator.read_state(flashed.state).get("url") or "")
    if not url:
        url = emulator.start("nucleo_f411re", flashed.report.build.elf, flashed.state)
    with selftest.connect(url) as (found, info):
        assert info.model_hash == flashed.report.build.model_hash
        assert (info.board, info.input_bytes, info.outputs, info.weight_bytes) == ("nucleo_f411re", 784, 10, 3316)
        assert (info.tick_unit, info.ticks_per_second) == ("clocks", 16_000_000)
        yield found


@pytest.mark.parametrize(
    "garbage",
    [
        bytes(300),
        b"T" * 100,
        os.urandom(2000),
        b"TB\x01\x02\x05\x00\x10\x03",
        selftest.encode(2, 1, bytes(784))[:-1] + b"?",
        b"TB" * 500,
    ],
    ids=["zeros", "sync", "random", "header only", "damaged frame", "sync words"],
)
def test_answers_after_garbage(device: selftest.Device, garbage: bytes) -> None:
    """A frame that never ends is dropped after a quarter of a second of silence; the request is repeated."""
    device.stream.write(garbage)
    assert device.info(seconds=1.5).outputs == 10
    assert device.infer(np.zeros(784, np.uint8))[0].shape == (10,)


def test_requests_that_do_not_fit(device: selftest.Device) -> None:
    with pytest.raises(selftest.BoardError, match="error 3, 784"):
        device.request(selftest.INFER, bytes(10), selftest.INFER_REPLY)
    with pytest.raises(selftest.BoardError, match="error 2, 66"):
        device.request(66, b"", selftest.INFO_REPLY)
    assert device.info().outputs == 10


def test_wrong_model_on_the_board(flashed: Flashed, device: selftest.Device) -> None:
    with pytest.raises(selftest.BoardError, match=r"runs model .* not 0000"):
        selftest.self_test(device, device.info(), export_run(flashed.run).reference, "0000")


def test_wrong_answers_fail_the_self_test(flashed: Flashed, device: selftest.Device, tmp_path: Path) -> None:
    export = export_run(flashed.run)
    with np.load(export.reference) as stored:
        logits = stored["logits"].copy()
        logits[3] *= 1.001
        np.savez(tmp_path / "reference.npz", inputs=stored["inputs"], logits=logits)
    test = selftest.self_test(device, device.info(), tmp_path / "reference.npz", export.model_hash)
    assert (test.passed, test.total, test.ok) == (31, 32, False)


def test_place_of_a_zoo_entry_is_not_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    place = place_of(runs.Run(runs.zoo_root() / "some"), "nucleo_f411re")
    assert place.folder == tmp_path / "zoo" / "some" / "nucleo_f411re"
