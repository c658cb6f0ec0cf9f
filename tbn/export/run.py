"""Where a run's firmware lies, and its export: generated when something changed, else read back without touching torch."""

import hashlib
import os
from pathlib import Path

from tbn import runs
from tbn.errors import TBNError
from tbn.export.report import REFERENCE, SOURCE, ExportReport, read_report

GENERATOR = ("c_source.py", "network.py", "templates/model.c.j2", "templates/model.h.j2")
WEIGHTS = ("packed.safetensors", "model.safetensors")


def cache_root() -> Path:
    """Where tools are kept between runs: the environment's TBN_CACHE, or ``tbn-explorer`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TBN_CACHE") or Path(base) / "tbn-explorer").resolve()


def firmware_folder(run: runs.Run) -> Path:
    """``firmware`` in the run's folder. A zoo entry belongs to the package, so its firmware goes to the cache."""
    return cache_root() / "zoo" / run.id if run.source == "zoo" else run.path.resolve() / "firmware"


def export_run(run: str | Path | runs.Run, out_dir: str | Path | None = None) -> ExportReport:
    """The C source of a complete run, in ``firmware/model`` or ``out_dir``; written again only when weights or generator changed.

    Raises:
        TBNError: the run is not complete, or its model has layers that the C runtime has not.
    """
    found = run if isinstance(run, runs.Run) else runs.complete(run)
    folder = Path(out_dir) if out_dir is not None else firmware_folder(found) / "model"
    fingerprint = _fingerprint(found)
    report = read_report(folder)
    if (
        report is not None
        and report.fingerprint == fingerprint
        and all((folder / name).is_file() for name in (SOURCE, REFERENCE))
    ):
        return report
    from tbn.export.c_source import export_c
    from tbn.restore import deployed_model, task_of

    return export_c(deployed_model(found), task_of(found), folder, fingerprint)


def _fingerprint(run: runs.Run) -> str:
    """sha256 of what the source is made from: weights, task and generator."""
    digest = hashlib.sha256()
    weights = [run.path / name for name in WEIGHTS if (run.path / name).is_file()]
    if not weights:
        raise TBNError(f"run {run.id!r} has no weights", "train it again")
    for path in [weights[0], *(Path(__file__).parent / name for name in GENERATOR)]:
        digest.update(path.read_bytes())
    digest.update(str(((run.result or {}).get("task") or {}).get("source")).encode())
    return digest.hexdigest()
