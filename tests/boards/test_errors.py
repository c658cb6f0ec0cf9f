"""Logs of real failures and the words that the user gets."""

import pytest

from tbn.boards.errors import CAUSES, explain

LOGS = {
    "ld.lld: error: section '.text' will not fit in region 'FLASH': overflowed by 1234 bytes": (
        "1234 bytes too big",
        "larger p",
    ),
    "ld.lld: error: section '.bss' will not fit in region 'RAM': overflowed by 99 bytes": (
        "99 bytes more RAM",
        "smaller model",
    ),
    "avr-ld: region `text' overflowed by 512 bytes": ("512 bytes too big", "larger p"),
    "Error: The program size (3216 bytes) is greater than maximum allowed (2000 bytes)": (
        "3216 bytes of flash",
        "another board",
    ),
    "Warning! The data size (1152 bytes) is greater than maximum allowed (500 bytes)": (
        "1152 bytes of RAM",
        "another board",
    ),
    "HTTPClientError: ": ("registry cannot be reached", "emulator"),
    "[Errno 13] could not open port /dev/ttyACM0: [Errno 13] Permission denied: '/dev/ttyACM0'": (
        "/dev/ttyACM0",
        "dialout",
    ),
    "avrdude: ser_open(): can't open device\ncannot open port /dev/ttyACM0: Permission denied": (
        "/dev/ttyACM0",
        "dialout",
    ),
    "Could not exclusively lock port /dev/ttyACM0: [Errno 11] Resource temporarily unavailable": (
        "another program",
        "monitors",
    ),
    "Could not open /dev/ttyUSB9, the port is busy or doesn't exist.": ("the port is gone", "unplugged"),
    "Error: Please specify `upload_port` for environment": ("no port", "--port"),
    "Error: Couldn't find a board on the selected port. Check": ("boot loader", "twice"),
    "avrdude: stk500_getsync() attempt 10 of 10: not in sync: resp=0x00": ("boot loader", "reset"),
    "expected signature for ATmega2560 is 1E 98 01": ("another chip", "connected"),
    "A fatal error occurred: Failed to connect to ESP32: Wrong boot mode detected": ("download mode", "BOOT"),
    "** OpenOCD init failed **": ("debug probe", "cable"),
    "Error: the Python package scons is missing: pip install scons": ("scons is missing", "firmware"),
    "OSError: [Errno 28] No space left on device": ("disk is full", "free"),
    "Error: there is no emulated zzz; emulated boards: nucleo_f411re": ("there is no emulated zzz", "log"),
    "src/model.c:3:1: error: unknown type name 'this'": ("unknown type name 'this'", "log"),
}


@pytest.mark.parametrize("log", LOGS)
def test_known_failures(log: str) -> None:
    found = explain(f"Processing\n{log}\n=== [FAILED] Took 1 seconds ===")
    assert found is not None
    message, fix = LOGS[log]
    assert message in found.message and fix in found.fix


def test_unknown_failure() -> None:
    assert explain("all is well\n") is None


def test_every_cause_has_a_fix() -> None:
    assert all(cause.fix for cause in CAUSES)
