"""What tiling costs while training: step time and peak memory, tiled against dense: ``python -m tbn.cost``.

A step is forward, loss, backward and optimiser, on random images. Dense and tiled steps are timed in turn, so that a
slow moment of the machine hits both; the ratio is of the medians. Peak memory is the growth of a fresh process's
resident size over what it had before the model was built (Linux). The tiled network has about twice the parameters
(W and A), so its optimiser has twice the work: that is in the figures.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn import functional as F

import tbn.models
from tbn.convert import TilingConfig, tile_
from tbn.provenance import provenance


def step_of(model: str, p: int, batch: int, image: Sequence[int], optimizer: str) -> Callable[[], None]:
    """One training step of a fresh model as a call.

    Args:
        model: name in the registry, at its default size.
        p: tiling factor; 0 is the dense model.
        batch: images a step.
        image: (channels, height, width).
        optimizer: "adamw" or "sgd".
    """
    torch.manual_seed(0)
    network = tbn.models.create(model, input_shape=list(image), classes=10)
    if p:
        tile_(network, TilingConfig(p=p))
    network.train()
    parameters = network.parameters()
    chosen = torch.optim.AdamW(parameters) if optimizer == "adamw" else torch.optim.SGD(parameters, 0.1, momentum=0.9)
    inputs, labels = torch.randn(batch, *image), torch.randint(10, (batch,))

    def step() -> None:
        loss = F.cross_entropy(network(inputs), labels)
        chosen.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        chosen.step()

    return step


def peak_bytes(model: str, p: int, batch: int, image: Sequence[int], optimizer: str) -> int:
    """Peak memory of two steps, measured in a process of its own."""
    arguments = [
        "--model",
        model,
        "--p",
        str(p),
        "--batch",
        str(batch),
        "--image",
        *map(str, image),
        "--optimizer",
        optimizer,
        "--peak",
    ]
    done = subprocess.run([sys.executable, "-m", "tbn.cost", *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


def _own_peak(model: str, p: int, batch: int, image: Sequence[int], optimizer: str) -> int:
    step_of("mlp", 0, 1, (1, 8, 8), optimizer)()  # what the first step of any model loads
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts again at the present size
    before = _resident("VmHWM")
    step = step_of(model, p, batch, image, optimizer)
    step()
    step()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    """Bytes of a field of /proc/self/status, e.g. VmHWM, the largest resident size so far."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def compare(model: str, p: int, batch: int, image: Sequence[int], optimizer: str, rounds: int) -> dict[str, Any]:
    """One row: times in milliseconds, memory in bytes, ratios tiled over dense."""
    steps = {0: step_of(model, 0, batch, image, optimizer), p: step_of(model, p, batch, image, optimizer)}
    samples: dict[int, list[float]] = {0: [], p: []}
    for k in range(rounds + 1):
        for factor, step in steps.items():
            start = time.perf_counter()
            step()
            if k:  # the first round warms up
                samples[factor].append(1e3 * (time.perf_counter() - start))
    dense, tiled = median(samples[0]), median(samples[p])
    memory = {factor: peak_bytes(model, factor, batch, image, optimizer) for factor in (0, p)}
    return {"model": model, "p": p, "batch": batch, "image": list(image), "optimizer": optimizer, "dense_ms": round(dense, 2),
            "tiled_ms": round(tiled, 2), "time_ratio": round(tiled / dense, 3), "dense_bytes": memory[0], "tiled_bytes": memory[p],
            "memory_ratio": round(memory[p] / memory[0], 3), "repeats": rounds}  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['model']}, p={row['p']}, batch {row['batch']}, {row['optimizer']}: "
        f"step {row['dense_ms']:.1f} ms dense, {row['tiled_ms']:.1f} ms tiled ({row['time_ratio']:.2f} x); "
        f"peak {row['dense_bytes'] / 1e6:.0f} MB dense, {row['tiled_bytes'] / 1e6:.0f} MB tiled ({row['memory_ratio']:.2f} x)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tbn.cost", description="Cost of tiling while training: step time and peak memory."
    )
    parser.add_argument("--model", nargs="+", choices=tbn.models.names(), default=["mlp", "cnn"])
    parser.add_argument("--p", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--image", type=int, nargs=3, default=[3, 32, 32], metavar=("C", "H", "W"))
    parser.add_argument("--optimizer", choices=("adamw", "sgd"), default="adamw")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.peak:
        print(_own_peak(args.model[0], args.p, args.batch, args.image, args.optimizer))
        return 0
    rows = []
    for model in args.model:
        row = compare(model, args.p, args.batch, args.image, args.optimizer, args.rounds)
        rows.append(row)
        if not args.json:
            print(_line(row), flush=True)
    if args.json:
        print(json.dumps({**provenance(), "threads": torch.get_num_threads(), "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
