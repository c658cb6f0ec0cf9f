"""Where a run's firmware lies, and its export: generated when something changed, else read back without touching torch.

A run's source lies in ``firmware/model/<precision>``: in whole numbers ("integer", ``tbn.integer``) or in "float32".
"""

import hashlib
import os
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path

from tbn import runs
from tbn.errors import TBNError
from tbn.export.report import FLOAT32, INTEGER, PRECISIONS, REFERENCE, REPORT, SOURCE, ExportReport, read_report
from tbn.files import write_json

HERE = Path(__file__).parent
GENERATORS = {
    INTEGER: (
        "export/c_integer.py",
        "export/integer_text.py",
        "export/templates/model_integer.*.j2",
        "integer/*.py",
        "fusion.py",
    ),
    FLOAT32: ("export/c_source.py", "export/network.py", "export/templates/model.*.j2"),
}
WEIGHTS = ("packed.safetensors", "model.safetensors")
_ONE = threading.Lock()  # torch.fx traces one model at a time: it patches torch.nn.Module meanwhile


def cache_root() -> Path:
    """Where tools are kept between runs: the environment's TBN_CACHE, or ``tbn-explorer`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TBN_CACHE") or Path(base) / "tbn-explorer").resolve()


def firmware_folder(run: runs.Run) -> Path:
    """``firmware`` in the run's folder. A zoo entry belongs to the package, so its firmware goes to the cache."""
    return cache_root() / "zoo" / run.id if run.source == "zoo" else run.path.resolve() / "firmware"


def model_folder(run: runs.Run, precision: str) -> Path:
    """Where the source of a precision lies."""
    return firmware_folder(run) / "model" / precision


def exported(run: runs.Run, precision: str | None = None) -> ExportReport | None:
    """The export that ``export_run`` would give back as it is, or None where it would have to generate one. Touches no torch."""
    for choice in PRECISIONS if precision is None else (precision,):
        report = _current(model_folder(run, choice), _fingerprint(run, choice), choice)
        if report is not None and (precision is not None or choice == INTEGER or report.reason):
            return report
    return None


def export_run(
    run: str | Path | runs.Run, out_dir: str | Path | None = None, precision: str | None = None
) -> ExportReport:
    """The C source of a complete run; written again only when weights or generator changed.

    Args:
        run: id, path or run.
        out_dir: instead of ``firmware/model/<precision>``.
        precision: "integer" or "float32"; None is integer where the model has a twin in whole numbers, else float32, and ``report.reason``
            says why.

    Raises:
        TBNError: the run is not complete, or its model has layers that the C runtime has not.
    """
    if precision not in (None, *PRECISIONS):
        raise TBNError(f"unknown precision {precision!r}", f"choose one of {', '.join(PRECISIONS)}")
    found = run if isinstance(run, runs.Run) else runs.complete(run)
    with _ONE:
        return (exported(found, precision) if out_dir is None else None) or _generated(found, out_dir, precision)


def _generated(found: runs.Run, out_dir: str | Path | None, precision: str | None) -> ExportReport:
    """The source in this precision, or in the best one."""
    if precision is not None:
        return _export(found, out_dir, precision)
    try:
        return _export(found, out_dir, INTEGER)
    except TBNError as refused:
        reason = refused
    try:
        report = _export(found, out_dir, FLOAT32)
    except TBNError:
        raise reason from None
    report = replace(report, reason=f"not in integers: {reason.message}")
    write_json(report.folder / REPORT, report.to_dict())
    return report


def _export(run: runs.Run, out_dir: str | Path | None, precision: str) -> ExportReport:
    folder = Path(out_dir) if out_dir is not None else model_folder(run, precision)
    fingerprint = _fingerprint(run, precision)
    report = _current(folder, fingerprint, precision)
    if report is not None:
        return report
    from tbn.restore import deployed_model, task_of

    model, task = deployed_model(run), task_of(run)
    if precision == INTEGER:
        from tbn.export.c_integer import export_integer
        from tbn.integer import quantise

        title = f"{task.name}, {type(model).__name__}"
        return export_integer(quantise(model.eval(), task), task, folder, title, fingerprint)
    from tbn.export.c_source import export_c

    return export_c(model, task, folder, fingerprint)


def _current(folder: Path, fingerprint: str, precision: str) -> ExportReport | None:
    """The report of a folder, if it is whole and of these weights and this generator."""
    report = read_report(folder)
    if report is None or (report.fingerprint, report.precision) != (fingerprint, precision):
        return None
    return report if all((folder / name).is_file() for name in (SOURCE, REFERENCE)) else None


def _fingerprint(run: runs.Run, precision: str) -> str:
    """sha256 of what the source is made from: weights, task and generator."""
    weights = [run.path / name for name in WEIGHTS if (run.path / name).is_file()]
    if not weights:
        raise TBNError(f"run {run.id!r} has no weights", "train it again")
    digest = hashlib.sha256(weights[0].read_bytes())
    digest.update(str(((run.result or {}).get("task") or {}).get("source")).encode())
    digest.update(_generator(precision))
    return digest.hexdigest()


@cache
def _generator(precision: str) -> bytes:
    """sha256 of the files that write the source of a precision."""
    digest = hashlib.sha256()
    for pattern in GENERATORS[precision]:
        for path in sorted(HERE.parent.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.digest()
