"""Logs of real failures and the words that the user gets."""

import pytest

from tbn.boards.errors import CAUSES, CODES, ToolError, excerpt, explain
from tbn.errors import TBNError

LOGS = {  # what a log says: code, words of the message, words of the fix
    "ld.lld: error: section '.text' will not fit in region 'FLASH': overflowed by 1234 bytes": (
        "flash-too-small", "1234 bytes too big", "larger p"),
    "ld.lld: error: section '.bss' will not fit in region 'RAM': overflowed by 99 bytes": ("ram-too-small", "99 bytes more RAM", "smaller model"),
    "avr-ld: region `text' overflowed by 512 bytes": ("flash-too-small", "512 bytes too big", "larger p"),
    "ld: region `dram0_0_seg' overflowed by 512 bytes": ("ram-too-small", "512 bytes more RAM", "larger p"),
    "ld: address 0x8016f2 of firmware.elf section `.bss' is not within region `data'": ("ram-too-small", "more RAM", "larger p"),
    "model.c:7:20: error: size of array 'tbn_layer_fc1_weight' is too large": ("flash-too-small", "tbn_layer_fc1_weight", "larger p"),
    "Error: avr-gcc is missing: apt-get install gcc-avr avr-libc": ("package-missing", "avr-gcc", "apt-get"),
    "Error: The program size (3216 bytes) is greater than maximum allowed (2000 bytes)": ("flash-too-small", "3216 bytes of flash", "another board"),
    "Warning! The data size (1152 bytes) is greater than maximum allowed (500 bytes)": ("ram-too-small", "1152 bytes of RAM", "another board"),
    "HTTPClientError: ": ("registry-unreachable", "registry cannot be reached", "emulator"),
    "Could not find the package with 'platformio/ststm32' requirements": ("registry-unreachable", "registry cannot be reached", "internet"),
    "Error: Unknown board ID 'nope'": ("unknown-environment", "no such environment", "platformio.ini"),
    "UnknownEnvNamesError: Unknown environment names 'x'": ("unknown-environment", "no such environment", "boards.toml"),
    "[Errno 13] could not open port /dev/ttyACM0: [Errno 13] Permission denied: '/dev/ttyACM0'": ("no-permission", "/dev/ttyACM0", "dialout"),
    "avrdude: ser_open(): can't open device\ncannot open port /dev/ttyACM0: Permission denied": ("no-permission", "/dev/ttyACM0", "dialout"),
    "Could not exclusively lock port /dev/ttyACM0: [Errno 11] Resource temporarily unavailable": ("port-busy", "another program", "monitors"),
    "[Errno 16] Device or resource busy: '/dev/ttyACM0'": ("port-busy", "another program", "ModemManager"),
    "could not open port 'COM3': PermissionError(13, 'Access is denied.', None, 5)": ("port-busy", "another program", "monitors"),
    "Could not open /dev/ttyUSB9, the port is busy or doesn't exist.": ("port-gone", "the port is gone", "unplugged"),
    "[Errno 2] could not open port /dev/ttyACM0: [Errno 2] No such file or directory": ("port-gone", "the port is gone", "tbn boards"),
    "No device found on ttyACM9": ("port-gone", "the port is gone", "after its reset"),
    "Error: Please specify `upload_port` for environment": ("no-port", "no port", "--port"),
    "Error: Couldn't find a board on the selected port. Check": ("no-boot-loader", "boot loader", "twice"),
    "avrdude: stk500_getsync() attempt 10 of 10: not in sync: resp=0x00": ("no-answer", "boot loader", "reset"),
    "avrdude: programmer is not responding": ("no-answer", "boot loader", "--board"),
    "Expected signature for ATmega2560 is 1E 98 01\ndouble check chip": ("wrong-chip", "another chip", "connected"),
    "A fatal error occurred: This chip is ESP32-S3, not ESP32. Wrong --chip argument?": ("wrong-chip", "another chip", "connected"),
    "A fatal error occurred: Failed to connect to ESP32: Wrong boot mode detected": ("not-in-download-mode", "download mode", "BOOT"),
    "A fatal error occurred: No serial data received.": ("not-in-download-mode", "download mode", "BOOT"),
    "Error: open failed\n** OpenOCD init failed **": ("no-probe", "debug probe", "cable"),
    "Error: unable to find a matching CMSIS-DAP device": ("no-probe", "debug probe", "udev"),
    "Couldn't find any ST-Link devices": ("no-probe", "debug probe", "cable"),
    "Waiting for a debug probe to be connected...": ("no-probe", "debug probe", "cable"),
    "No accessible RP2040 devices in BOOTSEL mode were found.": ("not-in-boot-loader", "boot loader", "BOOTSEL"),
    "Error: the Python package scons is missing: pip install scons": ("package-missing", "scons is missing", "firmware"),
    "OSError: [Errno 28] No space left on device": ("disk-full", "disk is full", "free"),
    "OSError: [Errno 98] Address already in use": ("emulator-port-busy", "TCP port", "--port emulator"),
    "Error: there is no emulated zzz; emulated boards: nucleo_f411re": ("tool", "there is no emulated zzz", "log"),
    "Warning! Please install `99-platformio-udev.rules`.\nsomething failed": ("udev-rules", "udev rules", "plug the board in"),
    "src/model.c:3:1: error: unknown type name 'this'": ("compiler", "unknown type name 'this'", "log"),
}  # fmt: skip


@pytest.mark.parametrize("log", LOGS)
def test_known_failures(log: str) -> None:
    found = explain(f"Processing\n{log}\n=== [FAILED] Took 1 seconds ===")
    assert found is not None
    code, message, fix = LOGS[log]
    assert (found.code, message in found.message, fix in found.fix) == (code, True, True), found
    assert log.splitlines()[-1] in found.log and "{" not in str(found)


def test_every_code_is_tried_and_named() -> None:
    assert {code for code, _, _ in LOGS.values()} == {cause.code for cause in CAUSES}
    assert {cause.code for cause in CAUSES} < set(CODES)


def test_the_log_is_cut_around_the_line_that_tells() -> None:
    log = "\n".join(
        [
            *(f"line {number}" for number in range(50)),
            "disk: No space left on device",
            *(f"after {number}" for number in range(50)),
        ]
    )
    found = explain(log)
    assert found is not None
    lines = found.log.splitlines()
    assert lines[0] == "line 44" and lines[-1] == "after 2" and len(lines) == 10
    assert excerpt(log).splitlines()[-1] == "after 49" and excerpt("") == ""


def test_a_tool_s_error_is_an_error_of_ours() -> None:
    error = ToolError("it failed", "do this", "tool", "a log")
    assert (
        isinstance(error, TBNError)
        and str(error) == "it failed; do this"
        and (error.code, error.log) == ("tool", "a log")
    )


def test_unknown_failure() -> None:
    assert explain("all is well\n") is None


def test_every_cause_has_a_fix() -> None:
    assert all(cause.fix for cause in CAUSES)
