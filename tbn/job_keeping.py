"""Around a job's life (``tbn.jobs``): a folder for one that belongs to no run, starting it again, its bytes, deleting it."""

from __future__ import annotations

import os
import secrets
import shutil
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tbn import jobs, runs
from tbn.errors import TBNError
from tbn.jobs import Job
from tbn.locks import is_locked

FOLDER = "jobs"  # of the runs folder: jobs that belong to no run
TRASH = ".deleted"  # begins the name of a folder beside what is being deleted; hidden from every list


def new_folder(kind: str, root: Path | None = None) -> Path:
    """Make ``jobs/<kind>-<time>`` in the runs folder, never one that exists.

    Raises:
        TBNError: it cannot be written.
    """
    place = (root or runs.runs_root()) / FOLDER
    name = f"{kind}-{datetime.now():%Y%m%d-%H%M%S}"
    for suffix in ("", *(f"-{k}" for k in range(2, 1000))):
        try:
            (place / (name + suffix)).mkdir(parents=True)
            return place / (name + suffix)
        except FileExistsError:
            continue
        except OSError as error:
            raise TBNError(
                f"cannot make a job's folder in {place}: {error.strerror}", "choose another runs folder with TBN_RUNS"
            ) from error
    raise TBNError(f"{place} has a thousand jobs named {name}", "wait a second and try again")


def retry(folder: str | Path) -> Job:
    """Start the job of a folder again, as it was asked for; a training goes on from its last whole epoch.

    Raises:
        TBNError: it runs, or there is no job in the folder.
    """
    folder = Path(folder).resolve()
    old = jobs.status(folder)
    goes_on = old.kind == "train" and (folder / "config.json").is_file()
    argv = ["train", "--resume", str(folder), "--json"] if goes_on else list(old.argv)
    return jobs.start(folder, argv, old.kind, old.module)


def used_bytes(folder: str | Path) -> int:
    """Bytes of all files in the folder and below."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(f"{place}/{name}").st_size
            except OSError:
                continue  # a temporary file that has just been renamed
    return total


def free_bytes(folder: str | Path) -> int:
    """What the disk of a folder still takes; the folder itself may be missing."""
    there = Path(folder).resolve()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def delete(folder: str | Path) -> int:
    """Delete a job's folder with everything in it, a run with its results; returns the bytes that are free again.

    The folder is renamed first, so nobody sees half of it, and its lock is held meanwhile, so no job starts in it.

    Raises:
        TBNError: it, or a job inside it, runs; it cannot be written; there is no job.
    """
    folder = Path(folder).resolve()
    jobs.status(folder)
    guard, trash = FileLock(folder / jobs.LOCK), folder.with_name(f"{TRASH}-{secrets.token_hex(8)}")
    try:
        with guard.acquire(timeout=0.5):
            if not (folder / jobs.JOB).exists():  # somebody was faster; taking the lock has made the folder anew
                shutil.rmtree(folder)
                raise _gone(folder)
            for name in (".lock", jobs.LOCK):
                for lock in folder.rglob(name):
                    if lock != folder / jobs.LOCK and is_locked(lock):
                        raise _runs(lock.parent)
            freed = used_bytes(folder)
            trash.mkdir()
            folder.rename(trash / folder.name)
    except Timeout:
        raise _runs(folder) from None
    except OSError as error:
        if not (folder / jobs.JOB).exists():
            raise _gone(folder) from None
        raise TBNError(f"cannot delete {folder}: {error.strerror}", "ask the owner of the folder") from error
    finally:
        shutil.rmtree(trash, ignore_errors=True)
    return freed


def _gone(folder: Path) -> TBNError:
    return TBNError(f"there is no job in {folder}", "it has just been deleted")


def _runs(folder: Path) -> TBNError:
    return TBNError(f"somebody works in {folder}", "wait until it ends, or cancel it, then delete it")
