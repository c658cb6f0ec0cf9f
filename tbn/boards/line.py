"""A serial line to a board: a real port through pyserial, or the TCP port of an emulated one. Both fail with words that help."""

import contextlib
import errno
import os
import select
import socket
from typing import Any, Protocol
from urllib.parse import urlsplit

from tbn.errors import TBNError

BAUD = 115200
WRITE_SECONDS = 10.0
CHUNK_BYTES = 65536
UNPLUGGED = "is the board still plugged in? flash it again"


class BoardError(TBNError):
    """The board does not answer, or not as it should."""


class LineClosed(BoardError):
    """The serial line is gone."""


class Stream(Protocol):
    """An open line."""

    def read(self, seconds: float) -> bytes:
        """The bytes that are there, or the first that come within the time."""

    def write(self, data: bytes) -> None:
        """Send all of it."""

    def close(self) -> None:
        """Let go of the port."""


class TcpStream:
    """The emulated board's port, socket://HOST:PORT."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname or "127.0.0.1", address.port or 0), WRITE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, seconds: float) -> bytes:
        try:
            if not select.select([self.socket], [], [], seconds)[0]:
                return b""
            data = self.socket.recv(CHUNK_BYTES)
        except OSError as error:
            raise LineClosed(f"the line to the board broke: {error}", UNPLUGGED) from error
        if not data:
            raise LineClosed(
                "the board closed the line",
                "it stopped or was flashed anew: flash it again, and see emulator.log beside its image",
            )
        return data

    def write(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise LineClosed(f"the line to the board broke: {error}", UNPLUGGED) from error

    def close(self) -> None:
        self.socket.close()


class SerialStream:
    """A serial port of this computer."""

    def __init__(self, device: str) -> None:
        import serial

        self.failures: tuple[type[Exception], ...] = (serial.SerialException, OSError)
        self.port: Any = serial.Serial(device, BAUD, write_timeout=WRITE_SECONDS, exclusive=True)

    def read(self, seconds: float) -> bytes:
        try:
            self.port.timeout = seconds
            first: bytes = self.port.read(1)
            rest: bytes = self.port.read(self.port.in_waiting)
            return first + rest
        except self.failures as error:
            raise LineClosed(f"the serial line broke: {error}", UNPLUGGED) from error

    def write(self, data: bytes) -> None:
        try:
            self.port.write(data)
        except self.failures as error:
            raise LineClosed(f"the serial line broke: {error}", UNPLUGGED) from error

    def close(self) -> None:
        with contextlib.suppress(*self.failures):  # of a port that is gone
            self.port.close()


def open_line(url: str) -> Stream:
    """Open a serial port, or socket://HOST:PORT.

    Raises:
        BoardError: it is not there, in use, or not allowed.
    """
    try:
        return TcpStream(url) if url.startswith("socket://") else SerialStream(url)
    except OSError as error:  # serial.SerialException is one
        raise _refused(url, error) from error


def _refused(url: str, error: OSError) -> BoardError:
    """Why a port cannot be opened."""
    if url.startswith("socket://"):
        return BoardError(f"cannot open the port {url}: {error.strerror or error}", "flash the board again")
    denied = error.errno == errno.EACCES or "PermissionError(13" in str(error)  # Windows says it in words only
    if error.errno in (errno.EAGAIN, errno.EBUSY) or (denied and os.name == "nt"):
        return BoardError(
            f"the port {url} is in use by another program", "close the serial monitor, flash or evaluation that has it"
        )
    if denied:
        return BoardError(
            f"you may not open the port {url}",
            "join the group that owns it and log in again: sudo usermod -aG dialout $USER",
        )
    if error.errno == errno.ENOENT or "FileNotFoundError" in str(error):
        return BoardError(f"the port {url} is not there", "plug the board in; tbn boards lists the ports")
    return BoardError(f"cannot open the port {url}: {error}", "tbn boards lists the ports")
