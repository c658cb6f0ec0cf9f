"""Device and Firmware with a real emulated board: connect, ask, read the line; one visitor at a time; cards, steps and what to do."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import tbn
from pages.parts import board_cards, flash_help
from tbn import boards, predictions, runs
from tbn.boards import emulator, fitting, flash
from tbn.boards.building import Place, place_of
from tbn.boards.console import open_console
from tbn.boards.fitting import Fit
from tbn.errors import TBNError
from tbn.export.run import exported
from tbn.jobs import Job

Open = Callable[..., AppTest]
DEVICE, FIRMWARE = "pages/deploy/device.py", "pages/deploy/firmware.py"
RUN = "fashion_mnist-mlp-p4-s0"
ZOO = Path(tbn.__file__).parent / "zoo"


@pytest.fixture(scope="session")
def onboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A runs folder with one run of the zoo, flashed onto the emulated micro:bit."""
    root = tmp_path_factory.mktemp("device") / "runs"
    shutil.copytree(ZOO / RUN, root / RUN)
    flash(root / RUN, "microbit", "emulator")
    yield root
    emulator.stop(place_of(root / RUN, "microbit").emulator_state)


@pytest.fixture
def place(onboard: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Where its firmware lies; the app's runs folder is this one."""
    monkeypatch.setenv("TBN_RUNS", str(onboard))
    return place_of(runs.Run(onboard / RUN), "microbit")


@pytest.fixture
def device(place: Place, open_page: Open) -> Iterator[AppTest]:
    """The Device page of that board; what is connected in it is disconnected."""
    app = open_page(DEVICE, run=RUN, board="microbit", port="emulator", test_image="17")
    yield app
    if any(button.key == "disconnect" for button in app.button):
        app.button(key="disconnect").click().run(timeout=60)


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.success, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def click(app: AppTest, key: str) -> None:
    app.button(key=key).click().run(timeout=120)
    assert not app.exception


@pytest.mark.board
def test_connect_ask_and_read_the_line(device: AppTest, place: Place) -> None:
    assert device.button(key="ask").disabled and "**Connect** to the board first" in words(device)
    click(device, "connect")
    assert not device.error, device.error[0].value
    assert "Connected to **microbit**" in words(device)
    shown = {metric.label: metric.value for metric in device.metric}
    found = predictions.predict(place.run)
    answer = found.classes[int(found.answers[17])]
    mark = "✓" if found.answers[17] == found.targets[17] else "✗"
    assert shown["The board"] == shown["The float model"] == f"{answer} {mark}"
    report = json.loads(place.report.read_text())
    assert abs(int(shown["Instructions"].replace(",", "")) - report["ticks"]) < 200
    chart = device.get("plotly_chart")[0]
    assert f"the board says {answer}" in chart.proto.alt and "the float model says" in chart.proto.alt
    assert "INFER 2: 784 bytes of input" in words(device) and "ticks; " in words(device)
    click(device, "self_test")
    assert "8 inputs of its own from seed 1" in words(device)
    device.text_input(key="line").input("hello").run()
    assert "-> hello" in words(device)
    assert device.text_input(key="line").value == ""
    device.toggle(key="same_c").set_value(True).run(timeout=120)
    assert "bit for bit the board's answer" in words(device)


@pytest.mark.board
def test_one_visitor_at_a_time(device: AppTest, place: Place) -> None:
    """Somebody else has the board; and a flash is refused while this page has it."""
    other = open_console(place, "emulator")
    click(device, "connect")
    assert "in use by another flash or evaluation, or by the console of a Device page" in device.error[0].value
    assert "**What to do:**" in device.error[0].value and "Traceback" not in device.error[0].value
    other.close()
    click(device, "connect")
    with pytest.raises(TBNError, match="console of a Device page"):
        open_console(place, "emulator")
    click(device, "disconnect")
    open_console(place, "emulator").close()


@pytest.mark.board
def test_a_board_that_goes_away_is_said(device: AppTest, place: Place) -> None:
    click(device, "connect")
    emulator.stop(place.emulator_state)
    for _ in range(50):  # it leaves within half a second
        device.run(timeout=60)
        if "The board closed the line" in words(device):
            break
        time.sleep(0.1)
    assert "The board closed the line" in words(device) and device.button(key="self_test").disabled
    click(device, "reset")  # switches it on again
    assert "Connected to **microbit**" in words(device) and not device.error


@pytest.mark.board
def test_a_drawing_is_asked(device: AppTest, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canvas itself is tested in a browser; here its pixels are those of a test image, so the answer is that image's."""
    found = predictions.predict(place.run)
    monkeypatch.setattr("pages.parts.canvas.draw", lambda *_: np.asarray(found.inputs[3])[0])
    click(device, "connect")
    device.segmented_control(key="input").set_value("draw").run(timeout=120)
    assert not device.exception and not device.error
    assert device.query_params["input"] in ("draw", ["draw"])
    shown = {metric.label: metric.value for metric in device.metric}
    assert shown["The board"] == found.classes[int(found.answers[3])]  # without a mark: nobody knows what a drawing is


def test_a_run_that_was_never_flashed_says_where_to_flash_it(trained: Path, open_page: Open) -> None:
    app = open_page(DEVICE, run="fashion_mnist-mlp-4-s0", board="pico")
    assert "has not been flashed onto the emulated Raspberry Pi Pico" in words(app) and not app.error
    click(app, "connect")
    assert "has no firmware of fashion\\_mnist-mlp-4-s0 yet" in app.error[0].value and "tbn flash" in app.error[0].value


def test_a_board_without_a_port(trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tbn.boards.list_ports", lambda: (), raising=False)
    app = open_page(DEVICE, board="esp32dev")
    assert app.button(key="connect").disabled and "Plug the Espressif ESP32 DevKit in" in words(app) and not app.warning


def test_nothing_to_deploy(folder: Path, open_page: Open) -> None:
    app = open_page(DEVICE)
    assert "nothing to put on a board" in words(app) and not app.error


def test_an_unknown_board_in_the_address(trained: Path, open_page: Open) -> None:
    for page in (DEVICE, FIRMWARE):
        app = open_page(page, board="nonsense")
        assert "no board `nonsense`" in app.warning[0].value and not app.error


def test_a_card_chooses_the_board(trained: Path, open_page: Open) -> None:
    app = open_page(FIRMWARE, run="fashion_mnist-mlp-4-s0")
    click(app, "board_pico")
    assert app.query_params["board"] in ("pico", ["pico"])
    assert any("--board pico" in code.value for code in app.code)
    assert "has not been built for Raspberry Pi Pico yet" in words(app)
    app.switch_page(DEVICE).run()
    assert app.selectbox(key="board").value == "pico"  # the choice goes along


def fit(**changed: object) -> Fit:
    usual = {"board": "uno", "title": "Uno", "fits": True, "measured": True, "flash_bytes": 10, "flash_limit_bytes": 1000, "ram_bytes": 50,
             "ram_limit_bytes": 200, "stack_bytes": 50, "smallest_p": 1}  # fmt: skip
    return Fit(**{**usual, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "label", "colour"),
    [
        (None, "not predicted yet", "gray"),
        (fit(), "fits", "green"),
        (fit(measured=False), "fits, by estimate", "green"),
        (fit(fits=False, smallest_p=8), "too big; p = 8 fits", "orange"),
        (fit(fits=False, smallest_p=None), "too big", "red"),
    ],
)
def test_badges(entry: Fit | None, label: str, colour: str) -> None:
    assert board_cards.badge(entry)[::2] == (label, colour)


def test_a_card_says_what_would_be_taken() -> None:
    told = board_cards.about(boards.get_board("uno"), fit(flash_bytes=5))
    assert told == "AVR, emulated or real  \nflash under 1% of 31.5 KiB  \nRAM 50% of 2,048 B"


@pytest.mark.board
def test_cards_carry_the_prediction(place: Place, open_page: Open) -> None:
    app = open_page(FIRMWARE, run=RUN, board="microbit")
    report = exported(place.run)
    assert report is not None
    labels = [board_cards.badge(entry)[0] for entry in fitting.fits(place.run, report)]
    shown = "\n".join(str(element.value) for element in app.markdown)
    assert all(label in shown for label in labels) and "fits" in labels
    assert "32/32" in words(app) and "Flashed from the command line" in words(app)  # no job did it


def test_each_step_says_what_it_does_and_what_to_do() -> None:
    assert set(flash_help.DOES) == set(flash_help.HELP) == set(boards.STEPS)


@pytest.mark.parametrize(
    ("states", "step"), [(("done", "failed", "waiting"), "generate"), (("done", "done", "running"), "build"), ((), "")]
)
def test_the_step_that_failed(states: tuple[str, ...], step: str, tmp_path: Path) -> None:
    steps = [{"name": name, "state": state} for name, state in zip(boards.STEPS, states, strict=False)]
    job = Job(tmp_path, "flash", "failed", (), 1, 0.0, progress={"steps": steps})
    assert flash_help.failed_step(job) == step
    assert flash_help.failed_step(Job(tmp_path, "flash", "done", (), 1, 0.0, progress={"steps": steps})) == ""


def test_what_to_do_is_open_when_a_step_failed(trained: Path, open_page: Open) -> None:
    folder = trained / "fashion_mnist-mlp-4-s0" / "firmware" / "microbit"
    folder.mkdir(parents=True)
    steps = [
        {"name": name, "state": "failed" if name == "flash" else "done", "message": ""} for name in boards.STEPS[:6]
    ]
    job = {
        "kind": "flash",
        "argv": ["flash", "fashion_mnist-mlp-4-s0"],
        "pid": 1,
        "started": 1.0,
        "ended": 3.0,
        "returncode": 1,
    }
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "progress.json").write_text(json.dumps({"fraction": 0.7, "steps": steps}))
    app = open_page(FIRMWARE, run="fashion_mnist-mlp-4-s0", board="microbit")
    (help_of,) = [box for box in app.expander if "What to do" in box.label]
    assert help_of.label == "What to do when **flash** fails" and help_of.proto.expanded
    assert "Close whatever else listens on the port" in words(app)
