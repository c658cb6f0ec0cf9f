import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn import TBNError, tasks
from tbn.tasks.forecasting import Split, Windows, forecast_task, split_of, standardised, with_gaps
from tbn.tasks.series import Series


def noise(steps=200, channels=2, gaps=False, seed=0):
    values = np.random.default_rng(seed).normal(5, 3, (steps, channels))
    if gaps:
        values[::7, 0] = np.nan
    return Series(values, tuple(f"c{k}" for k in range(channels)), 10, "made up")


def task_of(series, lookback=12, horizon=6, stride=1):
    return forecast_task(
        "made_up", series, split_of("made_up", len(series.values)), "nobody", lookback, horizon, stride
    )


@given(steps=st.integers(20, 60), length=st.integers(1, 20), stride=st.integers(1, 5))
def test_windows_are_what_slices_are(steps, length, stride):
    series = np.random.default_rng(0).standard_normal((steps, 2)).astype(np.float32)
    windows = Windows(series, length, stride)
    expected = np.stack([series[start : start + length] for start in range(0, steps - length + 1, stride)])
    assert windows.shape == expected.shape and len(windows) == len(expected)
    assert np.array_equal(np.asarray(windows), expected)
    for index in (0, -1, slice(1, 4), np.array([len(expected) - 1, 0])):
        assert np.array_equal(windows[index], expected[index])


def test_windows_are_copied_out_and_hold_nothing():
    series = np.zeros((1000, 3), np.float32)
    windows = Windows(series, 96)
    assert np.shares_memory(windows._view, series)
    for index in (0, slice(0, 1), np.array([3, 4])):
        batch = windows[index]
        assert batch.flags.writeable and batch.flags.c_contiguous
        batch[:] = 1
    assert not series.any()


def test_the_parts_do_not_leak():
    """The series counts its own steps, so a window tells where it is from."""
    task = task_of(Series(np.arange(200.0)[:, None], ("t",), None, "time"))
    train = np.arange(140)
    inputs, targets, test_inputs, test_targets = (
        np.rint(np.asarray(part)[..., 0] * train.std() + train.mean()).astype(int)
        for part in (task.train_inputs, task.train_targets, task.test_inputs, task.test_targets)
    )
    assert np.array_equal(inputs[:, 0], np.arange(140 - 18 + 1)) and targets.max() == 139
    assert test_targets.min() == 160 and test_targets.max() == 199 and len(test_targets) == 40 - 6 + 1
    assert test_inputs.min() == 160 - 12
    assert np.array_equal(targets[:, 0], inputs[:, -1] + 1) and np.array_equal(
        test_targets[:, 0], test_inputs[:, -1] + 1
    )


def test_standardised_by_the_training_part_alone():
    series = noise(gaps=True)
    series.values[150:] += 1000
    values = standardised(series, split_of("x", 200))
    assert np.allclose(np.nanmean(values[:140], 0), 0, atol=1e-6) and np.allclose(
        np.nanstd(values[:140], 0), 1, atol=1e-6
    )
    assert values.dtype == np.float32 and np.nanmin(values[150:]) > 100


def test_a_constant_channel_is_only_centred():
    series = noise()
    series.values[:, 1] = 0.1
    series.values[199, 1] = 2.1
    values = standardised(series, split_of("x", 200))
    assert np.allclose(values[:199, 1], 0, atol=1e-6) and values[199, 1] == pytest.approx(2)


def test_with_gaps_marks_what_was_observed():
    nan = np.nan
    values = np.array([[1, nan], [nan, 2]], np.float32)
    assert np.array_equal(with_gaps(values), [[1, 0, 1, 0], [0, 2, 0, 1]]) and with_gaps(values).dtype == np.float32
    whole = np.array([[1, 2]], np.float32)
    assert with_gaps(whole) is whole


def test_gaps_double_the_inputs_and_stay_in_the_targets():
    task = task_of(noise(gaps=True))
    assert task.input_shape == (12, 4) and task.model_arguments == {"input_shape": [12, 4], "output_shape": [6, 2]}
    inputs, targets = np.asarray(task.test_inputs), np.asarray(task.test_targets)
    assert np.isfinite(inputs).all() and np.isnan(targets).any()
    assert np.array_equal(inputs[..., 2] == 0, inputs[..., 0] == 0) and (inputs[..., 3] == 1).all()
    assert np.isfinite(np.asarray(task.baselines()["linear"])).all()
    assert task_of(noise()).input_shape == (12, 2)


def test_stride_thins_the_test_windows_alone():
    every, some = task_of(noise()), task_of(noise(), stride=8)
    assert len(every.train_targets) == len(some.train_targets)
    for name in ("test_inputs", "test_targets"):
        assert np.array_equal(np.asarray(getattr(every, name))[::8], np.asarray(getattr(some, name)))
    for name, forecast in some.baselines().items():
        assert forecast.shape == some.test_targets.shape
        assert np.allclose(np.asarray(every.baselines()[name])[::8], forecast, atol=1e-5)
    assert "one window in 8" in some.source and "window" not in every.source


