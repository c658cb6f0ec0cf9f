"""The list of boards agrees with platformio.ini, and importing it stays light."""

import configparser
import json
import re
import subprocess
import sys

import pytest

from tbn.boards import get_board, list_boards, simavr
from tbn.boards.chips import MODELS
from tbn.errors import TBNError
from tbn.export import firmware_root


def environments() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    parser.read(firmware_root() / "platformio.ini")
    return parser


def test_every_environment_exists() -> None:
    ini = environments()
    for board in list_boards():
        section = ini[f"env:{board.environment}"]
        assert (section["platform"], section["framework"]) == (board.platform, "arduino")
        if board.emulated:
            section = ini[f"env:{board.emulator_environment}"]
            assert (section["extends"], section["board"]) == ("emulated", board.name)
            assert board.emulator_environment == f"sim_{board.name}" and board.environment == board.name
    assert ini["emulated"]["platform"].startswith("symlink://${PROJECT_DIR}/")
    assert ini["env"]["test_framework"] == "custom"


def test_emulated_boards_have_a_machine_with_their_memory() -> None:
    emulated = {board.name: board for board in list_boards() if board.emulated}
    assert set(emulated) == {*MODELS, *simavr.CHIPS}
    for name, model in MODELS.items():
        board = emulated[name]
        assert (model.core, model.flash[1], model.ram[1]) == (board.core, board.flash_bytes, board.ram_bytes)
    assert {emulated[name].core for name in simavr.CHIPS} == {"avr"}


def test_bare_metal_boards_have_the_same_sizes_and_build_what_their_drive_takes() -> None:
    folder = firmware_root() / "platforms" / "tbn_baremetal" / "boards"
    for board in list_boards():
        if board.emulated:
            described = json.loads((folder / f"{board.name}.json").read_text())
            sizes = described["upload"]
            assert (sizes["maximum_size"], sizes["maximum_ram_size"]) == (board.flash_bytes, board.ram_bytes)
            assert board.drive is None or board.drive.image in described["build"]["images"]
    assert {board.drive.image for board in list_boards() if board.drive} == {"bin", "hex", "uf2"}


def test_usb_ids_are_well_formed() -> None:
    for board in list_boards():
        assert board.usb and all(re.fullmatch(r"[0-9A-F]{4}:[0-9A-F]{4}", pair) for pair in board.usb)


def test_to_dict() -> None:
    found = get_board("nucleo_f411re").to_dict()
    assert found["emulated"] and found["flash_bytes"] == 512 << 10


@pytest.mark.parametrize(
    ("name", "near"),
    [("nucleo", "did you mean nucleo_f411re"), ("nano33", "nano33ble"), ("zzz", "boards: nucleo_f411re")],
)
def test_unknown_board_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(TBNError, match=f"unknown board '{name}'") as error:
        get_board(name)
    assert near in error.value.fix


def test_import_needs_no_torch() -> None:
    code = (
        "import sys; from tbn.boards import *; import tbn.memory, tbn.boards.emulator; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
