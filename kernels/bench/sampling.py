"""How a call is timed: all calls of a case in turn, round after round, so that a slow moment of the machine hits every one of them.

CPU: a sample is a loop of calls of at least ``SAMPLE_SECONDS`` after one that is not timed (calls beyond ``LONG_SECONDS`` do without), so the
weights are as warm as the caches can hold them, for every engine; the time is that of a call from Python. With several threads a pause before each
sample lets the other engines' threads go to sleep, as they spin for some milliseconds after their work.
CUDA: a sample is one call between two events, with the L2 cache flushed before it; or a CUDA graph over ``LAYERS`` layers with weights of their own,
one after the other as in a network, divided by their number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

SAMPLE_SECONDS = 0.01
PAUSE_SECONDS = 0.005
LONG_SECONDS = 0.1  # a call that reads its weights again and again by itself
LAYERS = 8
LEAST = 5  # rounds, whatever the time
Calls = dict[str, Callable[[], Tensor]]
Samples = dict[str, list[float]]


class Deadline:
    """A time that is not to be passed; None is never."""

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds

    def passed(self) -> bool:
        """Whether it is over."""
        return self.end is not None and time.monotonic() > self.end


def sample_cpu(calls: Calls, rounds: int, seconds: float) -> Samples:
    """Microseconds a call, up to ``rounds`` samples of each, in turn; at least ``LEAST``, but no more once ``seconds`` are over."""
    deadline, seconds_of = Deadline(seconds), {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        seconds_of[name] = max(time.perf_counter() - start, 1e-7)
    pause = PAUSE_SECONDS if torch.get_num_threads() > 1 else 0.0
    samples: Samples = {name: [] for name in calls}
    for k in range(rounds):
        if k >= LEAST and deadline.passed():
            break
        for name, call in calls.items():
            loops = max(1, round(SAMPLE_SECONDS / seconds_of[name]))
            time.sleep(pause)
            if seconds_of[name] < LONG_SECONDS:
                call()
            start = time.perf_counter()
            for _ in range(loops):
                call()
            samples[name].append((time.perf_counter() - start) / loops * 1e6)
    return samples


def sample_cuda(calls: Calls, rounds: int, seconds: float) -> Samples:
    """Microseconds a call on the GPU with a cold L2 cache, in turn. The flush takes longer than a launch, so the launch is not in the time."""
    flush = torch.empty(2**29, dtype=torch.uint8, device="cuda")
    return _between_events({name: (call, 1) for name, call in calls.items()}, rounds, seconds, flush.zero_)


def sample_graphs(
    calls: Mapping[str, Sequence[Callable[[], Tensor]]], rounds: int, seconds: float
) -> tuple[Samples, dict[str, Exception]]:
    """Microseconds a layer inside of a CUDA graph over all layers of a name, in turn; and what refused to be captured."""
    graphs: dict[str, tuple[Callable[[], object], int]] = {}
    refused: dict[str, Exception] = {}
    for name, layers in calls.items():
        try:
            graphs[name] = captured(layers).replay, len(layers)
        except Exception as error:
            refused[name] = error
            torch.cuda.synchronize()
    return _between_events(graphs, rounds, seconds, lambda: None), refused


def captured(layers: Sequence[Callable[[], Tensor]]) -> torch.cuda.CUDAGraph:
    """The calls as a CUDA graph, warmed up beside the current stream as capturing wants it."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            for layer in layers:
                layer()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for layer in layers:
            layer()
    return graph


def _between_events(
    calls: dict[str, tuple[Callable[[], object], int]], rounds: int, seconds: float, before: Callable[[], object]
) -> Samples:
    deadline = Deadline(seconds)
    samples: Samples = {name: [] for name in calls}
    for call, _ in calls.values():
        call()
    for k in range(rounds):
        if k >= LEAST and deadline.passed():
            break
        for name, (call, parts) in calls.items():
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            before()
            start.record()
            call()
            stop.record()
            stop.synchronize()
            samples[name].append(start.elapsed_time(stop) * 1e3 / parts)
    return samples
