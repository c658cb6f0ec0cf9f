"""The generated C on this computer: compiled with its own compiler (or zig's) and called through ctypes."""

import ctypes
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels.machine import compilers
from tbn import runs
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.report import ExportReport
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
    fresh = library.with_suffix(f".{os.getpid()}")
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
    library: Path, report: ExportReport, inputs: npt.NDArray[np.uint8], progress: Progress | None = None
) -> npt.NDArray[np.float32]:
    """Logits (images, outputs) float32 of raw images (images, ...) uint8."""
    function = ctypes.CDLL(str(library)).tbn_model_run
    function.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_void_p,
        ctypes.c_uint32,
    ]
    function.restype = ctypes.c_int
    images = np.ascontiguousarray(inputs, np.uint8).reshape(len(inputs), -1)
    arena = np.zeros(report.arena_bytes // 4, np.float32)
    logits = np.zeros((len(images), report.outputs), np.float32)
    for index, image in enumerate(images):
        status = function(
            image.ctypes.data, image.size, arena.ctypes.data, arena.size, logits[index].ctypes.data, report.outputs
        )
        if status:
            raise TBNError(f"the C model refused image {index} (status {status})", "export the run again")
        if progress is not None and index % 100 == 0:
            progress(index / len(images), f"{index} of {len(images)} images")
    return logits


def evaluate_on_host(
    run: str | Path, *, limit: int | None = None, progress: Progress | None = None
) -> npt.NDArray[np.float32]:
    """Logits (images, outputs) of the run's test set, or its first ``limit`` images, from the generated C."""
    found = runs.complete(run)
    report = export_run(found)
    library = compile_model(report)
    from tbn.restore import task_of

    return run_library(library, report, task_of(found).test_inputs[:limit], progress)
