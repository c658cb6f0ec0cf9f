"""Run folders: where they are, what state they are in, and a frame of all of them. Needs no torch.

A run folder holds ``config.json``, ``metrics.jsonl`` and ``signals.jsonl`` (a line an epoch), ``result.json`` (written last: its presence
means complete), ``model.safetensors`` (latent or dense weights), ``packed.safetensors``, ``log.txt``, ``firmware/<board>/``; while training also
``checkpoint.safetensors`` and the lock ``.lock``, which the kernel releases however the process ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbn.errors import TBNError
from tbn.files import read_json
from tbn.run_rows import COLUMNS as COLUMNS
from tbn.run_rows import rows, state_of

if TYPE_CHECKING:
    import pandas as pd


def runs_root() -> Path:
    """The runs folder: the environment's TBN_RUNS, or ``runs`` in the working folder."""
    return Path(os.environ.get("TBN_RUNS") or "runs")


def zoo_root() -> Path:
    """The folder of results that come with the package."""
    return Path(__file__).parent / "zoo"


@dataclass(frozen=True)
class Run:
    """One run folder."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def source(self) -> str:
        """ "zoo" for a result that came with the package, else "runs"."""
        return "zoo" if zoo_root().resolve() in self.path.resolve().parents else "runs"

    @cached_property
    def config(self) -> dict[str, Any]:
        """What was asked for (``config.json``)."""
        config = read_json(self.path / "config.json")
        if not isinstance(config, dict) or not {"task", "model", "p"} <= set(config):
            raise TBNError(
                f"{self.path}/config.json is not a run's configuration", "remove the folder, or restore the file"
            )
        return config

    @property
    def result(self) -> dict[str, Any] | None:
        """What came out (``result.json``), or None while incomplete."""
        path = self.path / "result.json"
        return read_json(path) if path.is_file() else None

    @property
    def error(self) -> dict[str, str] | None:
        """Why it failed (``error.json``): "error" and "fix"."""
        path = self.path / "error.json"
        return read_json(path) if path.is_file() else None

    @property
    def state(self) -> str:
        """ "complete", "running", "failed" (``error.json`` says why) or "interrupted" (killed or cancelled; can be resumed)."""
        return state_of(self.path)

    def metrics(self) -> pd.DataFrame:
        """One row an epoch: epoch, lr, seconds, and train_ and test_ loss and metrics, e.g. test_accuracy."""
        import pandas as pd

        return pd.DataFrame(read_lines(self.path / "metrics.jsonl"))

    def signals(self) -> list[dict[str, Any]]:
        """One entry an epoch: {"epoch", "layers": {name: {"flip_ratio", "balance", "alphas", "alpha_low", "alpha_high"}}} (``tbn.signals``)."""
        return read_lines(self.path / "signals.jsonl")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file, none where there is no file; a line cut short by a crash is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def new_folder(config: dict[str, Any], root: Path | None = None) -> Path:
    """Make the folder of a new run, named after task, model, factor, seed and time; never one that exists."""
    method = {0: "fp32", 1: "binary"}.get(config["p"], f"p{config['p']}")
    model = config["model"].replace(":", "-")  # "timm:resnet18"
    name = f"{config['task']}-{model}-{method}-s{config['seed']}-{datetime.now():%Y%m%d-%H%M%S}"
    root = root or runs_root()
    for suffix in ("", *(f"-{k}" for k in range(2, 1000))):
        try:
            (root / (name + suffix)).mkdir(parents=True)
            return root / (name + suffix)
        except FileExistsError:
            if not root.is_dir():
                raise TBNError(f"the runs folder {root} is a file", "choose another with --runs or TBN_RUNS") from None
        except OSError as error:
            raise TBNError(
                f"cannot make a run folder in {root}: {error.strerror}", "choose another with --runs or TBN_RUNS"
            ) from error
    raise TBNError(f"{root} has a thousand runs named {name}", "choose another folder with --runs")


def find(run: str | Path, root: Path | None = None) -> Run:
    """A run by path, or by id in the runs folder or the zoo.

    Raises:
        TBNError: there is none.
    """
    roots = (root or runs_root(), zoo_root())
    for path in (Path(run), *(folder / run for folder in roots)):
        if (path / "config.json").is_file():
            return Run(path)
    if Path(run).is_dir():
        raise TBNError(f"{run} is not a run folder: it has no config.json", "train one with tbn train")
    known = [found.id for found in iterate(root) if found.state == "complete"]
    raise TBNError(
        f"there is no run {str(run)!r} in {roots[0]} or the zoo",
        f"known are {', '.join(known[-3:])}" if known else "train one with tbn train",
    )


def complete(run: str | Path, root: Path | None = None) -> Run:
    """As ``find``, for a run that has finished.

    Raises:
        TBNError: none, or still running, failed or interrupted.
    """
    found = find(run, root)
    if found.state != "complete":
        fix = "wait for it" if found.state == "running" else f"finish it with: tbn train --resume {found.path}"
        raise TBNError(f"run {found.id!r} is {found.state}, not complete", fix)
    return found


def iterate(root: Path | None = None, zoo: bool = True) -> Iterator[Run]:
    """All run folders, oldest first, those of the zoo before the user's."""
    for folder in ([zoo_root()] if zoo else []) + [root or runs_root()]:
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if (path / "config.json").is_file():
                yield Run(path)


def frame(root: Path | None = None, zoo: bool = True) -> pd.DataFrame:
    """One row a run with the columns ``COLUMNS``; what is not known is missing. p = 0 and method "fp32" mean full precision.

    ``setup`` is what else sets a configuration apart, in words; ``metrics`` (name: value on the test set, and "train_" of the headline) and
    ``baselines`` (name: metrics) are mappings, not to be changed.
    A folder that cannot be read gives a row of state "broken" with nothing else in it. Only folders that have changed since the last call in
    this process are read.
    """
    import pandas as pd

    own = root or runs_root()
    folders = [(zoo_root(), "zoo")] * zoo + [(own, "zoo" if own.resolve() == zoo_root().resolve() else "runs")]
    return pd.DataFrame([row for folder, source in folders for row in rows(folder, source)], columns=list(COLUMNS))
