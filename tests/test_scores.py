"""Names, texts and directions of the metrics."""

from tbn import models, tasks
from tbn.augment import NAMES
from tbn.scores import HEADLINE, KINDS, METRICS


def test_every_kind_has_a_metric_tasks_models_and_augmentations():
    assert set(HEADLINE) == set(KINDS) == set(NAMES) and set(HEADLINE.values()) <= set(METRICS)
    assert (
        {tasks.kind_of(name) for name in tasks.names()}
        == {models.kind_of(name) for name in models.names()}
        == set(KINDS)
    )
    for kind in KINDS:
        assert models.names(kind) and all(models.kind_of(name) == kind for name in models.names(kind))


def test_texts():
    assert METRICS["accuracy"].text(0.86504) == "86.50 %" and METRICS["accuracy"].axis == "Test accuracy (%)"
    assert METRICS["mse"].text(0.48123) == "0.4812" and not METRICS["mse"].higher_is_better
