"""One worker in a process of its own: ``python -m tbn.sweep.worker_process NAME ROOT WORKER`` (``tbn.sweep.local`` starts it).

The storage's URL comes in the environment: it may hold a password, and anybody can read a command line. The process ends with whoever holds
the other end of its standard input.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from tbn.errors import TBNError
from tbn.sweep.desk import Desk
from tbn.sweep.workers import STORAGE, work

LEAVE_SECONDS = 12


def _leave_with_parent() -> None:
    """Interrupt this process when standard input ends."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(LEAVE_SECONDS)
    os._exit(130)


def main() -> None:
    """Work until the sweep is finished; exit status 0, 1 (told on stderr) or 130 (interrupted)."""
    name, root, worker = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import tbn.train  # noqa: F401  (takes seconds; a trial that was taken should begin)

    try:
        work(Desk.join(os.environ[STORAGE], name, root, lambda line: print(line, file=sys.stderr)), root, worker)
    except KeyboardInterrupt:
        sys.exit(130)
    except TBNError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
