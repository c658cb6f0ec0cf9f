"""Results that come with the package, each a small run folder trained by ``tbn zoo build``.

An entry keeps configuration, curve, result with provenance, and the packed model; latent weights are left out (full-precision entries keep
their weights: they have no packed form).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tbn.config import RunConfig

KEEP = ("metrics.jsonl", "packed.safetensors", "config.json", "result.json")


def entries() -> dict[str, RunConfig]:
    """The zoo's entries by name: Fashion-MNIST's embedded subset, MLP and CNN, full precision, binary and tiled, two seeds."""
    from tbn.config import RunConfig

    found = {}
    for model in ("mlp", "cnn"):
        for seed in (0, 1):
            for p, method in ((0, "fp32"), (1, "binary"), (2, "p2"), (4, "p4"), (8, "p8"), (16, "p16")):
                found[f"fashion_mnist-{model}-{method}-s{seed}"] = RunConfig(
                    task="fashion_mnist", model=model, p=p, seed=seed, data="embedded"
                )
    return found


def build(out: Path | None = None, only: str = "", say: Callable[[str], None] = print) -> list[str]:
    """Train the entries that are missing in ``out`` (the package's zoo by default); those whose name contains ``only``.

    Training takes one thread, so that a machine with any number of cores repeats the same numbers.

    Returns:
        the names trained.
    """
    import torch

    from tbn.runs import zoo_root
    from tbn.train import fit

    out, made = out or zoo_root(), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name, config in entries().items():
            if only not in name or (out / name / "result.json").is_file():
                continue
            with tempfile.TemporaryDirectory() as folder:
                run = fit(config, folder=Path(folder) / name)
                accuracy = run.metrics()["test_accuracy"].iloc[-1]
                keep = KEEP if config.p else (*KEEP, "model.safetensors")
                shutil.rmtree(out / name, ignore_errors=True)
                (out / name).mkdir(parents=True)
                for file in sorted(keep, key=lambda file: file == "result.json"):  # result.json last: it says complete
                    if (run.path / file).is_file():
                        shutil.copyfile(run.path / file, out / name / file)
            made.append(name)
            say(f"{name}: test accuracy {100 * accuracy:.2f} %")
    finally:
        torch.set_num_threads(threads)
    return made


def table() -> str:
    """The zoo as a Markdown table: mean accuracy over the seeds, and bytes of weights."""
    from tbn.runs import frame

    zoo = frame().query("source == 'zoo' and state == 'complete'")
    lines = [
        "| | " + " | ".join(f"{model}: accuracy | bytes of weights" for model in ("MLP", "CNN")) + " |",
        "|---|---|---|---|---|",
    ]
    for p in (0, 1, 2, 4, 8, 16):
        cells = []
        for model in ("mlp", "cnn"):
            rows = zoo[(zoo["model"] == model) & (zoo["p"] == p)]
            cells += (
                [f"{100 * rows['accuracy'].mean():.1f} %", f"{rows['weight_bytes'].iloc[0]:,}"]
                if len(rows)
                else ["-", "-"]
            )
        name = {0: "full precision", 1: "binary (p = 1)"}.get(p, f"tiled, p = {p}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
