"""Measure block sizes on this GPU and keep the fastest: ``python -m kernels.tune [--seconds N]`` writes ``kernels/tuning/<device>.json``.

For each layer the candidates of ``kernels.triton_blocks`` are checked against the rule's choice and timed with CUDA events, the L2 cache flushed
before each call (the flush takes longer than a launch, so the launch is not in the time); the fastest median counts, the rule's if none is 3 %
faster. The layers share the seconds; what does not fit is left to the rule and said.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import inf
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from kernels import triton_table
from kernels.layout import TileGeometry, Window, packed_length
from kernels.triton_blocks import Blocks, Work, candidates
from kernels.triton_images import padded_channels

SECONDS = 240.0
SAMPLES = 15
GAIN = 0.97
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
_log = logging.getLogger(__name__)


class Layer(NamedTuple):
    """A linear layer, or with ``size`` a 3x3 convolution of that many pixels a side, channels-last."""

    outputs: int
    inputs: int
    batch: int
    size: int = 0


LINEAR = ((4096, 4096), (14336, 4096), (4096, 14336), (3072, 768), (768, 3072))
CONVOLUTIONS = ((128, 128, 28), (256, 256, 14), (512, 512, 7))
LAYERS = (*(Layer(m, n, batch) for batch in (1, 16, 64, 256, 4096) for m, n in LINEAR),
          *(Layer(m, n, batch, size) for batch in (1, 64) for m, n, size in CONVOLUTIONS))  # fmt: skip
FACTORS = (4, 8, 16)


def prepared(layer: Layer, p: int, dtype: torch.dtype, device: str) -> tuple[Work, Callable[[Blocks], Tensor]]:
    """The work of one layer with random signs and inputs, and a call that does it with given blocks."""
    from kernels import triton_conv, triton_linear

    positions = 9 if layer.size else 1
    geometry = TileGeometry(layer.outputs, layer.inputs * positions, p)
    tile = torch.randint(0, 256, (packed_length(geometry.tile_length),), dtype=torch.uint8, device=device)
    alphas, bias = torch.rand(p, device=device) + 0.5, torch.randn(layer.outputs, device=device)
    if not layer.size:
        x = torch.randn(layer.batch, layer.inputs, device=device).to(dtype)
        planes = triton_linear.pack_planes(tile, geometry)
        work = Work("linear", dtype, geometry.distinct_rows, geometry.row_length, layer.batch)
        return work, lambda blocks: triton_linear.multiply(x, planes, alphas, geometry, bias, None, "none", blocks)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    image = torch.randn(layer.batch, layer.inputs, layer.size, layer.size, device=device).to(dtype)
    image = image.contiguous(memory_format=torch.channels_last)
    planes = triton_conv.pack_planes(tile, geometry, window)
    columns = padded_channels(geometry, window) * positions
    work = Work("conv", dtype, geometry.distinct_rows, columns, layer.batch * layer.size**2)
    return work, lambda blocks: triton_conv.multiply(image, planes, alphas, geometry, window, bias, None, "none", blocks)  # fmt: skip


def cuda_microseconds(call: Callable[[], object], flush: Tensor) -> float:
    """Median of one call between two events, the L2 cache flushed before it."""
    samples: list[float] = []
    for _ in range(SAMPLES):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        flush.zero_()
        start.record()
        call()
        stop.record()
        stop.synchronize()
        samples.append(start.elapsed_time(stop) * 1e3)
    return median(samples)


def fastest(
    work: Work, call: Callable[[Blocks], Tensor], microseconds: Callable[[Callable[[], object]], float], seconds: float
) -> tuple[Blocks, int]:
    """The fastest candidate, and how many were not tried because the seconds were over. A candidate that does not run here, or whose answer
    differs from the rule's, is left out with a line in the log."""
    from triton.runtime.errors import OutOfResources, PTXASError

    stop = time.perf_counter() + seconds
    rule, *others = candidates(work)
    expected = call(rule).float()
    times = {rule: microseconds(lambda: call(rule)) * GAIN}
    for k, blocks in enumerate(others):
        if time.perf_counter() > stop:
            return min(times, key=lambda each: times[each]), len(others) - k
        try:
            error = float((call(blocks).float() - expected).abs().max() / expected.abs().max())
            times[blocks] = microseconds(lambda blocks=blocks: call(blocks)) if error < TOLERANCE[work.dtype] else inf  # type: ignore[misc]
        except (OutOfResources, PTXASError) as problem:
            _log.warning("%s with %s does not run here: %s", work.key(), blocks, problem)
            continue
        if times[blocks] == inf:
            _log.warning("%s with %s is wrong: relative error %.1e", work.key(), blocks, error)
    return min(times, key=lambda each: times[each]), 0


def tune(layers: Sequence[Layer], dtypes: Sequence[torch.dtype], seconds: float) -> triton_table.Entries:
    """Entries for these layers at p = 4, 8 and 16, within about so many seconds."""
    stop = time.perf_counter() + seconds
    flush = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    cases = [(layer, p, dtype) for dtype in dtypes for layer in layers for p in FACTORS]
    entries: triton_table.Entries = {}
    for k, (layer, p, dtype) in enumerate(cases):
        left = stop - time.perf_counter()
        if left <= 0:
            print(f"{len(cases) - k} of {len(cases)} cases were left to the rule: time is over; give more --seconds", file=sys.stderr)  # fmt: skip
            break
        work, call = prepared(layer, p, dtype, "cuda")
        blocks, untried = fastest(work, call, lambda one: cuda_microseconds(one, flush), 2 * left / (len(cases) - k))
        entries[work.key()] = tuple(blocks)
        print(f"{k + 1}/{len(cases)}  {work.key()}: {tuple(blocks)}" + (f", {untried} not tried" if untried else ""), file=sys.stderr)  # fmt: skip
    return entries


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m kernels.tune", description="Measure block sizes on this GPU.")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="N", help=f"default: {SECONDS:.0f}")
    parser.add_argument("--float32", action="store_true", help="float32 too, not bfloat16 alone")
    args = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("there is no GPU here that torch can use; without a table the fixed rule chooses the blocks", file=sys.stderr)  # fmt: skip
        return 1
    device = torch.cuda.get_device_name()
    dtypes = (torch.bfloat16, torch.float32) if args.float32 else (torch.bfloat16,)
    with torch.inference_mode():
        entries = tune(LAYERS, dtypes, args.seconds)
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"torch": torch.__version__, "triton": _triton()},
    }
    print(f"{len(entries)} entries saved to {triton_table.write(device, about, entries)}")
    return 0


def _triton() -> str:
    import triton

    version: str = triton.__version__
    return version


if __name__ == "__main__":
    sys.exit(main())
