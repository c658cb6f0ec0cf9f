"""A table of numbers with a class in each row, as sensors give them: a .csv of your own. Needs no torch.

Columns are standardised over the training rows and kept in 8 bits, as a board reads them: a step is 1/32 of a standard deviation, and values beyond
4 deviations are cut. A row is an image of 1 x 1 x columns, so the perceptron of the images takes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks.base import Task, data_root, majority
from tbn.tasks.labels import labels_of
from tbn.tasks.own_file import find, name_of, one_in_five

if TYPE_CHECKING:
    import pandas as pd

USUAL = ("label", "class", "target", "y")  # names of a column of classes, in any case
STEP, MIDDLE = 1 / 32, 128  # a byte is round(standardised / STEP) + MIDDLE
MOST_COLUMNS = 10_000


def csv_table(root: Path | None, data: str, file: str | Path | None = None, label: str | None = None) -> Task:
    """Rows of numbers with a class each.

    Args:
        root, file: the file's path, or its name in ``root``. Its first line names the columns. A column ``split`` of "train" and "test" says
            which rows are which; without it one row in five is the test set.
        data: "embedded" is an error, for nothing comes with the package.
        label: the column of classes; by default the one called label, class, target or y, else the last.
    """
    path = find(file, data_root(root), data, "csv_table", ".csv")
    table = read(path)
    chosen = label_column(list(table.columns), label, path)
    features = table.drop(columns=[chosen, *([name] if (name := _named(table, "split")) else [])])
    if not 1 <= features.shape[1] <= MOST_COLUMNS:
        raise TBNError(
            f"{path.name} has {features.shape[1]:,} columns beside {chosen!r}",
            f"give 1 to {MOST_COLUMNS:,} columns of numbers",
        )
    values = np.stack([_numbers(features[name], path) for name in features], axis=1)
    classes = table[chosen]
    if classes.isna().any():
        raise TBNError(
            f"line {int(classes.isna().argmax()) + 2} of {path.name} has no {chosen}", "fill it in, or remove the row"
        )
    targets = classes.to_numpy() if classes.dtype.kind in "uif" else classes.astype(str).to_numpy(dtype=np.str_)
    train, test = _split(table, targets, path)
    labels = labels_of(targets[train], targets[test], None, path)
    mean, deviation = values[train].mean(0), values[train].std(0)
    standard = (values - mean) / np.where(deviation > 0, deviation, 1.0)
    codes = np.clip(np.rint(standard / STEP) + MIDDLE, 0, 255).astype(np.uint8)[:, None, None, :]
    split = "" if _named(table, "split") else ", one in five drawn for testing"
    source = (
        f"{len(train):,} training and {len(test):,} test rows of {values.shape[1]:,} columns in 8 bits from {name_of(path)}, "
        f"classes in {chosen!r}{split}"
    )
    return Task(
        "csv_table", "images", source, labels.classes, codes[train], labels.train, codes[test], labels.test, STEP, -MIDDLE * STEP,
        f"{path.name}; see where it comes from", baselines=majority(labels.train, labels.test),
    )  # fmt: skip


def read(path: Path | IO[bytes], rows: int | None = None, name: str | None = None) -> pd.DataFrame:
    """The table, or its first rows; ``name`` is what messages call it.

    Raises:
        TBNError: it cannot be read, or has no rows.
    """
    import pandas as pd

    called = name or (path.name if isinstance(path, Path) else "the table")
    try:
        table = pd.read_csv(path, encoding_errors="replace", low_memory=False, nrows=rows, skipinitialspace=True)
    except (OSError, ValueError, EOFError) as error:
        raise TBNError(f"cannot read {called}: {error}", "write it as a table with a line of names first") from error
    if table.empty:
        raise TBNError(f"{called} has no rows", "give a line of column names, then a row a sample")
    return table.rename(columns=str)


def label_column(columns: list[str], asked: str | None, path: Path) -> str:
    """The column of classes.

    Raises:
        TBNError: there is none of that name.
    """
    if asked is not None and asked not in columns:
        raise TBNError(f"{path.name} has no column {asked!r}", f"choose one of {', '.join(columns[:12])}")
    usual = next((name for wanted in USUAL for name in columns if name.lower() == wanted), None)
    return asked or usual or next(name for name in reversed(columns) if name.lower() != "split" or len(columns) == 1)


def _split(table: pd.DataFrame, targets: NDArray[Any], path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    name = _named(table, "split")
    if name is None:
        return one_in_five(targets, path)
    words = table[name].astype(str).str.strip().str.lower()
    wrong = ~words.isin(("train", "test"))
    if wrong.any():
        row = int(wrong.argmax())
        raise TBNError(f"line {row + 2} of {path.name} has the split {table[name].iloc[row]!r}", "write train or test")
    train, test = (np.flatnonzero(words == part) for part in ("train", "test"))
    if not len(train) or not len(test):
        raise TBNError(
            f"the split of {path.name} leaves {len(train)} training and {len(test)} test rows", "give rows to both"
        )
    return train, test


def _named(table: pd.DataFrame, wanted: str) -> str | None:
    return next((str(name) for name in table if str(name).lower() == wanted), None)


def _numbers(column: pd.Series[Any], path: Path) -> NDArray[np.float64]:
    """A column as numbers, all there and finite."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        row = int(wrong.argmax())
        value = column.iloc[row]
        what = "no value" if pd.isna(value) else f"{str(value)!r}, which is no finite number,"
        raise TBNError(
            f"column {column.name!r} of {path.name} has {what} in line {row + 2}",
            "drop the column, or fill the value in",
        )
    return numbers
