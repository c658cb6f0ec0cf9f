"""Where sweeps are kept: a database behind a URL, opened through Optuna, so that its own tools can look in, too.

SQLite: every transaction takes the write lock when it begins, so that two processes never take the same trial. PostgreSQL: connections are
tried before they are used. A database that is away for a while is waited for (``patiently``).
"""

from __future__ import annotations

import atexit
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tbn.errors import TBNError
from tbn.runs import runs_root

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

PATIENCE_SECONDS = 300.0
BEAT_SECONDS, GRACE_SECONDS = 10, 60  # a trial that gives no sign of life for the grace is given up
OPENINGS = 6  # several processes may make the tables at the same moment: then one of them tries again
Result = TypeVar("Result")
_OPEN: dict[str, RDBStorage] = {}
_OPENING = threading.Lock()

atexit.register(lambda: close_storages())


def default_storage(root: Path | None = None) -> str:
    """The SQLite file in the runs folder."""
    return f"sqlite:///{((root or runs_root()) / 'sweeps.db').absolute()}"


def normalised(url: str) -> str:
    """The URL as SQLAlchemy wants it; a path is an SQLite file, its place made absolute.

    Raises:
        TBNError: neither SQLite nor PostgreSQL.
    """
    url = url or default_storage()
    scheme, separator, rest = url.partition("://")
    if not separator:
        return f"sqlite:///{Path(url).absolute()}"
    if scheme == "sqlite":
        return f"sqlite:///{Path(rest.removeprefix('/')).absolute()}" if rest.strip("/") else _unknown(url)
    if scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    return _unknown(url)


def _unknown(url: str) -> str:
    raise TBNError(
        f"{url.partition('://')[0]}:// is not a storage of sweeps",
        "use sqlite:///sweep.db or postgresql://user:password@host/database",
    )


def shown(url: str) -> str:
    """The URL without its password."""
    from sqlalchemy.engine import make_url

    return make_url(normalised(url)).render_as_string(hide_password=True)


def open_storage(url: str, *, create: bool = True) -> RDBStorage:
    """The storage behind a URL, tables made where there are none.

    Args:
        url: as ``normalised`` takes it.
        create: make an SQLite file that is not there.

    Raises:
        TBNError: it cannot be reached, or its driver is missing.
    """
    url = normalised(url)
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        if not create and not path.is_file():
            raise TBNError(f"there is no sweep yet: {path} does not exist", "run one: tbn sweep --p 1,2,4,8")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TBNError(f"cannot make {path.parent}: {error.strerror}", "choose another --storage") from error
    return _opened(url)


def close_storages() -> None:
    """Close every connection that this process keeps; a storage may be opened again."""
    while _OPEN:
        _OPEN.popitem()[1].engine.dispose()


def _opened(url: str) -> RDBStorage:
    """A process keeps one storage for each URL, with its connections, until it ends."""
    with _OPENING:
        if url not in _OPEN:
            _OPEN[url] = _connected(url)
        return _OPEN[url]


def _connected(url: str) -> RDBStorage:
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lite = url.startswith("sqlite")
    options: dict[str, Any] = {"connect_args": {"timeout": 60} if lite else {"connect_timeout": 10}}
    for left in reversed(range(OPENINGS)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # heartbeats are called experimental
                storage = optuna.storages.RDBStorage(
                    url.replace("{", "{{").replace("}", "}}"),
                    engine_kwargs={**options, "pool_pre_ping": not lite},
                    heartbeat_interval=BEAT_SECONDS,
                    grace_period=GRACE_SECONDS,
                )
            break
        except ImportError as error:
            raise TBNError(f"{shown(url)} needs psycopg", "pip install 'psycopg[binary]'") from error
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            if not left:
                raise _unreachable(url, error) from error
            time.sleep(0.25)
        except RuntimeError as error:  # made by another version of Optuna
            raise TBNError(f"{shown(url)} cannot be used: {error}", "choose another --storage") from error
    if lite:
        _locks_at_once(storage)
    return storage


def _unreachable(url: str, error: BaseException) -> TBNError:
    fix = "choose a file that you can write to" if url.startswith("sqlite") else "start the server"
    return TBNError(
        f"the storage {shown(url)} cannot be reached: {_reason(error)}",
        f"{fix}, or use another: --storage sqlite:///sweep.db",
    )


def _reason(error: BaseException) -> str:
    """The first line of what the database itself said."""
    told = error.__cause__ if error.__cause__ is not None else error
    return str(getattr(told, "orig", None) or told).strip().splitlines()[0]


def _locks_at_once(storage: RDBStorage) -> None:
    """Begin each transaction of SQLite with its write lock: otherwise a row may change between its reading and its writing."""
    from sqlalchemy import event

    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(storage.engine, "connect", connected)
    event.listen(storage.engine, "begin", begun)
    storage.engine.dispose()


def patiently(
    call: Callable[[], Result], say: Callable[[str], None] | None = None, seconds: float = PATIENCE_SECONDS
) -> Result:
    """The call's result, tried again while the database is away.

    Raises:
        TBNError: it stays away for longer than ``seconds``.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    end, spoken = time.monotonic() + seconds, False
    while True:
        try:
            return call()
        except (StorageInternalError, SQLAlchemyError) as error:
            if time.monotonic() > end:
                raise TBNError(
                    f"the storage did not answer for {seconds:.0f} s: {_reason(error)}",
                    "bring it back and give the same command again: nothing is lost",
                ) from error
            if say is not None and not spoken:
                say(f"the storage does not answer ({_reason(error)}); trying again")
            spoken = True
            time.sleep(0.5)
