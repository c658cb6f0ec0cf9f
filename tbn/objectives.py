"""What a kind of task asks of a network: its loss and its metrics (torchmetrics), the same for training, testing and trivial baselines.

Pixels and points labelled 255 and targets NaN count nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from tbn.tasks import IGNORED, Task


class PartIoU(Metric):
    """Mean IoU of part segmentation as the field reports it (Yi et al., ShapeNet part annotation; PointNet, https://arxiv.org/abs/1612.00593).

    A shape's IoU is the mean over its category's parts, 1 for a part that is neither there nor predicted. ``instance_iou`` is the mean over
    shapes, ``class_iou`` the mean over categories of the mean over their shapes.
    """

    full_state_update = False

    def __init__(self, categories: Mapping[str, tuple[int, ...]], **options: Any) -> None:
        super().__init__(**options)
        self.parts = list(categories.values())
        self.iou: Tensor
        self.shapes: Tensor
        self.add_state("iou", torch.zeros(len(self.parts), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("shapes", torch.zeros(len(self.parts), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor, categories: Tensor) -> None:
        """Add shapes: predictions and targets (N, points) int64, categories (N,) int64."""
        counted = targets != IGNORED
        for index, parts in enumerate(self.parts):
            chosen = categories == index
            ious = []
            for part in parts:
                a, b = ((labels[chosen] == part) & counted[chosen] for labels in (predictions, targets))
                union = (a | b).sum(1)
                ious.append(torch.where(union == 0, 1.0, (a & b).sum(1) / union.clamp(min=1)))
            self.iou[index] += torch.stack(ious).double().mean(0).sum()
            self.shapes[index] += chosen.sum()

    def compute(self) -> dict[str, Tensor]:
        """instance_iou and class_iou, 0..1."""
        present = self.shapes > 0
        return {
            "instance_iou": self.iou.sum() / self.shapes.sum(),
            "class_iou": (self.iou[present] / self.shapes[present]).mean(),
        }


class Objective:
    """Loss and metrics of a task.

    Args:
        task: whose kind and classes decide.
        label_smoothing: of the training loss.
    """

    def __init__(self, task: Task, label_smoothing: float = 0.0) -> None:
        self.task, self.kind, self.label_smoothing = task, task.kind, label_smoothing
        self.ignored = IGNORED if len(task.train_targets.shape) > 1 else -100  # 255 is a class of ImageNet

    def count(self, targets: Tensor) -> Tensor:
        """How many targets count: all labels of images and shapes, labels of pixels and points that are not 255, values that are not NaN."""
        return (~targets.isnan()).sum() if self.kind == "forecasting" else (targets != self.ignored).sum()

    def loss_sum(self, outputs: Tensor, targets: Tensor, smooth: bool = True) -> Tensor:
        """The loss summed over the targets that count: cross-entropy, or the squared error of a forecast."""
        if self.kind == "forecasting":
            known = ~targets.isnan()
            return F.mse_loss(outputs[known], targets[known], reduction="sum")
        smoothing = self.label_smoothing if smooth else 0.0
        return F.cross_entropy(outputs, targets, ignore_index=self.ignored, reduction="sum", label_smoothing=smoothing)

    def distillation_sum(self, outputs: Tensor, teacher: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """The distance from a teacher's outputs, summed over the targets that count.

        Classes: T^2 times the Kullback-Leibler divergence at temperature T (Hinton et al., https://arxiv.org/abs/1503.02531).
        Forecasts: squared error.
        """
        if self.kind == "forecasting":
            return F.mse_loss(outputs, teacher, reduction="none")[~targets.isnan()].sum()
        log_student, log_teacher = (F.log_softmax(logits / temperature, dim=1) for logits in (outputs, teacher))
        apart = F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1)
        return temperature**2 * apart[targets != self.ignored].sum()

    def predictions(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """What the outputs say, in the shape of the targets: the largest class (of the shape's own parts), or the forecast itself."""
        if self.kind == "forecasting":
            return outputs
        if self.task.categories is None:
            return outputs.argmax(1)
        allowed = torch.full((len(self.task.categories), outputs.shape[1]), -torch.inf, device=outputs.device)
        for index, parts in enumerate(self.task.categories.values()):
            allowed[index, list(parts)] = 0.0
        return (outputs + allowed[_categories(inputs)][:, :, None]).argmax(1)

    def metrics(self, device: torch.device | str = "cpu") -> Metrics:
        """Fresh metrics of this kind of task."""
        return Metrics(self.task, device)


class Metrics:
    """Metrics that grow batch by batch; over several processes they are merged when read, unless ``merge`` is False."""

    def __init__(self, task: Task, device: torch.device | str, merge: bool = True) -> None:
        sync: dict[str, Any] = {"sync_on_compute": merge}
        classes: dict[str, Any] = {"num_classes": len(task.classes), "validate_args": False, **sync}
        dense = {**classes, "ignore_index": IGNORED}
        self.metrics: dict[str, Metric]
        if task.kind == "forecasting":
            self.metrics = {"mse": MeanSquaredError(**sync), "mae": MeanAbsoluteError(**sync)}
        elif task.categories is not None:
            self.metrics = {
                "": PartIoU(task.categories, **sync),
                "accuracy": MulticlassAccuracy(**dense, average="micro"),
            }
        elif task.kind in ("segmentation", "scenes"):
            self.metrics = {
                "mean_iou": MulticlassJaccardIndex(**dense),
                "accuracy": MulticlassAccuracy(**dense, average="micro"),
            }
        else:
            self.metrics = {"accuracy": MulticlassAccuracy(**classes, average="micro")}
        for metric in self.metrics.values():
            metric.to(device)

    def update(self, predictions: Tensor, targets: Tensor, inputs: Tensor) -> None:
        """Add a batch: predictions as ``Objective.predictions`` gives them."""
        if targets.is_floating_point():
            known = ~targets.isnan()
            predictions, targets = predictions[known], targets[known]
        for metric in self.metrics.values():
            if not targets.numel():
                continue
            if isinstance(metric, PartIoU):
                metric.update(predictions, targets, _categories(inputs))
            else:
                metric.update(predictions, targets)

    def compute(self) -> dict[str, float]:
        """All metrics by name (``tbn.scores``), rounded to what single precision holds."""
        found: dict[str, Tensor] = {}
        for name, metric in self.metrics.items():
            value = metric.compute()
            found |= value if isinstance(value, dict) else {name: value}
        return {name: round(float(value), 7) for name, value in found.items()}


def _categories(inputs: Tensor) -> Tensor:
    """(N,) int64: the shapes' categories, the fourth row of a part task's inputs."""
    return inputs[:, 3, 0].round().long()


def score_baselines(task: Task) -> dict[str, dict[str, float]]:
    """The metrics of the task's trivial baselines on its test set: {"repeat last": {"mse": .., "mae": ..}}."""
    found = {}
    for name, predictions in task.baselines().items():
        metrics = Metrics(task, "cpu", merge=False)
        for start in range(0, len(predictions), 500):
            index = slice(start, start + 500)
            targets = torch.from_numpy(np.ascontiguousarray(task.test_targets[index]))
            shapes = task.test_inputs if task.categories is not None else np.empty(0)
            metrics.update(
                torch.from_numpy(np.ascontiguousarray(predictions[index])),
                targets if targets.is_floating_point() else targets.long(),
                torch.from_numpy(np.ascontiguousarray(shapes[index])),
            )
        found[name] = metrics.compute()
    return found
