"""The front of accuracy against bytes on MNIST, in integer networks: ``python -m tbn.front`` trains it, ``frame`` reads what came along.

Each entry is trained with float activations first, then fine-tuned in the arithmetic of its integer network (``tbn.integer.training``).
Bytes are everything that the device stores of the network: tiles, multipliers, biases. The whole test set goes through the exact integer
reference and the generated C, which have to agree bit for bit, and some images through emulated boards, which count instructions.
Entries are run folders below ``tbn/zoo/front``, and ``front/NAME`` is their name everywhere. What was tried for them was seen on the test set.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbn import runs
from tbn.errors import TBNError
from tbn.files import read_json, write_json
from tbn.threads import threads
from tbn.zoo import KEEP

if TYPE_CHECKING:
    import pandas as pd

    from tbn.config import RunConfig

FOLDER = "front"
TASK = "mnist"
QUANTISED_EPOCHS = 2
BOARDS, COUNTED = ("nucleo_f411re", "microbit"), 10  # instructions are counted on so many images
COLUMNS = ("name", "p", "channels", "seed", "bytes", "accuracy", "float_accuracy", "macs", "instructions", "date")
SHARED: dict[str, Any] = {
    "min_layer_size": 1_000, "batch_size": 128, "augment": "affine", "data": "full",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One network of the front: micro_cnn with these channels and this tiling factor."""

    channels: tuple[int, int, int]
    p: int
    epochs: int
    lr: float
    seed: int = 0


ENTRIES: Mapping[str, Entry] = {
    "mnist-3k": Entry((20, 38, 38), 1, 22, 4e-3),
    "mnist-5k": Entry((26, 52, 52), 1, 30, 4e-3),
}


def root() -> Path:
    """The folder of the entries that come along."""
    return runs.zoo_root() / FOLDER


def entry_config(entry: Entry, data_root: str | None = None) -> RunConfig:
    """What an entry is trained as, before it is fine-tuned."""
    from tbn.config import RunConfig

    return RunConfig(
        TASK, "micro_cnn", p=entry.p, model_args={"channels": list(entry.channels)}, epochs=entry.epochs, lr=entry.lr,
        seed=entry.seed, ema=0.999, data_root=data_root, **SHARED,
    )  # fmt: skip


def build(
    names: tuple[str, ...] = tuple(ENTRIES),
    data_root: str | None = None,
    work: Path | None = None,
    out: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Train entries that are missing in ``out``, one after the other on one thread; ``work`` keeps latent weights, if given.

    Raises:
        TBNError: the full MNIST is not there, or as in ``tbn.train.fit``.
    """
    out = out or root()
    with tempfile.TemporaryDirectory() as scratch:
        folder = work or Path(scratch)
        for name in names:
            if not (out / name / "result.json").is_file():
                say(f"{name}: {_entry(name, ENTRIES[name], folder, out, data_root)}")


def _entry(name: str, entry: Entry, work: Path, out: Path, data_root: str | None) -> str:
    """Network and fine-tuning, as far as they are missing in ``work``; the kept files in ``out``; one line about it."""
    from tbn.integer.training import fine_tune

    with threads(1):
        trained = _trained(work / name, entry_config(entry, data_root))
        quantised = work / f"{name}-integer"
        if not (quantised / "result.json").is_file():
            shutil.rmtree(quantised, ignore_errors=True)
            fine_tune(trained, QUANTISED_EPOCHS, folder=quantised)
    result = read_json(quantised / "result.json")
    whole = {**result["integer"], "float": read_json(trained / "result.json")["metrics"], **compared(quantised)}
    whole["instructions"] = {board: count for board in BOARDS if (count := instructions(quantised, board)) is not None}
    shutil.rmtree(out / name, ignore_errors=True)
    (out / name).mkdir(parents=True)
    for file in KEEP:
        if file not in ("config.json", "result.json") and (quantised / file).is_file():
            shutil.copyfile(quantised / file, out / name / file)
    config = {**read_json(quantised / "config.json"), "data_root": None}
    write_json(out / name / "config.json", config)
    write_json(out / name / "result.json", {**result, "run": name, "integer": whole})
    return f"{100 * whole['accuracy']:.2f} % of {whole['samples']:,} test images in {whole['bytes']:,} bytes"


def compared(run: Path) -> dict[str, int]:
    """``c_equal``: on how many test images the generated C of this machine gives the reference's outputs bit for bit.

    Raises:
        TBNError: it differs somewhere, or there is no C compiler.
    """
    import numpy as np

    from tbn.export.host import compile_model, run_library
    from tbn.export.run import export_run
    from tbn.integer import quantise
    from tbn.integer import run as run_integer
    from tbn.restore import deployed_model, task_of

    found = runs.complete(run)
    task, report = task_of(found), export_run(found, precision="integer")
    inputs = np.asarray(task.test_inputs)
    outputs = run_library(compile_model(report), report, inputs)
    network = quantise(deployed_model(found), task)
    for start in range(0, len(outputs), 100):
        some = slice(start, start + 100)
        if not np.array_equal(outputs[some], run_integer(network, inputs[some])):
            raise TBNError(f"the generated C differs from the reference in images {start} to {start + 99}", "report it")
    return {"c_equal": len(outputs)}


def instructions(run: Path, board: str) -> int | None:
    """Mean instructions of an inference on an emulated board, over some test images; None where it cannot be built here."""
    from tbn.evaluate import evaluate

    try:
        counted = evaluate(run, "board", limit=COUNTED, precision="integer", board=board).instructions
    except TBNError:
        return None
    return None if counted is None else round(counted)


def _trained(folder: Path, config: RunConfig) -> Path:
    """The folder of a run: trained, gone on with, or as it is."""
    from tbn.train import fit, resume

    if (folder / "config.json").is_file():
        resume(folder)
    else:
        fit(config, folder=folder)
    return folder


def frame(folder: Path | None = None) -> pd.DataFrame:
    """One row an entry, columns ``COLUMNS``: bytes and accuracy (0..1) of the integer network; instructions by board, as a mapping, or None."""
    import pandas as pd

    rows = []
    for run in runs.iterate(folder or root(), zoo=False):
        if (result := run.result) is None:
            continue
        whole = result["integer"]
        rows.append({
            "name": run.id, "p": run.config["p"], "channels": tuple(run.config["model_args"]["channels"]), "seed": run.config["seed"],
            "bytes": whole["bytes"], "accuracy": whole["accuracy"], "float_accuracy": whole["float"]["accuracy"],
            "macs": result["size"]["macs_computed"], "instructions": whole.get("instructions"), "date": result["provenance"]["date"],
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("bytes", ignore_index=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tbn.front", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument(
        "names", nargs="*", default=list(ENTRIES), help=f"of {', '.join(ENTRIES)} (default: all that are missing)"
    )
    parser.add_argument("--data-root", help="folder with the full MNIST (default: TBN_DATA)")
    parser.add_argument(
        "--work",
        type=Path,
        help="folder that keeps the latent weights; a killed training goes on there",
    )
    parser.add_argument("--out", type=Path, help="folder of the entries (default: the package's)")
    given = parser.parse_args()
    build(tuple(given.names), given.data_root, given.work, given.out)
    print(frame(given.out).to_string(index=False))


if __name__ == "__main__":
    main()
