"""Losses and metrics of every kind of task, against plain arithmetic."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tbn.objectives import Objective, score_baselines
from tbn.tasks.base import Task, majority


def task_of(kind: str, targets: np.ndarray, classes: int = 3, **more) -> Task:
    inputs = more.pop("inputs", np.zeros((len(targets), 1), np.float32))
    return Task(
        "made up", kind, "here", tuple("abcdefgh"[:classes]), inputs, targets, inputs, targets, 1.0, 0.0, "", **more
    )


def test_pixels_labelled_255_count_nowhere():
    targets = np.array([[[0, 1], [2, 255]]], np.uint8)
    objective = Objective(task_of("segmentation", targets))
    outputs = torch.randn(1, 3, 2, 2)
    y = torch.from_numpy(targets).long()
    flat = outputs[0].flatten(1).T[:3]
    assert objective.count(y) == 3
    assert objective.loss_sum(outputs, y) == pytest.approx(
        F.cross_entropy(flat, torch.tensor([0, 1, 2]), reduction="sum").item()
    )
    metrics = objective.metrics()
    metrics.update(torch.tensor([[[0, 1], [1, 2]]]), y, torch.zeros(1))  # classes 0 right, 1 half, 2 never
    assert metrics.compute() == {"mean_iou": pytest.approx((1 + 1 / 2 + 0) / 3), "accuracy": pytest.approx(2 / 3)}


def test_class_255_of_an_image_task_counts():
    objective = Objective(task_of("images", np.array([255, 3])))
    assert objective.count(torch.tensor([255, 3])) == 2
    assert objective.loss_sum(torch.zeros(2, 300), torch.tensor([255, 3])) == pytest.approx(2 * np.log(300), rel=1e-5)


def test_unknown_values_of_a_forecast_are_masked():
    targets = np.array([[[1.0], [np.nan]], [[3.0], [5.0]]], np.float32)
    objective = Objective(task_of("forecasting", targets))
    outputs = torch.zeros(2, 2, 1, requires_grad=True)
    y = torch.from_numpy(targets)
    loss = objective.loss_sum(outputs, y)
    loss.backward()
    assert objective.count(y) == 3 and loss.item() == 1 + 9 + 25
    assert outputs.grad.flatten().tolist() == [-2, 0, -6, -10]
    metrics = objective.metrics()
    metrics.update(outputs.detach(), y, torch.zeros(2))
    assert metrics.compute() == {"mse": pytest.approx(35 / 3), "mae": 3.0}


def test_a_batch_of_nothing_but_gaps_gives_no_gradient():
    targets = np.full((2, 2, 1), np.nan, np.float32)
    objective = Objective(task_of("forecasting", targets))
    outputs = torch.ones(2, 2, 1, requires_grad=True)
    objective.loss_sum(outputs, torch.from_numpy(targets)).backward()
    assert outputs.grad.abs().sum() == 0


CATEGORIES = {"lamp": (0, 1), "cup": (2,)}


def test_part_iou_by_hand():
    inputs = np.zeros((3, 4, 4), np.float32)
    inputs[2, 3] = 1  # the third shape is a cup
    targets = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [2, 2, 2, 2]], np.uint8)
    task = task_of("parts", targets, inputs=inputs, categories=CATEGORIES)
    objective = Objective(task)
    metrics = objective.metrics()
    metrics.update(
        torch.tensor([[0, 0, 0, 1], [0, 0, 0, 0], [2, 2, 2, 2]]),
        torch.from_numpy(targets).long(),
        torch.from_numpy(inputs),
    )
    lamps = ((2 / 3 + 1 / 2) / 2, 1.0)  # the second lamp's absent part 1 was not predicted: IoU 1
    found = metrics.compute()
    assert found["instance_iou"] == pytest.approx((sum(lamps) + 1) / 3)
    assert found["class_iou"] == pytest.approx((sum(lamps) / 2 + 1) / 2)
    assert found["accuracy"] == pytest.approx(11 / 12)


def test_predictions_keep_to_the_shapes_own_parts():
    inputs = np.zeros((2, 4, 5), np.float32)
    inputs[1, 3] = 1
    task = task_of("parts", np.zeros((2, 5), np.uint8), inputs=inputs, categories=CATEGORIES)
    outputs = torch.zeros(2, 3, 5)
    outputs[:, 2] = 9.0
    outputs[:, 1] = 1.0
    found = Objective(task).predictions(outputs, torch.from_numpy(inputs))
    assert found.tolist() == [[1] * 5, [2] * 5]


def test_distillation_of_equal_outputs_is_zero_and_of_others_is_the_divergence():
    targets = np.array([0, 1])
    objective = Objective(task_of("images", targets))
    student, teacher = torch.randn(2, 3), torch.randn(2, 3)
    y = torch.from_numpy(targets)
    assert objective.distillation_sum(teacher, teacher, y, 2.0) == pytest.approx(0, abs=1e-6)
    p, q = (teacher / 2).softmax(1), (student / 2).softmax(1)
    expected = 4 * (p * (p.log() - q.log())).sum()
    assert objective.distillation_sum(student, teacher, y, 2.0) == pytest.approx(expected.item(), rel=1e-5)


def test_label_smoothing_is_for_training_only():
    objective = Objective(task_of("images", np.array([0])), label_smoothing=0.1)
    outputs, y = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
    assert objective.loss_sum(outputs, y) == F.cross_entropy(outputs, y, label_smoothing=0.1)
    assert objective.loss_sum(outputs, y, smooth=False) == F.cross_entropy(outputs, y)


def test_baselines_are_scored_as_networks_are():
    targets = np.array([0, 0, 1, 2])
    task = task_of("images", targets, baselines=majority(targets, targets))
    assert score_baselines(task) == {"majority class": {"accuracy": 0.5}}
    masks = np.array([[[0, 255], [255, 255]], [[0, 1], [0, 255]]], np.uint8)
    task = task_of("segmentation", masks, classes=2, baselines=majority(masks, masks))
    assert score_baselines(task)["majority class"] == {"mean_iou": pytest.approx(0.375), "accuracy": 0.75}
