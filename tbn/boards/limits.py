"""A time limit for calls that the operating system may never return from: a write to a dead drive, a name that no server answers for."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T], late: Exception) -> T:
    """What ``work`` returns or raises; ``late`` is raised when it takes longer. Its thread is then left alone and ends with the process."""
    outcome: list[tuple[T | None, BaseException | None]] = []

    def attempt() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise late
    value, error = outcome[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
