"""What a data set holds, drawn: the counts, pictures and series are those of the arrays."""

import numpy as np
import pytest

from tbn import data_charts, tasks
from tbn.charts import alt_text


def test_classes_are_counted_in_both_parts() -> None:
    task = tasks.create("digits")
    figure = data_charts.classes(task)
    for trace, labels in zip(figure.data, (task.train_targets, task.test_targets), strict=True):
        assert trace.y.tolist() == np.bincount(labels, minlength=10).tolist() and list(trace.x) == list(task.classes)
    assert f"{task.classes[0]} {(task.train_targets == 0).sum():,} and {(task.test_targets == 0).sum():,}" in alt_text(
        figure
    )


def test_pixels_that_do_not_count_are_not_counted() -> None:
    task = tasks.create("earthcover", data="embedded")
    train, test = data_charts.classes(task).data
    for trace, masks in ((train, task.train_targets), (test, task.test_targets)):
        looked_at = np.asarray(masks[: data_charts.LOOKED_AT])
        assert sum(trace.y) == (looked_at < len(task.classes)).sum() > 0


@pytest.mark.parametrize(("name", "brightest"), [("digits", 16), ("fashion_mnist", 255)])
def test_pictures_lie_beside_each_other_in_full_brightness(name: str, brightest: int) -> None:
    task = tasks.create(name, data="embedded")
    figure = data_charts.samples(task)
    wall, side = np.asarray(figure.data[0].z), task.input_shape[1]
    assert wall.shape == (data_charts.DOWN * (side + 1), data_charts.ACROSS * (side + 1), 3)
    tenth = wall[side + 1 : 2 * side + 1, side + 1 : 2 * side + 1, 0]  # second in the second row
    assert np.array_equal(tenth, np.asarray(task.train_inputs[9][0], np.int64) * 255 // brightest)
    assert (
        f"first 24 training pictures of {side} x {side} pixels: {task.classes[int(task.train_targets[0])]}"
        in alt_text(figure)
    )


def test_a_series_is_its_last_training_steps() -> None:
    task = tasks.create("beijing", data="embedded")
    (figure,) = data_charts.overview(task)
    assert len(figure.data) == min(4, len(task.classes)) and len(figure.data[0].x) == data_charts.STEPS
    last = np.asarray(task.train_targets[len(task.train_targets) - 1 :])[0, 0]
    assert [trace.y[-1] for trace in figure.data] == pytest.approx(last[: len(figure.data)].tolist(), nan_ok=True)
