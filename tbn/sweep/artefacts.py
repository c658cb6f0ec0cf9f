"""Run folders on their way between machines: as bytes in a message, or through a shared path or object store (fsspec).

``result.json`` says that a run is complete, so it always comes last; locks stay where they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tbn.errors import TBNError
from tbn.files import write_bytes

LAST = "result.json"
LEFT_OUT = (".lock", ".job.lock")


def files_of(folder: Path) -> dict[str, bytes]:
    """What is in a run folder, by path below it; ``result.json`` last."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in LEFT_OUT
    }
    return {name: found[name] for name in sorted(found, key=lambda name: (name == LAST, name))}


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Put down what ``files_of`` read elsewhere.

    Raises:
        TBNError: the folder cannot be written.
    """
    for name, data in files.items():
        write_bytes(folder / name, data)


class Store:
    """Run folders behind a URL: ``s3://bucket/runs``, ``file:///mnt/share/runs``, a path; whatever fsspec has a driver for.

    Raises:
        TBNError: fsspec does not know the protocol, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        try:
            self.system: Any
            self.system, self.base = fsspec.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise TBNError(
                f"artefacts cannot go to {url}: {error}",
                "use a path that all machines see, or install the driver that fsspec names",
            ) from error

    def push(self, folder: Path) -> None:
        """Copy a run folder there, whole files, what is complete last."""
        for name, data in files_of(folder).items():
            path = f"{self.base}/{folder.name}/{name}"
            self._call(self.system.makedirs, path.rpartition("/")[0], exist_ok=True)
            self._call(self.system.pipe_file, path, data)

    def pull(self, folder: Path) -> bool:
        """Copy a run folder from there; whether it was there."""
        there = f"{self.base}/{folder.name}"
        self._call(self.system.invalidate_cache)
        if not self._call(self.system.exists, there):
            return False
        names = [path[len(there) + 1 :] for path in self._call(self.system.find, there)]
        for name in sorted(names, key=lambda name: (name == LAST, name)):
            write_bytes(folder / name, self._call(self.system.cat_file, f"{there}/{name}"))
        return True

    def _call(self, method: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except OSError as error:
            raise TBNError(
                f"artefacts in {self.url} cannot be reached: {error}", "check the URL and that this machine may use it"
            ) from error
