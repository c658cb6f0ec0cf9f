"""Time series and where they come from: the embedded ones, the field's files, and the user's own. Needs no torch.

Files: a table with the date first (the layout of ETT, ECL, Traffic and Weather, https://github.com/zhouhaoyi/ETDataset), or numbers alone
without a header (https://github.com/laiguokun/multivariate-time-series-data). An empty cell is a missing value.
"""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks import embedded

if TYPE_CHECKING:
    import pandas as pd

TABLES, BARE = (".csv", ".csv.gz"), (".txt", ".txt.gz")
DAY = 24 * 60  # minutes


@dataclass(frozen=True)
class Series:
    """A series of several channels.

    Attributes:
        values: (steps, channels) float64, NaN where unknown.
        channels: their names.
        season: steps after which the series repeats itself, more or less: a day, of daily values a week; None where it is not known.
        source: which data this is, in words.
    """

    values: NDArray[np.float64]
    channels: tuple[str, ...]
    season: int | None
    source: str


def season_of(step_minutes: float) -> int | None:
    """Steps of a day, or of a week where a step is a day."""
    if step_minutes == DAY:
        return 7
    return round(DAY / step_minutes) if 0 < step_minutes <= DAY / 2 else None


def embedded_series(file: str) -> Series:
    """A series that comes with the package, whole."""
    found = embedded.arrays(file)
    values, channels = found["values"].astype(np.float64), tuple(map(str, found["columns"]))
    return Series(values, channels, season_of(int(found["step_minutes"])), f"full set, {_extent(values)}")


def find(file: str | Path | None, root: Path | None) -> Path:
    """A file by its path, or by its name in the folder of data sets or one folder below it.

    Raises:
        TBNError: none was named, there is none, or its ending is unknown.
    """
    if file is None:
        raise TBNError(
            "csv_forecast reads a file of yours and none was named",
            "name it: file=PATH, on the command line --task-arg file=PATH",
        )
    folders = [Path(), *([] if root is None else [root, *sorted(path for path in root.glob("*") if path.is_dir())])]
    found = next((folder / file for folder in folders if (folder / file).is_file()), None)
    if found is None:
        where = "here" if root is None else f"here, nor in {root} or a folder in it"
        raise TBNError(f"no file {str(file)!r} {where}", "give its whole path, or its folder: --data-root, or TBN_DATA")
    if not found.name.lower().endswith(TABLES + BARE):
        raise TBNError(f"{found} is of an unknown kind", f"give one that ends in {', '.join(TABLES + BARE)}")
    return found


def read(path: Path) -> Series:
    """Read a file.

    Raises:
        TBNError: it is cut short, its first column is no date, dates go back, a cell is no finite number, or there are no values.
    """
    import pandas as pd

    bare = path.name.lower().endswith(BARE)
    try:
        frame = pd.read_csv(path, header=None if bare else "infer", encoding_errors="replace", low_memory=False)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise TBNError(f"cannot read {path}: {error}", "fetch or write the file again") from error
    season = None
    if bare:
        frame.columns = [f"channel {k + 1}" for k in range(frame.shape[1])]
    else:
        season = _season(frame, path)
        frame = frame.iloc[:, 1:]
    if frame.size == 0:
        raise TBNError(f"{path} has no values", "give a row to each step and a column to each channel")
    values = np.stack([_numbers(frame[name], path, 1 if bare else 2) for name in frame], axis=1)
    return Series(values, tuple(map(str, frame.columns)), season, f"{_extent(values)} from {path}")


def _extent(values: NDArray[np.float64]) -> str:
    return f"{len(values):,} steps x {values.shape[1]} channels"


def _season(frame: pd.DataFrame, path: Path) -> int | None:
    """Season from the usual distance of two dates. A repeated date is let pass, for the field's Weather file has one."""
    import pandas as pd

    name = str(frame.columns[0])
    if name.strip().lower() != "date":
        raise TBNError(
            f"the first column of {path} is {name!r}, not the date", "put a column 'date' first, e.g. 2024-01-31 23:00"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dates of a format that pandas must guess are fine
        dates = pd.to_datetime(frame.iloc[:, 0].astype(str), errors="coerce", utc=True)
    if dates.isna().any():
        row = int(dates.isna().argmax())
        raise TBNError(
            f"{frame.iloc[row, 0]!r} in line {row + 2} of {path} is no date", "write dates as 2024-01-31 23:00:00"
        )
    minutes = dates.diff().dt.total_seconds().to_numpy()[1:] / 60
    if (minutes < 0).any():
        row = int((minutes < 0).argmax()) + 1
        raise TBNError(
            f"dates of {path} go back in line {row + 2}, to {str(frame.iloc[row, 0])!r}",
            "sort the rows by date, one series a file",
        )
    step = float(np.median(minutes)) if len(minutes) else 0.0
    if len(minutes) and step == 0:
        raise TBNError(f"most dates of {path} are repeated", "give one row to a date and one column to each series")
    return season_of(step)


def _numbers(column: pd.Series[Any], path: Path, first_line: int) -> NDArray[np.float64]:
    """A column as numbers, NaN where its cell is empty."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = (np.isnan(numbers) & column.notna().to_numpy()) | np.isinf(numbers)
    if wrong.any():
        row = int(wrong.argmax())
        raise TBNError(
            f"column {column.name!r} of {path} has {str(column.iloc[row])!r} in line {row + first_line}, which is no finite number",
            "leave the cell empty where a value is missing, or drop the column",
        )
    return numbers
