"""Results that come with the package, each a small run folder trained by ``tbn zoo build``.

An entry keeps configuration, curve, result with provenance and the packed model. That of the first seed also keeps its training signals, and in full
precision its weights, which have no packed form; other latent weights are left out.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tbn.errors import TBNError
from tbn.threads import threads
from tbn.zoo.families import FAMILIES
from tbn.zoo.table import table

if TYPE_CHECKING:
    from tbn.config import RunConfig

__all__ = ["available", "build", "entries", "table", "train"]

KEEP = ("metrics.jsonl", "signals.jsonl", "packed.safetensors", "config.json", "result.json")
ONCE = ("signals.jsonl", "model.safetensors")  # large: kept with the first seed


def entries() -> dict[str, RunConfig]:
    """The zoo's entries by name: every family, each version, each seed."""
    from tbn.config import RunConfig

    return {
        name: RunConfig(**family.fields(version, seed))
        for family in FAMILIES
        for name, version, seed in family.entries()
    }


def available(wanted: dict[str, RunConfig], say: Callable[[str], None] = print) -> dict[str, RunConfig]:
    """The entries whose data is on this machine; ``say`` hears of each set that is not."""
    full = {config.task: config for config in wanted.values() if config.data == "full"}
    missing = set()
    for task in sorted(full):
        try:
            full[task].load_task()
        except TBNError as error:
            missing.add(task)
            say(f"{task}: left out: {error.message}; {error.fix}")
    return {name: config for name, config in wanted.items() if not (config.data == "full" and config.task in missing)}


def build(out: Path | None = None, only: str = "", say: Callable[[str], None] = print, jobs: int = 1) -> list[str]:
    """Train the entries that are missing in ``out`` (the package's zoo by default); those whose name contains ``only``.

    Training takes one thread, so that a machine with any number of cores repeats the same numbers, side by side or one after the other.
    Entries of full sets that are not on this machine are left out, and ``say`` hears of it.

    Args:
        out: folder of the entries.
        only: part of the names to train.
        say: called with a line for each entry that is done.
        jobs: processes that train side by side; an error or an interrupt stops them all. What was done is kept.

    Returns:
        the names trained.

    Raises:
        TBNError: ``jobs`` is not a whole number of at least 1, or as in ``tbn.train.fit``.
    """
    from tbn.runs import zoo_root
    from tbn.tasks.base import check_whole

    check_whole("jobs", jobs, 1, 1024)
    out = out or zoo_root()
    missing = {
        name: config
        for name, config in entries().items()
        if only in name and not (out / name / "result.json").is_file()
    }
    missing = available(missing, say)
    with tempfile.TemporaryDirectory() as folder:
        work = [(name, config, Path(folder), out) for name, config in missing.items()]
        if jobs == 1:
            for arguments in work:
                say(train(*arguments))
        else:
            with _processes(jobs) as pool:
                for done in as_completed([pool.submit(train, *arguments) for arguments in work]):
                    say(done.result())
    return list(missing)


@contextmanager
def _processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh interpreters, ended at once where the block is left by an error or an interrupt."""
    others = multiprocessing.active_children()
    fresh = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, fresh, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()).difference(others):
            process.terminate()
        raise
    finally:
        pool.shutdown()


def train(name: str, config: RunConfig, scratch: Path, out: Path) -> str:
    """Train one entry in ``scratch`` and keep its files in ``out``; returns a line that says how good it is."""
    from tbn.scores import METRICS
    from tbn.train import fit

    with threads(1):
        run = fit(config, folder=scratch / name)
    result = run.result
    assert result is not None
    shutil.rmtree(out / name, ignore_errors=True)
    (out / name).mkdir(parents=True)
    for file in kept(config):
        if (run.path / file).is_file():
            shutil.copyfile(run.path / file, out / name / file)
    shutil.rmtree(run.path)
    metric = METRICS[result["task"]["metric"]]
    return f"{name}: test {metric.label} {metric.text(result['metrics'][metric.name])}"


def kept(config: RunConfig) -> list[str]:
    """The files that an entry keeps, ``result.json`` last: it says complete."""
    files = KEEP if config.p else (*KEEP, "model.safetensors")
    return sorted(
        (file for file in files if config.seed == 0 or file not in ONCE), key=lambda file: file == "result.json"
    )
