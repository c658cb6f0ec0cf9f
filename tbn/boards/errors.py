"""What PlatformIO, compilers and flashers say when they fail, in words that help: cause and fix."""

import re
from dataclasses import dataclass

from tbn.errors import TBNError


@dataclass(frozen=True)
class Cause:
    """A failure that we know. Groups of the pattern fill the braces of both texts."""

    pattern: str
    message: str
    fix: str


SMALLER = "train with a larger p (fewer bytes), a smaller model, or choose another board"
GROUP = "add yourself to the group that owns the port (sudo usermod -aG dialout $USER), log in again, or install PlatformIO's udev rules"
CAUSES = (
    Cause(r"will not fit in region 'FLASH': overflowed by (\d+) bytes", "the firmware is {0} bytes too big for the board's flash", SMALLER),
    Cause(r"will not fit in region 'RAM': overflowed by (\d+) bytes", "the firmware needs {0} bytes more RAM than the board has", SMALLER),
    Cause(r"region [`'](?:text|FLASH|flash)\w*'? overflowed by (\d+) bytes", "the firmware is {0} bytes too big for the board's flash", SMALLER),
    Cause(r"The program size \((\d+) bytes\) is greater than maximum allowed \((\d+) bytes\)",
          "the firmware takes {0} bytes of flash and the board has {1}", SMALLER),
    Cause(r"The data size \((\d+) bytes\) is greater than maximum allowed \((\d+) bytes\)",
          "the firmware takes {0} bytes of RAM and the board has {1}", SMALLER),
    Cause(r"(HTTPClientError|InternetConnectionError|not connected to the Internet|Could not find the package)",
          "the PlatformIO registry cannot be reached, and this board's toolchain comes from there",
          "connect to the internet for the first build of a real board, or use --port emulator"),
    Cause(r"UnknownEnvNamesError|Unknown board ID '(\w+)'", "platformio.ini has no such environment or board",
          "name it in pio_firmware/platformio.ini as in tbn/boards/boards.toml"),
    Cause(r"Permission denied: '(/dev/\S+?)'|could not open port '?(\S+?)'?: Permission denied|cannot open port (\S+): Permission denied",
          "this user may not open the port {0}", GROUP),
    Cause(r"Could not exclusively lock port|Resource temporarily unavailable|Device or resource busy", "another program holds the port",
          "close serial monitors and the like (on Linux also ModemManager), then flash again"),
    Cause(r"Please specify `?upload_port", "no port was named", "give --port; tbn boards lists the ports"),
    Cause(r"the port is busy or doesn't exist|No device found on|No such file or directory: '(/dev/\S+)'", "the port is gone",
          "the board may have been unplugged or got a new port after its reset: look with tbn boards, flash again"),
    Cause(r"Couldn't find a board on the selected port", "the board did not enter its boot loader",
          "press its reset button twice quickly, then flash to the port that appears"),
    Cause(r"not in sync|programmer is not responding", "nothing answers like this board's boot loader",
          "check --board and --port, press reset, try again"),
    Cause(r"expected signature for (\w+)|Wrong --chip argument|This chip is (\S+?),? not", "another chip is connected than this board has",
          "choose the board that is connected"),
    Cause(r"Wrong boot mode detected|Failed to connect to ESP32|No serial data received", "the ESP32 is not in its download mode",
          "hold its BOOT button while the upload starts"),
    Cause(r"OpenOCD init failed|unable to find a matching CMSIS-DAP device|Couldn't find any ST-Link devices|Error: open failed",
          "the debug probe of the board was not found", "check the cable and the USB permissions (PlatformIO's udev rules)"),
    Cause(r"BOOTSEL", "the Pico is not in its boot loader", "hold BOOTSEL while plugging it in"),
    Cause(r"the Python package (\w+) is missing", "the Python package {0} is missing", "pip install 'tbn-explorer[firmware]'"),
    Cause(r"No space left on device", "the disk is full", "free some space and try again"),
    Cause(r"(?m)^Error: (.+)$", "{0}", "the whole log tells more"),
    Cause(r"(?m)^(\S+:\d+:\d+: (?:fatal )?error: .+)$", "the compiler refused the source: {0}", "the whole log tells more"),
)  # fmt: skip


def explain(log: str) -> TBNError | None:
    """The first known cause that the log shows, or None."""
    for cause in CAUSES:
        found = re.search(cause.pattern, log)
        if found:
            groups = [group for group in found.groups() if group] or [""]
            groups += [""] * (2 - len(groups))
            return TBNError(cause.message.format(*groups), cause.fix)
    return None
