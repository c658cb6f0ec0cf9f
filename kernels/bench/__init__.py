"""The packed layer against what people would use instead, side by side on this machine: ``python -m kernels.bench cpu|gpu``.

Every row is one engine at one layer and batch: its answer is checked against float64 before anything is timed, all engines of a case are timed in
turn, round after round (``sampling``), and the least time that the machine allows stands beside (``roofline``). Peers are the optional extra
``bench``; what is missing or fails is named in the record's ``not_measured``. The record goes to a file of its device and machine in
``kernels/results`` (``kernels.records``) after every case, so that an interrupted run leaves what it has.

``cases`` has the layers, ``ours`` and ``peers`` / ``cuda_peers`` the engines, ``measure`` makes the rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from kernels import records, tables

BUSY = 1.5  # processes that want to run; an own run just before counts for one
DEVICES = {"cpu": "cpu", "gpu": "cuda"}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line, checked; sets torch's threads."""
    parser = argparse.ArgumentParser(
        prog="python -m kernels.bench", description="Time packed layers beside their peers on this machine."
    )
    parser.add_argument(
        "device",
        nargs="?",
        choices=tuple(DEVICES),
        default="gpu" if torch.cuda.is_available() else "cpu",
        help="default: the GPU if any",
    )
    return parse(parser, argv, "few cases, p = 4 and 8", "<device>-<machine>-<threads>.json")


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None, quick: str, file: str) -> argparse.Namespace:
    """With the options of every benchmark: what a quick run leaves, and the file's usual name in kernels/results. Sets torch's threads."""
    parser.add_argument("--quick", action="store_true", help=f"under a minute: {quick}; saved only with --out")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout instead of the table")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"where to save (default: kernels/results/{file})")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's choice)")
    args = parser.parse_args(argv)
    if args.threads is not None:
        if args.threads < 1:
            parser.error(f"argument --threads: must be 1 or more, got {args.threads}")
        torch.set_num_threads(args.threads)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    from kernels.bench import cases, measure

    args = arguments(argv)
    device = DEVICES[args.device]
    words = [
        "python -m kernels.bench",
        args.device,
        *["--quick"] * args.quick,
        *([f"--threads {args.threads}"] if args.threads else []),
    ]
    factors = (4, 8) if args.quick else cases.FACTORS

    def work(record: records.Record, save: records.Save) -> None:
        chosen = cases.cases_of(device, args.quick)
        measure.measure(
            device, args.quick, chosen, factors, record, save, lambda line: print(line, file=sys.stderr, flush=True)
        )

    return run("kernels", device, args, " ".join(words), work)


def run(kind: str, device: str, args: argparse.Namespace, command: str, work: records.Work) -> int:
    """Make, fill, save and show a record; what every benchmark of this project does around its work. Returns the exit status.

    Args:
        kind: "kernels" or "models".
        device: "cpu" or "cuda".
        args: has ``quick``, ``json`` and ``out``.
        command: that repeats the run.
        work: fills the record and saves as often as it likes.
    """
    try:
        record = records.describe(kind, device, args.quick, command)
        path = args.out or (None if args.quick else records.default_path(record))
        if path is not None:
            records.claim(record, path)
        if (record["load"] or 0) > BUSY:
            busy = (
                f"this machine is busy (load {record['load']}): the ratios will be off; run it again when it is quiet"
            )
            print(busy, file=sys.stderr)

        def save() -> None:
            if path is not None:
                records.save(record, path)

        try:
            work(record, save)
            record["complete"] = True
        except KeyboardInterrupt:
            record["not_measured"].append("what came after the interruption")
            save()
            raise
        save()
        print(json.dumps(record) if args.json else tables.text(record))
        print(f"saved to {path}" if path else "quick run, not saved: name a file with --out", file=sys.stderr)
    except records.BenchError as error:
        said = json.dumps({"error": error.message, "fix": error.fix}) if args.json else error
        print(said, file=sys.stdout if args.json else sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