def test_the_fields_splits():
    hourly, quarters = split_of("ETTh2.csv", 17_420), split_of("ETTm1.csv", 69_680)
    assert (hourly.train, hourly.test, hourly.end) == (8640, 11_520, 14_400)
    assert (quarters.train, quarters.test, quarters.end) == (34_560, 46_080, 57_600)
    weather = split_of("weather.csv", 52_696)
    assert (weather.train, weather.end - weather.test, weather.end) == (36_887, 10_539, 52_696)
    with pytest.raises(TBNError, match="ETTh1.csv has 100 steps, ETT's split .* takes 14,400; fetch the whole file"):
        split_of("ETTh1.csv", 100)


def test_ett_from_a_folder(tmp_path):
    values = np.random.default_rng(0).standard_normal((14_500, 1))
    hours = np.datetime64("2016-07-01T00") + np.arange(14_500)
    (tmp_path / "ETT-small").mkdir()
    (tmp_path / "ETT-small" / "ETTh1.csv").write_text(
        "date,OT\n"
        + "".join(
            f"{str(hour).replace('T', ' ')}:00:00,{value}\n" for hour, (value,) in zip(hours, values, strict=True)
        )
    )
    task = tasks.create("csv_forecast", tmp_path, file="ETTh1.csv")
    assert (
        len(task.train_inputs) == 8640 - 96 - 96 + 1 and len(task.test_targets) == 2880 - 96 + 1
    )  # as the field counts
    assert task.classes == ("OT",) and "trained on months 1 to 12" in task.source and "ETTh1.csv" in task.source
    assert list(task.baselines()) == ["repeat last", "seasonal", "linear"]


def test_numbers_without_dates_take_a_season(tmp_path):
    path = tmp_path / "solar.txt"
    np.savetxt(path, np.random.default_rng(0).standard_normal((300, 2)), delimiter=",")
    options = {"file": str(path), "lookback": 20, "horizon": 10}
    assert "seasonal" not in tasks.create("csv_forecast", **options).baselines()
    assert "seasonal" in tasks.create("csv_forecast", **options, season=24).baselines()
    with pytest.raises(TBNError, match="season=0 is out of range; use a whole number from 1"):
        tasks.create("csv_forecast", **options, season=0)
    with pytest.raises(TBNError, match="nothing comes with the package"):
        tasks.create("csv_forecast", data="embedded", **options)


# (MSE of repeat last, of linear) for 96 -> 96 on standardised data, as measured with another program
REFERENCE = {"appliances": (0.927, 0.507), "beijing": (0.852, 0.554), "household": (1.332, 0.663)}


@pytest.mark.parametrize("name", REFERENCE)
def test_embedded_tasks_and_their_baselines(name):
    task = tasks.create(name, stride=6)
    assert (
        task.kind == "forecasting"
        and task.metric == "mse"
        and task.source.startswith("full set, ")
        and "CC BY 4.0" in task.credit
    )
    targets = np.asarray(task.test_targets)
    errors = {method: float(np.nanmean((forecast - targets) ** 2)) for method, forecast in task.baselines().items()}
    assert (errors["repeat last"], errors["linear"]) == pytest.approx(REFERENCE[name], rel=0.04)
    assert errors["linear"] < errors["seasonal"]


@pytest.mark.parametrize("option", ["lookback", "horizon", "stride"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "96", True])
def test_options_that_are_no_steps(option, value):
    with pytest.raises(TBNError, match=f"{option}={value!r} is out of range; use a whole number from 1"):
        tasks.create("beijing", **{option: value})


@pytest.mark.parametrize(
    ("lookback", "horizon", "fix"),
    [
        (100, 50, "take at most lookback=100 and horizon=40"),
        (130, 20, "take at most lookback=120 and horizon=20"),
        (500, 500, "take at most lookback=100 and horizon=40"),
    ],
)
def test_too_short_for_a_window(lookback, horizon, fix):
    with pytest.raises(TBNError, match="do not fit: the training part has 140 steps, the test part 40") as error:
        task_of(noise(), lookback, horizon)
    assert error.value.fix == fix
    largest = [int(word.split("=")[1]) for word in fix.split() if "=" in word]
    assert len(task_of(noise(), *largest).test_targets) >= 1  # the fix holds


def test_hardly_any_rows():
    with pytest.raises(TBNError, match="do not fit.*; add rows"):
        task_of(noise(steps=3), 1, 1)


def test_a_channel_without_values():
    series = noise()
    series.values[:140, 1] = np.nan
    with pytest.raises(TBNError, match="channel 'c1' has no value in the training part; drop its column"):
        task_of(series)
    series = noise()
    series.values[160:] = np.nan
    with pytest.raises(TBNError, match="the test part has no values at all"):
        task_of(series)


def test_unknown_option():
    with pytest.raises(TBNError, match="'beijing'.*unexpected keyword argument 'window'"):
        tasks.create("beijing", window=3)


def test_a_split_says_itself():
    task = forecast_task("x", noise(), Split(100, 150, 190, "cut by hand"), "nobody", 10, 5, 1)
    assert task.source == "made up, cut by hand" and len(task.test_targets) == 40 - 5 + 1
