"""The process of a background job (see ``tbn.jobs``): ``python -m tbn.job_worker FOLDER KIND MODULE -- ARGV``.

It holds the folder's lock as long as it lives, runs ``python -m MODULE ARGV`` inside itself, and leaves the return code in ``job.json``. One
process, no child: whatever ends the work ends the lock.
"""

import os
import runpy
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tbn.files import write_json
from tbn.jobs import BUSY, CANCELLED, HERE, JOB, LOCK, LOG, OUTPUT, PROGRESS


def work(folder: Path, kind: str, module: str, argv: list[str]) -> int:
    """Hold the lock, run the module as ``python -m`` would, leave the return code; returns it."""
    try:
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=1)
    except Timeout:
        return BUSY
    signal.signal(signal.SIGINT, _stop)  # a server in the background hands down an ignored SIGINT
    os.environ[HERE] = str(folder)
    for name in (PROGRESS, OUTPUT, LOG, CANCELLED, "error.json"):
        (folder / name).unlink(missing_ok=True)
    for name, number in ((OUTPUT, 1), (LOG, 2)):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
        os.close(file)
    record: dict[str, Any] = {
        "kind": kind,
        "module": module,
        "argv": argv,
        "pid": os.getpid(),
        "started": time.time(),
        "returncode": None,
    }
    write_json(folder / JOB, record)
    code = 1
    try:
        sys.argv = [module, *argv]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # whatever it was, the job's folder must say so
        traceback.print_exc()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.flush()
        write_json(folder / JOB, record | {"returncode": code, "ended": time.time()})
    return code


def _stop(*_: object) -> None:
    """The first interrupt stops the work; two pages that cancel at once must not stop its tidying up as well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    _folder, _kind, _module, _, *_argv = sys.argv[1:]
    sys.exit(work(Path(_folder), _kind, _module, _argv))
