"""Choosing a port: never a guess."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tbn.boards import get_board
from tbn.boards.ports import choose, held, is_emulator, list_ports, lock_name, not_there
from tbn.errors import TBNError


def plug(monkeypatch: pytest.MonkeyPatch, *ports: tuple[str, int | None, int | None]) -> None:
    """What the operating system says is plugged in: (device, VID, PID)."""
    found = [
        SimpleNamespace(device=device, vid=vid, pid=pid, description="a port", serial_number="123")
        for device, vid, pid in ports
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)


def test_boards_are_recognised_and_own_uarts_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, ("/dev/ttyS0", None, None), ("/dev/ttyACM0", 0x2341, 0x805A), ("/dev/ttyUSB0", 0x1A86, 0x7523))
    assert [(port.device, port.boards) for port in list_ports()] == [
        ("/dev/ttyACM0", ("nano33ble",)),
        ("/dev/ttyUSB0", ("esp32dev",)),
    ]
    assert list_ports()[0].to_dict()["usb_id"] == "2341:805A"


def test_the_only_matching_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, ("/dev/ttyACM0", 0x2341, 0x805A), ("/dev/ttyACM1", 0x0483, 0x374B))
    assert choose(get_board("nucleo_f411re"), None) == "/dev/ttyACM1"


def test_none_several_or_an_adapter_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(
        monkeypatch,
        ("/dev/ttyACM0", 0x2E8A, 0x000A),
        ("/dev/ttyACM1", 0x2E8A, 0x00C0),
        ("/dev/ttyUSB0", 0x10C4, 0xEA60),
    )
    with pytest.raises(TBNError, match=r"no ST Nucleo-F411RE is connected .*ttyACM0 \(2E8A:000A\)") as error:
        choose(get_board("nucleo_f411re"), None)
    assert "--port emulator" in error.value.fix
    with pytest.raises(TBNError, match="several Raspberry Pi Pico") as error:
        choose(get_board("pico"), None)
    assert (
        error.value.fix
        == "choose one: --port /dev/ttyACM0 (serial number 123) or --port /dev/ttyACM1 (serial number 123)"
    )
    with pytest.raises(
        TBNError, match="may be the Espressif ESP32 DevKit, but its USB chip sits on many boards"
    ) as error:
        choose(get_board("esp32dev"), None)
    assert error.value.fix.startswith("say so: --port /dev/ttyUSB0")


@pytest.mark.parametrize(
    ("system", "words"), [("linux", "lsusb -d 2e8a:00c0"), ("darwin", "/dev/cu.usb"), ("win32", "VID_2E8A&PID_00C0")]
)
def test_help_is_that_of_the_operating_system(system: str, words: str) -> None:
    assert words in not_there(get_board("pico"), system) and "data cable" in not_there(get_board("pico"), system)


def test_a_programmer_that_several_boards_have_tells_the_board_by_its_serial_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A micro:bit's begins with 9900 or 9901; that of version 2 with other numbers."""
    numbers = {"/dev/ttyACM0": "9904360258824e45", "/dev/ttyACM1": "9900000031864e45"}
    found = [
        SimpleNamespace(device=d, vid=0x0D28, pid=0x0204, description="", serial_number=n) for d, n in numbers.items()
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found[:1])
    with pytest.raises(TBNError, match="sits on many boards"):
        choose(get_board("microbit"), None)
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)
    assert choose(get_board("microbit"), None) == "/dev/ttyACM1"


def test_a_board_without_usb_wants_an_adapter() -> None:
    assert "adapter" in not_there(replace(get_board("pico"), usb=()), "linux")


def test_port_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch)
    with pytest.raises(TBNError, match="the port /dev/ttyNOWHERE does not exist") as error:
        choose(get_board("nucleo_f411re"), "/dev/ttyNOWHERE")
    assert "--port emulator" in error.value.fix


def test_another_boards_port_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = str(tmp_path / "tty")
    plug(monkeypatch, (device, 0x2341, 0x0043))
    with pytest.raises(TBNError, match="Arduino Uno") as error:
        choose(get_board("nucleo_f411re"), device)
    assert "--board uno" in error.value.fix
    assert choose(get_board("uno"), device) == device


def test_emulator() -> None:
    assert (
        is_emulator("emulator")
        and is_emulator("emulator:7611")
        and not is_emulator("/dev/emulator")
        and not is_emulator(None)
    )
    assert choose(get_board("nucleo_f411re"), "emulator") == "emulator"
    with pytest.raises(TBNError, match="there is no emulated esp32dev") as error:
        choose(get_board("esp32dev"), "emulator")
    assert "nucleo_f411re" in error.value.fix


def test_a_port_has_one_owner(tmp_path: Path) -> None:
    lock = tmp_path / lock_name("/dev/ttyACM0")
    with (
        held(lock, "/dev/ttyACM0"),
        pytest.raises(TBNError, match="in use by another flash") as error,
        held(lock, "/dev/ttyACM0"),
    ):
        pass
    assert "wait" in error.value.fix
    with held(lock, "/dev/ttyACM0"):
        pass
