"""A real PostgreSQL server in a folder of its own, for tests: started, stopped and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def program(name: str) -> str | None:
    """Where a PostgreSQL program is; Debian keeps the server's beside the path."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(places[0]) if places else None)


class Server:
    """One server on 127.0.0.1, its data in ``folder``. It refuses to run as root, who lends it another user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.user: dict[str, object] = {}
        if os.geteuid() == 0:
            name = next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
            entry = pwd.getpwnam(name)
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            self.folder.mkdir()
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._call("initdb", "--auth=trust", "--username=tbn", "--encoding=UTF8", "--no-sync", "-D")

    @property
    def url(self) -> str:
        return f"postgresql://tbn:secret@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=16MB"
        self._call("pg_ctl", "start", "-w", "-l", f"{self.folder}/log", "-o", options, "-D")

    def stop(self) -> None:
        """As a power cut would: connections are broken off."""
        self._call("pg_ctl", "stop", "-m", "immediate", "-w", "-D")

    def _call(self, name: str, *arguments: str) -> None:
        command = [str(program(name)), *arguments, str(self.folder)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run(command, check=True, timeout=60, **quiet, **self.user)  # type: ignore[call-overload]


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server while the block runs. ``folder`` and those above it must be open to other users."""
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
