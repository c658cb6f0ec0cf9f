"""Firmware on boards: build, flash and self-test through PlatformIO, on emulated and real boards. Imports no torch.

The public names load their modules when they are used, so that the emulated board's own process stays small.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tbn.boards.building import STEPS, BuildReport, build
    from tbn.boards.catalogue import Board, get_board, list_boards
    from tbn.boards.checks import Check, doctor
    from tbn.boards.flashing import FlashReport, evaluate_on_board, flash
    from tbn.boards.ports import Port, list_ports

_MODULES = {
    "STEPS": "building", "BuildReport": "building", "build": "building",
    "Board": "catalogue", "get_board": "catalogue", "list_boards": "catalogue",
    "Check": "checks", "doctor": "checks",
    "FlashReport": "flashing", "evaluate_on_board": "flashing", "flash": "flashing",
    "Port": "ports", "list_ports": "ports",
}  # fmt: skip
__all__ = [
    "STEPS", "Board", "BuildReport", "Check", "FlashReport", "Port", "build", "doctor", "evaluate_on_board", "flash", "get_board",
    "list_boards", "list_ports",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
