"""What the zoo's entries scored: a row an entry, a row a version with the deviation over its seeds, and tiled networks beside their rivals.

The rival of a tiled network is the narrower binary network (p = 1) of its bytes. Two versions differ where their means are farther apart than
the spread of a difference of two runs: the root of the sum of both variances, or, where the seeds are folds of the data, the deviation of the
differences fold by fold. Needs no torch.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbn import runs
from tbn.scores import HEADLINE, METRICS
from tbn.tasks import kind_of
from tbn.zoo.families import FAMILIES, Family

if TYPE_CHECKING:
    import pandas as pd

SIZES = ("weight_bytes", "total_bytes", "bits_per_weight", "macs_computed", "macs_dense")
COLUMNS = (
    "run", "family", "task", "model", "full", "folds", "version", "p", "rival_of", "seed", "metric", "score", "baseline", "baseline_name",
    *SIZES, "seconds", "data", "machine", "date",
)  # fmt: skip


def entries(folder: Path | None = None) -> pd.DataFrame:
    """One row an entry that is in ``folder`` (the package's zoo by default), families in their order; columns ``COLUMNS``.

    ``p`` is 0 for full precision; ``rival_of`` is the p whose bytes a narrow network takes, 0 for others; ``score`` is in the metric's own
    unit; ``baseline`` is the score of the best trivial method on the same test set.
    """
    import pandas as pd

    folder = folder or runs.zoo_root()
    rows = []
    for family in FAMILIES:
        for name, version, seed in family.entries():
            if (result := runs.Run(folder / name).result) is not None:
                rows.append(_row(family, name, version, seed, result))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(family: Family, name: str, version: str, seed: int, result: dict[str, Any]) -> dict[str, Any]:
    metric = METRICS[HEADLINE[kind_of(family.task)]]
    trivial = {title: scores[metric.name] for title, scores in result["baselines"].items()}
    best = (max if metric.higher_is_better else min)(trivial, key=lambda title: trivial[title], default=None)
    narrow = version.removeprefix("narrow")
    return {
        "run": name,
        "family": family.title,
        "task": family.task,
        "model": family.model,
        "full": family.full,
        "folds": family.folds,
        "version": version,
        "p": family.versions()[version]["p"],
        "rival_of": int(narrow) if narrow != version else 0,
        "seed": seed,
        "metric": metric.name,
        "score": result["metrics"][metric.name],
        "baseline": trivial.get(best, math.nan),
        "baseline_name": best or "",
        **{size: result["size"].get(size) for size in SIZES},
        "seconds": result["seconds"],
        "data": result["task"]["source"],
        "machine": result["provenance"]["cpu"],
        "date": result["provenance"]["date"],
    }


def versions(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a family and version: ``score`` is the mean over its seeds, ``deviation`` their sample deviation (NaN for one), ``seeds`` how many."""
    groups = rows.groupby(["family", "version"], sort=False)
    table = groups.first().reset_index()
    for column in ("score", "baseline", "seconds"):
        table[column] = groups[column].mean().to_numpy()
    table["deviation"] = groups["score"].std().to_numpy()
    table["seeds"] = groups.size().to_numpy()
    return table.drop(columns=["run", "seed"])


def by_version(rows: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of ``versions`` by family and version."""
    records = versions(rows).to_dict("records")
    return {
        (str(row["family"]), str(row["version"])): {str(name): value for name, value in row.items()} for row in records
    }


def rivals(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a tiled version and its narrow rival, both with two seeds or more.

    Columns: family, metric, p; ``tiled`` and ``narrow`` mean scores with ``tiled_deviation`` and ``narrow_deviation``, ``seeds`` (of the fewer);
    ``difference`` is positive where the tiled network is better, ``spread`` as this module says, ``verdict`` "tiled", "narrow" or "neither";
    bytes, total bytes and computed MACs of both.
    """
    import pandas as pd

    found = []
    for _, group in rows.groupby("family", sort=False):
        for p in sorted(group["rival_of"].unique()):
            tiled, narrow = group[group["version"] == f"p{p}"], group[group["rival_of"] == p]
            if p and min(len(tiled), len(narrow)) > 1:
                found.append(_pair(int(p), tiled, narrow))
    names = [
        "family",
        "metric",
        "p",
        "tiled",
        "narrow",
        "tiled_deviation",
        "narrow_deviation",
        "seeds",
        "difference",
        "spread",
        "verdict",
    ]
    sizes = [f"{side}_{size}" for size in SIZES for side in ("tiled", "narrow")]
    return pd.DataFrame(found, columns=[*names, *sizes])


def _pair(p: int, tiled: pd.DataFrame, narrow: pd.DataFrame) -> dict[str, Any]:
    metric = METRICS[str(tiled["metric"].iloc[0])]
    sign = 1 if metric.higher_is_better else -1
    mine, theirs = (side.set_index("seed")["score"] for side in (tiled, narrow))
    if tiled["folds"].iloc[0]:
        apart = (mine - theirs).dropna()
        difference, spread = apart.mean(), apart.std()
    else:
        difference, spread = mine.mean() - theirs.mean(), math.hypot(mine.std(), theirs.std())
    better = "neither" if abs(difference) <= spread else "tiled" if sign * difference > 0 else "narrow"
    sizes = {
        f"{name}_{size}": side[size].iloc[0] for size in SIZES for name, side in (("tiled", tiled), ("narrow", narrow))
    }
    return {
        "family": tiled["family"].iloc[0],
        "metric": metric.name,
        "p": p,
        "tiled": mine.mean(),
        "narrow": theirs.mean(),
        "tiled_deviation": mine.std(),
        "narrow_deviation": theirs.std(),
        "seeds": min(len(mine), len(theirs)),
        "difference": sign * difference,
        "spread": spread,
        "verdict": better,
        **sizes,
    }
