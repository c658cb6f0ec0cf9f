"""A Ray cluster: connecting to it, what a trial takes of its machines, and whether they see the same runs folder."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tbn.errors import TBNError
from tbn.sweep import workers
from tbn.sweep.trial import Trial

LOCAL = "local"


@dataclass(frozen=True)
class Needs:
    """What one trial takes of a machine.

    Attributes:
        cpus: None is the trial's threads times its devices.
        gpus: None is its devices where its device is CUDA; parts of a GPU are shared (0.25).
        custom: Ray's custom resources.
    """

    cpus: float | None = None
    gpus: float | None = None
    custom: Mapping[str, float] = field(default_factory=dict)

    def of(self, trial: Trial) -> dict[str, float]:
        """Ray's names of resources and how much of each."""
        devices = int(trial.config.get("devices", 1))
        if int(trial.config.get("nodes", 1)) > 1:
            raise TBNError("a trial of several machines cannot be a Ray task", "use nodes=1 and several devices")
        cuda = str(trial.config.get("device", "cpu")).startswith("cuda")
        cpus = self.cpus if self.cpus is not None else trial.threads * devices
        gpus = self.gpus if self.gpus is not None else devices * cuda
        return {"CPU": float(cpus), "GPU": float(gpus), **self.custom}


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, connected; what was connected before stays so."""
    ray = ray_module()
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(address=address or LOCAL, include_dashboard=None if address not in (None, LOCAL) else False,
                 log_to_driver=False, logging_level="ERROR")  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        raise TBNError(
            f"there is no Ray cluster at {address}: {first_sentence(error)}",
            "start one (ray start --head), or leave the address out to use this machine",
        ) from error
    try:
        yield ray
    except ray.exceptions.RayError as error:
        raise TBNError(
            f"the Ray cluster is gone: {first_sentence(error)}", "start it again; the same command goes on"
        ) from error
    finally:
        ray.shutdown()


@contextmanager
def marked(root: Path) -> Iterator[str]:
    """A file in the runs folder by which a machine sees whether its folder of that name is the same one; its path below ``root``."""
    mark = f"{workers.FOLDER}/mark-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(8)}"
    (root / mark).parent.mkdir(parents=True, exist_ok=True)
    (root / mark).touch()
    try:
        yield mark
    finally:
        (root / mark).unlink(missing_ok=True)


def ray_module() -> Any:
    """Ray.

    Raises:
        TBNError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told what is computed here
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a task without a GPU sees none anyway
    try:
        import ray
    except ImportError as error:
        raise TBNError("Ray is not installed", "pip install 'tbn-explorer[cluster]'") from error
    return ray


def first_sentence(error: BaseException) -> str:
    """What an error of Ray says before it goes on for a page."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.partition(". ")[0].rstrip(".")[:200]
