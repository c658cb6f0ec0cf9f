"""Ray as the engine of a sweep: each trial is a task, sent to whatever machine of the cluster has room. Needs the ``cluster`` extra.

Only the driver, the process that runs the sweep, speaks with the storage; a machine needs this package and, where the data is not embedded,
the data (TBN_DATA of its own). How a run folder comes back:
    - a machine that sees the runs folder (one machine, a shared disk) trains right in it, and goes on with what a dead one left there;
    - else it trains in a scratch folder and sends the files with its answer;
    - with ``artefacts``, a URL, it copies them there (every half minute while it trains, so another machine can go on) and the driver fetches them.
A worker or a machine that dies is reported to the desk, which has the trial tried once more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbn.errors import TBNError
from tbn.sweep import workers
from tbn.sweep.artefacts import Store, write_files
from tbn.sweep.local import Engine, Say
from tbn.sweep.ray_cluster import Needs, connected, first_sentence, marked, ray_module
from tbn.sweep.ray_task import Talk, carried_out
from tbn.sweep.storage import BEAT_SECONDS
from tbn.sweep.trial import Outcome, Trial

if TYPE_CHECKING:
    from tbn.sweep.desk import Desk

TEND_SECONDS = 5.0  # between looks after trials that dead workers of other machines left


def engine(
    address: str | None = None,
    *,
    cpus: float | None = None,
    gpus: float | None = None,
    artefacts: str | None = None,
    **custom: float,
) -> Engine:
    """An engine for ``tbn.sweep.run``.

    Args:
        address: of a running cluster ("auto", "host:6379", "ray://host:10001"); None or "local" starts Ray on this machine and ends it.
        cpus, gpus, custom: what a trial takes (``Needs``).
        artefacts: URL or path for run folders, where machines share no runs folder.

    Raises:
        TBNError: Ray is not installed, or the artefacts' URL makes no sense.
    """
    ray_module()
    if artefacts is not None:
        Store(artefacts)
    return partial(_work, address=address, needs=Needs(cpus, gpus, custom), artefacts=artefacts)


def _work(desk: Desk, root: Path, say: Say, *, address: str | None, needs: Needs, artefacts: str | None) -> None:
    """Hand trials to the cluster until none is left."""
    worker = f"{workers.new_name()}-ray"
    with connected(address) as ray, workers.alive(root, worker), marked(root) as mark:
        crew = _Crew(ray, root.absolute(), mark, needs, artefacts, desk.sweep.prune)
        beaten, tended = _Every(BEAT_SECONDS), _Every(TEND_SECONDS)
        try:
            while True:
                while crew.has_room() and (trial := desk.claim(worker)) is not None:
                    crew.begin(trial)
                if not crew.running and not desk.remaining():
                    return
                _settle(desk, crew, say)
                if beaten.is_due():
                    desk.beat(list(crew.running.values()))
                if tended.is_due():
                    desk.tend()
        except BaseException:
            for trial in crew.stop():
                with suppress(TBNError):
                    desk.tell(trial, Outcome(interrupted=True))
            raise


def _settle(desk: Desk, crew: _Crew, say: Say) -> None:
    """Tell the desk what has come to an end, and the trials what the desk says to their scores."""
    for trial, outcome, died in crew.finished():
        if died:
            say(f"trial {trial.number}: {died}; it is tried once more")
            desk.crashed(trial, died)
        else:
            desk.tell(trial, outcome)
    for trial, epoch, value in crew.reports():
        crew.answer(trial, epoch, desk.report(trial, epoch, value))


class _Crew:
    """The tasks that run on the cluster, and the trials that they carry out."""

    def __init__(self, ray: Any, root: Path, mark: str, needs: Needs, artefacts: str | None, prune: bool) -> None:
        self.ray, self.root, self.mark, self.needs, self.artefacts = ray, root, mark, needs, artefacts
        self.running: dict[Any, Trial] = {}
        self.refused: list[Trial] = []
        self.task = ray.remote(carried_out)
        lasting = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}  # it moves on when its machine dies
        self.talk = ray.remote(Talk).options(**lasting).remote() if prune else None
        self.each: dict[str, float] = {}

    def has_room(self) -> bool:
        """Whether the cluster, as it is now, can take one more trial (one to begin with: then it is known what a trial needs)."""
        if not self.each:
            return True
        there = self.ray.cluster_resources()
        slots = min(int(there.get(name, 0.0) / amount + 1e-6) for name, amount in self.each.items() if amount)
        return len(self.running) < max(1, slots)

    def begin(self, trial: Trial) -> None:
        """Queue a trial.

        Raises:
            TBNError: no machine of the cluster is large enough.
        """
        self.refused.append(trial)
        self.each = self.needs.of(trial)
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0.0) >= amount for name, amount in self.each.items()) for node in nodes):
            wanted = ", ".join(f"{amount:g} {name}" for name, amount in self.each.items() if amount)
            largest = ", ".join(f"{max(node.get(name, 0.0) for node in nodes):g} {name}" for name in self.each)
            raise TBNError(
                f"no machine of the cluster has {wanted} for a trial (the largest has {largest})",
                "use fewer --threads or devices, or add a machine: ray start --address HOST:6379",
            )
        custom = {name: amount for name, amount in self.each.items() if name not in ("CPU", "GPU")}
        options = {"num_cpus": self.each["CPU"], "num_gpus": self.each["GPU"], "resources": custom or None}
        task = self.task.options(max_retries=0, name=trial.folder, scheduling_strategy="SPREAD", **options)
        self.refused.remove(trial)
        self.running[task.remote(trial, str(self.root), self.mark, self.artefacts, self.talk)] = trial

    def finished(self) -> Iterator[tuple[Trial, Outcome, str]]:
        """Trials that came to an end within the next moment, with their outcome, or with how their worker died."""
        if not self.running:
            time.sleep(workers.PAUSE_SECONDS)
            return
        ready, _ = self.ray.wait(list(self.running), timeout=0.05 if self.talk else 1.0)
        for task in ready:
            trial = self.running.pop(task)
            try:
                outcome, files = self.ray.get(task)
                if files is not None:
                    write_files(self.root / trial.folder, files)
                elif self.artefacts is not None and not (self.root / trial.folder / "result.json").is_file():
                    Store(self.artefacts).pull(self.root / trial.folder)
            except self.ray.exceptions.RayError as error:
                yield trial, Outcome(), f"its worker died: {first_sentence(error)}"
            except TBNError as error:
                yield trial, Outcome(error=error.message, fix=error.fix), ""
            else:
                yield trial, outcome, ""

    def reports(self) -> list[tuple[Trial, int, float]]:
        """Scores after epochs, of trials that may be pruned, since the last call."""
        if self.talk is None:
            return []
        known = {trial.id: trial for trial in self.running.values()}
        told = self.ray.get(self.talk.take.remote())
        return [(known[number], epoch, value) for number, epoch, value in told if number in known]

    def answer(self, trial: Trial, epoch: int, stop: bool) -> None:
        """Tell a trial whether it is pruned."""
        assert self.talk is not None
        self.talk.answer.remote(trial.id, epoch, stop)

    def stop(self) -> list[Trial]:
        """Interrupt all tasks, which may be gone on with later; returns their trials."""
        left, self.running = self.running, {}
        for task in left:
            with suppress(Exception):
                self.ray.cancel(task, force=False)
        with suppress(Exception):
            self.ray.wait(list(left), num_returns=len(left), timeout=10.0)
        return [*left.values(), *self.refused]


class _Every:
    """Whether so many seconds have gone by since it last said so."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def is_due(self) -> bool:
        due = time.monotonic() - self.last > self.seconds
        self.last = time.monotonic() if due else self.last
        return due
