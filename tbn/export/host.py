"""The generated C on this computer: compiled with its own compiler (or zig's) and called through ctypes."""

import ctypes
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.machine import compilers
from tbn import runs
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.report import FLOAT32, ExportReport
from tbn.export.run import cache_root, export_run

FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-fno-sanitize=undefined")
COMPILE_SECONDS = 300.0
Progress = Callable[[float, str], None]


def compile_model(report: ExportReport, compiler: list[str] | None = None) -> Path:
    """Build model.c and the runtime into a shared library beside the source; kept until a source file changes.

    Raises:
        TBNError: there is no compiler, or it refuses the source.
    """
    choice = compiler or next(iter(compilers()), None)
    if choice is None:
        raise TBNError("there is no C compiler", "pip install ziglang, or install gcc")
    runtime = firmware_root() / "lib" / "tbn_runtime"
    sources = [report.source, *sorted((runtime / "src").glob("*.c"))]
    headers = [
        report.folder / "model.h",
        *sorted((runtime / "include").glob("*.h")),
        *sorted((runtime / "src").glob("*.h")),
    ]
    digest = hashlib.sha256(" ".join([*choice, *FLAGS]).encode())
    for path in [*sources, *headers]:
        digest.update(path.read_bytes())
    library = report.folder.parent / "host" / f"model-{digest.hexdigest()[:16]}.{'dll' if os.name == 'nt' else 'so'}"
    if library.is_file():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    fresh = library.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    includes = [f"-I{report.folder}", f"-I{runtime / 'include'}"]
    argv = [*choice, *FLAGS, *includes, *map(str, sources), "-o", str(fresh)]
    if sys.platform == "darwin":
        argv.append("-undefined")  # macOS wants to be told that libSystem fills the rest
        argv.append("dynamic_lookup")
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache_root() / "zig")}
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=COMPILE_SECONDS, env=environment, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise TBNError(
                f"{choice[0]} cannot compile {report.source}: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}",
                "run tbn doctor",
            )
        fresh.replace(library)
    except subprocess.TimeoutExpired as error:
        raise TBNError(
            f"{choice[0]} took longer than {COMPILE_SECONDS:.0f} s", "is this machine overloaded?"
        ) from error
    except OSError as error:
        raise TBNError(f"cannot run {choice[0]}: {error.strerror or error}", "run tbn doctor") from error
    finally:
        fresh.unlink(missing_ok=True)
    return library


def run_library(
    library: Path, report: ExportReport, inputs: npt.NDArray[Any], progress: Progress | None = None
) -> npt.NDArray[Any]:
    """What the generated C answers to a task's raw inputs (samples, ...): (requests, outputs) int32 or float32, as the report's precision is."""
    function = ctypes.CDLL(str(library)).tbn_model_run
    pointer, count = ctypes.c_void_p, ctypes.c_uint32
    arena_count = [count] if report.precision == FLOAT32 else []
    function.argtypes = [pointer, count, pointer, *arena_count, pointer, count]
    function.restype = ctypes.c_int
    codes = report.encode(inputs)
    arena = np.full(report.arena_bytes // 4, -1, np.int32)  # as float32 no number: what is read was written
    outputs = np.zeros((len(codes), report.outputs), report.output_type)
    own = [arena.ctypes.data, arena.size][: 1 + len(arena_count)]
    for index, sample in enumerate(codes):
        status = function(sample.ctypes.data, sample.size, *own, outputs[index].ctypes.data, report.outputs)
        if status:
            raise TBNError(f"the C model refused input {index} (status {status})", "export the run again")
        if progress is not None and index % 100 == 0:
            progress(index / len(codes), f"{index} of {len(codes)} inputs")
    return outputs


def evaluate_on_host(
    run: str | Path, *, precision: str | None = None, limit: int | None = None, progress: Progress | None = None
) -> npt.NDArray[np.float32]:
    """The model's outputs (samples, ...) for the run's test set, or its first ``limit`` inputs, from the generated C."""
    found = runs.complete(run)
    report = export_run(found, precision=precision)
    library = compile_model(report)
    from tbn.restore import task_of

    inputs = task_of(found).test_inputs[:limit]
    return report.decode(run_library(library, report, inputs, progress), inputs)
