"""What PlatformIO, compilers and flashers say when they fail, in words that help: a code, the cause, the fix, and the lines of the log."""

import re
from dataclasses import dataclass

from tbn.errors import TBNError


class ToolError(TBNError):
    """A tool failed.

    Args:
        code: short and lasting name of the cause, one of ``CODES``.
        log: what the tool said, the lines around the one that tells the cause.
    """

    def __init__(self, message: str, fix: str = "", code: str = "unknown", log: str = "") -> None:
        super().__init__(message, fix)
        self.code = code
        self.log = log


@dataclass(frozen=True)
class Cause:
    """A failure that we know. Groups of the pattern fill the braces of both texts."""

    code: str
    pattern: str
    message: str
    fix: str


SMALLER = "train with a larger p (fewer bytes; tbn fit RUN names the smallest that fits), a smaller model, or choose another board"
GROUP = "add yourself to the group that owns the port (sudo usermod -aG dialout $USER), log in again, or install PlatformIO's udev rules"
UDEV = "install them: https://docs.platformio.org/en/latest/core/installation/udev-rules.html, then plug the board in again"
LOG_LINES = (6, 3)  # before and after the line that tells the cause
CAUSES = (
    Cause("flash-too-small", r"will not fit in region 'FLASH': overflowed by (\d+) bytes",
          "the firmware is {0} bytes too big for the board's flash", SMALLER),
    Cause("ram-too-small", r"will not fit in region 'RAM': overflowed by (\d+) bytes",
          "the firmware needs {0} bytes more RAM than the board has", SMALLER),
    Cause("ram-too-small", r"region [`'](?:data|bss|RAM|ram|dram0_0_seg)\w*'? overflowed by (\d+) bytes",
          "the firmware needs {0} bytes more RAM than the board has", SMALLER),
    Cause("ram-too-small", r"section [`']\.(?:bss|data|noinit)' is not within region [`']data'",
          "the firmware needs more RAM than the board has", SMALLER),
    Cause("flash-too-small", r"size of array \W(\w+)\W is too large", "the array {0} is longer than this chip can address", SMALLER),
    Cause("flash-too-small", r"region [`'](?:text|FLASH|flash|iram0|drom0)\w*'? overflowed by (\d+) bytes",
          "the firmware is {0} bytes too big for the board's flash", SMALLER),
    Cause("flash-too-small", r"The program size \((\d+) bytes\) is greater than maximum allowed \((\d+) bytes\)",
          "the firmware takes {0} bytes of flash and the board has {1}", SMALLER),
    Cause("ram-too-small", r"The data size \((\d+) bytes\) is greater than maximum allowed \((\d+) bytes\)",
          "the firmware takes {0} bytes of RAM and the board has {1}", SMALLER),
    Cause("registry-unreachable", r"(HTTPClientError|InternetConnectionError|not connected to the Internet|Could not find the package)",
          "the PlatformIO registry cannot be reached, and this board's toolchain comes from there",
          "connect to the internet for the first build of a real board, or use --port emulator"),
    Cause("unknown-environment", r"UnknownEnvNamesError|Unknown board ID '(\w+)'", "platformio.ini has no such environment or board",
          "name it in pio_firmware/platformio.ini as in tbn/boards/boards.toml"),
    Cause("no-permission",
          r"Permission denied: '(/dev/\S+?)'|could not open port '?(\S+?)'?: Permission denied|cannot open port (\S+): Permission denied",
          "this user may not open the port {0}", GROUP),
    Cause("port-busy", r"Could not exclusively lock port|Resource temporarily unavailable|Device or resource busy|Access is denied",
          "another program holds the port", "close serial monitors and the like (on Linux also ModemManager), then flash again"),
    Cause("no-port", r"Please specify `?upload_port", "no port was named", "give --port; tbn boards lists the ports"),
    Cause("port-gone", r"the port is busy or doesn't exist|No device found on|No such file or directory: '(/dev/\S+)'|\[Errno 2\] could not open port"
          r"|FileNotFoundError\(2",
          "the port is gone", "the board may have been unplugged or got a new port after its reset: look with tbn boards, flash again"),
    Cause("no-boot-loader", r"Couldn't find a board on the selected port", "the board did not enter its boot loader",
          "press its reset button twice quickly, then flash to the port that appears"),
    Cause("no-answer", r"not in sync|programmer is not responding", "nothing answers like this board's boot loader",
          "check --board and --port, press reset, try again"),
    Cause("wrong-chip", r"[Ee]xpected signature for (\w+)|Wrong --chip argument|This chip is (\S+?),? not",
          "another chip is connected than this board has", "choose the board that is connected"),
    Cause("not-in-download-mode", r"Wrong boot mode detected|Failed to connect to ESP32|No serial data received",
          "the ESP32 is not in its download mode", "hold its BOOT button while the upload starts"),
    Cause("no-probe", r"OpenOCD init failed|unable to find a matching CMSIS-DAP device|Couldn't find any ST-Link devices|Error: open failed"
          r"|Waiting for a debug probe",
          "the debug probe of the board was not found", "check the cable and the USB permissions (PlatformIO's udev rules)"),
    Cause("not-in-boot-loader", r"BOOTSEL", "the Pico is not in its boot loader", "hold BOOTSEL while plugging it in"),
    Cause("package-missing", r"avr-gcc is missing", "avr-gcc is not installed, which the Uno and the Mega need",
          "apt-get install gcc-avr avr-libc, or choose another board"),
    Cause("package-missing", r"the Python package (\w+) is missing", "the Python package {0} is missing", "pip install 'tbn-explorer[firmware]'"),
    Cause("disk-full", r"No space left on device", "the disk is full", "free some space and try again"),
    Cause("emulator-port-busy", r"Address already in use", "the TCP port of the emulated board is taken",
          "take --port emulator, which finds a free one, or name another: --port emulator:7611"),
    Cause("compiler", r"(?m)^(\S.*?:\d+:\d+: (?:fatal )?error: .+)$", "the compiler refused the source: {0}", "the whole log tells more"),
    Cause("tool", r"(?m)^Error: (.+)$", "{0}", "the whole log tells more"),
    Cause("udev-rules", r"99-platformio-udev\.rules", "PlatformIO's udev rules are not installed, and the upload failed", UDEV),
)  # fmt: skip
CODES = tuple(dict.fromkeys([*(cause.code for cause in CAUSES), "killed", "time-limit", "unknown"]))


def explain(log: str) -> ToolError | None:
    """The first known cause that the log shows, or None."""
    for cause in CAUSES:
        found = re.search(cause.pattern, log)
        if found:
            groups = [group for group in found.groups() if group] or [""]
            groups += [""] * (2 - len(groups))
            return ToolError(cause.message.format(*groups), cause.fix, cause.code, excerpt(log, found.start()))
    return None


def excerpt(log: str, position: int | None = None) -> str:
    """The lines around a position of the log; None: its last ones."""
    lines = log.splitlines()
    line = len(lines) if position is None else log.count("\n", 0, position)
    before, after = LOG_LINES
    return "\n".join(lines[max(0, line - before) : line + after + 1])
