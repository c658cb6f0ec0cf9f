"""A split of a task as batches on a device: shuffled, shared out over processes, augmented, normalised."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from tbn.augment import Augmentation
from tbn.tasks import Task
from tbn.tasks.base import Samples

Batch = tuple[Tensor, Tensor]


class Split:
    """Inputs and targets of a task.

    Arrays lie on the device as they are, small integers mostly. Samples that are read when asked for (files, windows of a series) come batch by
    batch, the next one by a thread while the present one is used.
    """

    def __init__(self, inputs: Samples, targets: Samples, task: Task, device: torch.device | str = "cpu") -> None:
        self.inputs, self.targets, self.device = _held(inputs, device), _held(targets, device), device
        self.scale, self.offset = task.scale, task.offset

    def __len__(self) -> int:
        return len(self.targets)

    def normalise(self, raw: Tensor) -> Tensor:
        """raw * scale + offset, float32: what the network sees."""
        return raw.float() * self.scale + self.offset

    def batches(
        self, size: int, order: Tensor | None = None, rank: int = 0, world: int = 1, change: Augmentation | None = None
    ) -> Iterator[Batch]:
        """This process's share of each batch of ``size``: inputs as the network sees them, float32, and targets, int64 or float32.

        Args:
            size: samples of a batch over all processes.
            order: which samples, int64; by default all as they lie.
            rank, world: this process and how many there are.
            change: augmentation of the raw batch.
        """
        bounds = edges(len(self) if order is None else len(order), size, world)
        shares = [
            (torch.arange(start, stop) if order is None else order[start:stop])[rank::world]
            for start, stop in pairwise(bounds)
        ]
        for inputs, targets in self._fetched(shares):
            if change is not None and len(inputs):
                inputs, targets = change(inputs, targets)
            yield self.normalise(inputs), targets if targets.is_floating_point() else targets.long()

    def _fetched(self, shares: list[Tensor]) -> Iterator[Batch]:
        if isinstance(self.inputs, Tensor) and isinstance(self.targets, Tensor):
            yield from ((self.inputs[share], self.targets[share]) for share in shares)
            return
        with ThreadPoolExecutor(1) as thread:
            waiting = [thread.submit(self._fetch, share) for share in shares[:1]]
            for share in [*shares[1:], None]:
                ready = waiting.pop().result()
                if share is not None:
                    waiting.append(thread.submit(self._fetch, share))
                yield ready

    def _fetch(self, share: Tensor) -> Batch:
        return _taken(self.inputs, share, self.device), _taken(self.targets, share, self.device)


def edges(count: int, size: int, world: int = 1) -> list[int]:
    """Where batches of ``size`` begin and the last one ends: [0, size, ..., count].

    A last batch of one sample (batch statistics want two), or of fewer than ``world``, joins the one before.
    """
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] < max(2, world):
        starts.pop()
    return [*starts, count]


def _held(samples: Samples, device: torch.device | str) -> Tensor | Samples:
    return torch.from_numpy(samples).to(device) if isinstance(samples, np.ndarray) else samples


def _taken(samples: Tensor | Samples, share: Tensor, device: torch.device | str) -> Tensor:
    if isinstance(samples, Tensor):
        return samples[share]
    return torch.from_numpy(np.ascontiguousarray(samples[share.numpy()])).to(device)
