"""The metrics by name: what they are called, how they read, and which direction is better. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("images", "segmentation", "points", "parts", "scenes", "forecasting")


@dataclass(frozen=True)
class Metric:
    """One figure of merit.

    Attributes:
        name: key in results, e.g. "mean_iou".
        label: for people, e.g. "mean IoU".
        higher_is_better: direction.
        percent: whether it is a share of 0..1 that reads best in percent.
    """

    name: str
    label: str
    higher_is_better: bool = True
    percent: bool = True

    def text(self, value: float) -> str:
        """The value as people read it: ``86.50 %`` or ``0.4812``."""
        return f"{100 * value:.2f} %" if self.percent else f"{value:.4f}"

    @property
    def axis(self) -> str:
        """Axis title: ``Test accuracy (%)``, ``Test MSE (standardised)``."""
        return f"Test {self.label} ({'%' if self.percent else 'standardised data'})"

    @property
    def factor(self) -> int:
        """What a value is multiplied with before it is drawn: 100 for shares."""
        return 100 if self.percent else 1


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy"),
        Metric("mean_iou", "mean IoU"),
        Metric("instance_iou", "instance mean IoU"),
        Metric("class_iou", "class mean IoU"),
        Metric("mse", "MSE", higher_is_better=False, percent=False),
        Metric("mae", "MAE", higher_is_better=False, percent=False),
    )
}

# the metric that a task of each kind is judged by
HEADLINE = {
    "images": "accuracy",
    "segmentation": "mean_iou",
    "points": "accuracy",
    "parts": "instance_iou",
    "scenes": "mean_iou",
    "forecasting": "mse",
}
