"""What each training option and tile order is worth: the same networks with one choice changed, three seeds each: ``python -m tbn.ablation``.

Tiled networks (``BASES``) are trained by the default recipe, then with one setting of ``SETTINGS`` changed at a time. Beside them stand their
controls: full precision, binary at the same width, and a narrower binary network of at least the same bytes.
Bytes are what a device would store: signs and alphas of the layers as packed (alphas float32), every other number in float16, each BatchNorm folded
to two numbers a channel. Settings were looked at on the test set, all of them alike: differences of one standard error mean nothing.

Wanted are the full Fashion-MNIST and MNIST (``TBN_DATA``), of which every sixth or tenth training image is taken. Runs lie in a folder of their own
and are taken up where they are; the results are in ``tbn/zoo/ablation.json``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbn import runs
from tbn.ablation_settings import BASES, NAMES, SEEDS, SETTINGS, config_of, place, stored_bytes
from tbn.errors import TBNError
from tbn.files import read_json, write_json
from tbn.threads import threads

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("network", "setting", "p", "scores", "mean", "deviation", "gain", "error", "bytes", "macs", "seconds")


def path() -> Path:
    """The file of the results that come along."""
    return runs.zoo_root() / "ablation.json"


def train(folder: Path, bases: Sequence[str], settings: Sequence[str], say: Callable[[str], None] = print) -> None:
    """Train what is missing in ``folder``, setting by setting, one thread each.

    Raises:
        TBNError: the data is missing, or as in ``tbn.train.fit``.
    """
    from tbn.train import fit, resume

    for base in bases:
        for setting in settings:
            for seed in SEEDS:
                target = place(folder, base, setting, seed)
                if (SETTINGS[setting].only and base not in SETTINGS[setting].only) or (
                    target / "result.json"
                ).is_file():
                    continue
                begun = (target / "config.json").is_file()
                with threads(1):
                    run = resume(target) if begun else fit(config_of(base, setting, seed, folder), folder=target)
                result = run.result
                assert result is not None
                say(f"{target.name}: {100 * result['metrics']['accuracy']:.2f} % in {result['seconds']:.0f} s")


def collect(folder: Path) -> dict[str, Any]:
    """What the runs in ``folder`` came to: where and when they were trained, and a row a setting that has all its seeds.

    Raises:
        TBNError: no setting has all its seeds.
    """
    rows, sources, origins = [], {}, list[Mapping[str, Any]]()
    for base in BASES:
        for setting in SETTINGS:
            places = [place(folder, base, setting, seed) for seed in SEEDS]
            if not all((one / "result.json").is_file() for one in places):
                continue
            results = [read_json(one / "result.json") for one in places]
            sources[base] = results[0]["task"]["source"]
            origins += [result["provenance"] for result in results]
            rows.append({
                "network": base, "setting": setting, "p": config_of(base, setting, 0).p, "model_args": config_of(base, setting, 0).model_args,
                "scores": [result["metrics"]["accuracy"] for result in results], "bytes": stored_bytes(config_of(base, setting, 0)),
                "macs": results[0]["size"]["macs_computed"], "seconds": round(sum(result["seconds"] for result in results) / len(results), 1),
            })  # fmt: skip
    if not rows:
        raise TBNError(f"no setting has all its seeds in {folder}", "train some: python -m tbn.ablation")
    return {**merged(origins), "seeds": list(SEEDS), "data": sources, "rows": rows}


def merged(origins: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The provenance of several runs (``tbn.provenance``) as one: what differs is told sorted, with commas between; ``date`` is the day, or
    ``2026-11-21 to 2026-11-23``."""
    days = sorted({str(origin["date"])[:10] for origin in origins})
    found: dict[str, Any] = {"date": days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"}
    for name in dict.fromkeys(name for origin in origins for name in origin if name != "date"):
        values = {origin.get(name) for origin in origins}
        known = sorted(str(value) for value in values if value is not None)
        found[name] = next(iter(values)) if len(values) == 1 else ", ".join(known)
    return found


def frame(file: Path | None = None) -> pd.DataFrame:
    """One row a network and setting, with the columns ``COLUMNS``: scores 0..1 by seed, their mean and standard deviation, and what the setting
    gains over "tiled" by mean and standard error of the seeds' differences. Empty where there is no file."""
    import numpy as np
    import pandas as pd

    file = file or path()
    if not file.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    table = pd.DataFrame(read_json(file)["rows"])
    ground = {row["network"]: np.array(row["scores"]) for row in table.to_dict("records") if row["setting"] == "tiled"}
    scores = [np.array(values) for values in table["scores"]]
    apart = [values - ground.get(base, np.nan) for values, base in zip(scores, table["network"], strict=True)]
    table["mean"] = [float(values.mean()) for values in scores]
    table["deviation"] = [float(values.std(ddof=1)) for values in scores]
    table["gain"] = [float(values.mean()) for values in apart]
    table["error"] = [float(values.std(ddof=1) / len(values) ** 0.5) for values in apart]
    return table[list(COLUMNS)]


def markdown(file: Path | None = None) -> str:
    """The table as Markdown: a row a setting, for each network accuracy, gain and bytes; below it, where the numbers come from."""
    table = frame(file)
    if table.empty:
        return "nothing trained yet: python -m tbn.ablation"
    found = {(row["network"], row["setting"]): row for row in table.to_dict("records")}
    bases = [base for base in BASES if any(key[0] == base for key in found)]
    head = ["setting", *(f"{NAMES[base]}: accuracy | gain | bytes" for base in bases)]
    lines = [f"| {' | '.join(head)} |", "|---" * (1 + 3 * len(bases)) + "|"]
    for setting in SETTINGS:
        cells = []
        for base in bases:
            row = found.get((base, setting))
            if row is None:
                cells += ["-"] * 3
                continue
            cells.append(f"{100 * row['mean']:.2f} ± {100 * row['deviation']:.2f} %")
            known = row["gain"] == row["gain"]  # not a number where "tiled" is missing
            gain = f"{100 * row['gain']:+.2f} ± {100 * row['error']:.2f}" if known else "-"
            cells += [gain, f"{row['bytes']:,}"]
        if any(cell != "-" for cell in cells):
            lines.append(f"| {setting} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_origin(read_json(file or path()))])


def _origin(results: Mapping[str, Any]) -> list[str]:
    """Machine, date and seeds, then the samples of each network, a line each."""
    seeds = ", ".join(map(str, results["seeds"]))
    first = f"Accuracy ± standard deviation, gain over tiled ± standard error; seeds {seeds}; "
    first += f"{results['cpu']}, {results['machine']}; {results['date'].partition('T')[0]}."
    return [first, *(f"{NAMES[base]}: {source}." for base, source in results["data"].items())]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tbn.ablation", description="What each training option and tile order is worth."
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=runs.runs_root() / "ablation",
        help="of the runs; finished ones are not trained again",
    )
    parser.add_argument("--only", nargs="+", choices=list(BASES), default=list(BASES), help="networks")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), help="settings")
    parser.add_argument("--out", type=Path, default=path(), help="file of the results")
    parser.add_argument("--table", action="store_true", help="print the table of the results and train nothing")
    parser.add_argument(
        "--collect", action="store_true", help="write the results of the runs that are there and train nothing"
    )
    args = parser.parse_args(argv)
    try:
        if not args.table:
            if not args.collect:
                train(args.folder, args.only, args.settings)
            write_json(args.out, collect(args.folder))
        print(markdown(args.out))
    except TBNError as error:
        print(f"{error.message}; {error.fix}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
