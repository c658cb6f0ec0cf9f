"""Batches: every sample once, shared out over processes, read when asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tbn import TBNError, tasks
from tbn.augment import NAMES, augmentation
from tbn.batches import Split, edges


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 4))
def test_edges_cover_all_samples_and_leave_no_process_empty(count, size, world):
    bounds = edges(count, size, world)
    steps = np.diff(bounds)
    assert bounds[0] == 0 and bounds[-1] == count and (steps > 0).all() and (steps[:-1] == size).all()
    if len(steps) > 1:
        assert steps[-1] >= min(size, max(2, world)) and steps[-1] < size + max(2, world)


def digits(count: int = 65) -> tasks.Task:
    return tasks.create("digits", limit=count)


class Lazy:
    """An array that counts how often it is asked."""

    def __init__(self, array):
        self.array, self.asked = array, 0
        self.shape = array.shape

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        self.asked += 1
        return self.array[index]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_shares_of_all_processes_make_the_batch(world):
    task = digits()
    split = Split(task.train_inputs, task.train_targets, task)
    order = torch.randperm(65)
    whole = [y for _, y in split.batches(16, order)]
    shares = [[y for _, y in split.batches(16, order, rank, world)] for rank in range(world)]
    for step, batch in enumerate(whole):
        assert sorted(torch.cat([share[step] for share in shares]).tolist()) == sorted(batch.tolist())
    assert len(whole[-1]) == 17 and sum(map(len, whole)) == 65


def test_lazy_samples_give_the_same_batches():
    task = digits()
    inputs = Lazy(task.train_inputs)
    split, lazy = (Split(x, task.train_targets, task) for x in (task.train_inputs, inputs))
    order = torch.randperm(65)
    for (x, y), (a, b) in zip(split.batches(16, order), lazy.batches(16, order), strict=True):
        assert torch.equal(x, a) and torch.equal(y, b)
    assert inputs.asked == 4


def test_inputs_are_normalised_and_targets_keep_their_kind():
    task = digits()
    x, y = next(Split(task.test_inputs, task.test_targets, task).batches(8))
    assert x.dtype == torch.float32 and y.dtype == torch.int64
    np.testing.assert_allclose(x.numpy(), task.test_inputs[:8] / 16 - 0.5, atol=1e-6)
    forecast = replace(task, train_targets=np.full((65, 3), np.nan, np.float32))
    assert next(Split(forecast.train_inputs, forecast.train_targets, forecast).batches(8))[1].isnan().all()


def test_a_thinned_task_says_so_and_is_spread_over_all_samples():
    task, whole = tasks.create("digits", limit=100), tasks.create("digits")
    assert task.source == f"100 training and 100 test samples of the {whole.source}"
    assert (task.train_inputs[-1] == whole.train_inputs[-1]).all() and (
        task.train_inputs[0] == whole.train_inputs[0]
    ).all()
    assert task.baselines()["majority class"].shape == (100,)
    with pytest.raises(TBNError, match="limit=1 is out of range"):
        tasks.create("digits", limit=1)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, some in NAMES.items() for name in some if name != "none"]
)
def test_augmentations_keep_shapes_and_repeat_with_the_seed(kind, name):
    shape = (3, 16, 16) if kind in ("images", "segmentation") else (9 if kind == "scenes" else 4, 32)
    raw = torch.randint(0, 255, (6, *shape), dtype=torch.uint8) if len(shape) == 3 else torch.randn(6, *shape)
    targets = raw[:, 0].long() if kind == "segmentation" else torch.arange(6)
    change = augmentation(name, kind, shape)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(change(raw, targets))
    assert results[0][0].shape == raw.shape and results[0][0].dtype == raw.dtype and not torch.equal(results[0][0], raw)
    assert torch.equal(results[0][0], results[1][0]) and not torch.equal(results[0][0], results[2][0])
    if kind == "segmentation":  # the mask moved with its image
        assert torch.equal(results[0][0][:, 0].long(), results[0][1]) and type(results[0][1]) is torch.Tensor
    elif len(shape) == 2:  # categories and colours stay
        assert torch.equal(results[0][0][:, 3:], raw[:, 3:])


def test_samples_of_a_batch_are_changed_each_in_its_own_way():
    raw = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4).repeat(40, 1, 1, 1)
    torch.manual_seed(0)
    changed, _ = augmentation("crop_flip", "images", (1, 4, 4))(raw, torch.arange(40))
    assert len({tuple(image.flatten().tolist()) for image in changed}) > 1
