import gzip

import numpy as np
import pandas as pd
import pytest

from tbn import TBNError
from tbn.tasks.series import embedded_series, find, read, season_of


def table(path, rows=30, step="1h", channels=("a", "b"), start="2024-01-01"):
    """A CSV with dates, and what it holds."""
    values = np.arange(rows * len(channels), dtype=float).reshape(rows, -1)
    frame = pd.DataFrame(values, columns=list(channels))
    frame.insert(0, "date", pd.date_range(start, periods=rows, freq=step))
    frame.to_csv(path, index=False)
    return values


def edit(path, line, old, new):
    """Change line ``line`` (1 is the header) of a text file."""
    lines = path.read_text().splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_table_with_dates(tmp_path, ending):
    path = tmp_path / f"mine.{ending}"
    values = table(path)
    series = read(path)
    assert np.array_equal(series.values, values) and series.channels == ("a", "b")
    assert series.season == 24 and series.source == f"30 steps x 2 channels from {path}"


@pytest.mark.parametrize(
    ("step", "season"), [("10min", 144), ("15min", 96), ("1h", 24), ("12h", 2), ("1D", 7), ("7D", None)]
)
def test_the_season_is_a_day_or_of_days_a_week(tmp_path, step, season):
    table(tmp_path / "mine.csv", step=step)
    assert read(tmp_path / "mine.csv").season == season
    minutes = pd.Timedelta(step).total_seconds() / 60
    assert season_of(minutes) == season


@pytest.mark.parametrize(
    "dates",
    [
        ("1990/1/1 0:00", "1990/1/2 0:00"),
        ("1/31/2024", "2/1/2024"),
        ("2024-10-27T02:30+02:00", "2024-10-27T02:00+01:00"),  # the night the clocks go back
    ],
)
def test_dates_as_people_write_them(tmp_path, dates):
    path = tmp_path / "mine.csv"
    path.write_text("Date,x\n" + "".join(f"{date},1\n" for date in dates))
    assert len(read(path).values) == 2


def test_empty_cells_are_unknown(tmp_path):
    path = tmp_path / "mine.csv"
    table(path)
    edit(path, 5, ",6.0,", ",,")
    edit(path, 6, ",8.0,", ",NA,")
    assert np.isnan(read(path).values[[3, 4], 0]).all() and np.isnan(read(path).values).sum() == 2


@pytest.mark.parametrize("ending", ["txt", "txt.gz"])
def test_numbers_without_a_header(tmp_path, ending):
    path = tmp_path / f"electricity.{ending}"
    text = b"1,2\n3,4\n5,6.5\n"
    path.write_bytes(gzip.compress(text) if ending == "txt.gz" else text)
    series = read(path)
    assert np.array_equal(series.values, [[1, 2], [3, 4], [5, 6.5]]) and series.values.dtype == np.float64
    assert series.channels == ("channel 1", "channel 2") and series.season is None


def test_cut_short(tmp_path):
    path = tmp_path / "electricity.txt.gz"
    path.write_bytes(gzip.compress(np.random.default_rng(0).bytes(1000).hex().encode())[:-300])
    with pytest.raises(TBNError, match="cannot read .*electricity.txt.gz.*; fetch or write the file again"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(TBNError, match="cannot read"):
        read(path)


def test_no_values(tmp_path):
    path = tmp_path / "mine.csv"
    for text in ("date,x\n", "date\n2024-01-01\n"):
        path.write_text(text)
        with pytest.raises(TBNError, match="has no values; give a row to each step"):
            read(path)


@pytest.mark.parametrize("cell", ["n/a?", "inf", "1.2.3"])
def test_a_cell_that_is_no_number(tmp_path, cell):
    path = tmp_path / "mine.csv"
    table(path)
    edit(path, 9, "14.0", cell)
    with pytest.raises(TBNError) as error:
        read(path)
    assert (
        f"column 'a' of {path} has '{cell}' in line 9" in str(error.value) and "leave the cell empty" in error.value.fix
    )
    bare = tmp_path / "bare.txt"
    bare.write_text(f"1,2\n3,{cell}\n")
    with pytest.raises(TBNError, match="column 'channel 2' of .* in line 2"):
        read(bare)


def test_dates_that_do_not_do(tmp_path):
    path = tmp_path / "mine.csv"
    table(path)
    edit(path, 4, "2024-01-01 02:00:00", "2024-01-01 01:00:00")
    assert len(read(path).values) == 30  # one repeated date: the field's Weather file has one
    edit(path, 4, "2024-01-01 01:00:00", "2023-12-31 23:00:00")
    with pytest.raises(
        TBNError, match="dates of .* go back in line 4, to '2023-12-31 23:00:00'; sort the rows by date"
    ):
        read(path)
    edit(path, 4, "2023-12-31 23:00:00", "soon")
    with pytest.raises(TBNError, match="'soon' in line 4 of .* is no date; write dates as"):
        read(path)
    path.write_text("date,x\n" + "2024-01-01,1\n" * 3 + "2024-01-02,1\n" * 3)
    with pytest.raises(TBNError, match="most dates of .* are repeated; give one row to a date"):
        read(path)
    path.write_text("HUFL,HULL\n1,2\n3,4\n")
    with pytest.raises(TBNError, match="the first column of .* is 'HUFL', not the date; put a column 'date' first"):
        read(path)


def test_files_are_found_by_path_or_name(tmp_path, monkeypatch):
    (tmp_path / "ETT-small").mkdir()
    path = tmp_path / "ETT-small" / "ETTh1.csv"
    table(path)
    assert find("ETTh1.csv", tmp_path) == path and find(str(path), None) == path
    assert find("ETT-small/ETTh1.csv", tmp_path) == path
    monkeypatch.chdir(path.parent)
    assert find("ETTh1.csv", None).samefile(path)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(TBNError, match="none was named; name it: file=PATH"):
        find(None, tmp_path)
    with pytest.raises(
        TBNError, match="no file 'ETTh1.csv' here, nor in .*; give its whole path, or its folder: --data-root"
    ):
        find("ETTh1.csv", tmp_path)
    with pytest.raises(TBNError, match="no file 'ETTh1.csv' here; "):
        find("ETTh1.csv", None)
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(
        TBNError, match="a.xlsx is of an unknown kind; give one that ends in .csv, .csv.gz, .txt, .txt.gz"
    ):
        find("a.xlsx", tmp_path)


@pytest.mark.parametrize(
    ("file", "shape", "unknown", "season"),
    [
        ("appliances_energy_10min", (19_735, 26), 0, 144),
        ("beijing_pm25_hourly", (43_824, 7), 2067, 24),
        ("household_power_hourly", (34_589, 7), 7 * 421, 24),
    ],
)
def test_embedded(file, shape, unknown, season):
    series = embedded_series(file)
    assert series.values.shape == shape and len(series.channels) == shape[1] and series.season == season
    assert (
        np.isnan(series.values).sum() == unknown
        and series.source == f"full set, {shape[0]:,} steps x {shape[1]} channels"
    )
