"""The zoo as a Markdown table, as README shows it. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tbn.scores import HEADLINE, METRICS, Metric
from tbn.tasks import kind_of
from tbn.zoo import results
from tbn.zoo.families import FAMILIES, Family, version_of

Found = Mapping[tuple[str, str], Mapping[str, Any]]  # results.by_version
FACTORS = (0, 1, 2, 4, 8, 16, 32)
SPREAD = "mean ± standard deviation"


def table() -> str:
    """A row a family: score and bytes of weights over all factors, ``-`` where nothing was trained; below it the binary networks of these bytes."""
    found = results.by_version(results.entries())
    columns = [f"task, model ({SPREAD}; bytes of weights)", "trivial baseline", *(_heading(p) for p in FACTORS)]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for family in FAMILIES:
        metric = METRICS[HEADLINE[kind_of(family.task)]]
        seeds = f"{len(family.seeds)} {'folds' if family.folds else 'seeds'}"
        title = f"{family.title}: {metric.label} {_arrow(metric)}, {seeds}"
        tiled = [_sized(found, family, version_of(p), metric) for p in FACTORS]
        lines.append(f"| {' | '.join([title, _baseline(found, family, metric), *tiled])} |")
        if family.narrow:
            narrow = [_sized(found, family, f"narrow{p}", metric) for p in FACTORS[2:]]
            lines.append(f"| narrower, p = 1 | | | | {' | '.join(narrow)} |")
    return "\n".join(lines)


def _heading(p: int) -> str:
    return "fp32" if p == 0 else f"p = {p}"


def _arrow(metric: Metric) -> str:
    return "↑" if metric.higher_is_better else "↓"


def _number(value: float, metric: Metric) -> str:
    return f"{100 * value:.1f}" if metric.percent else f"{value:.3f}"


def _score(found: Found, family: Family, version: str, metric: Metric) -> str:
    """``84.3 ± 0.1 %``; of one seed without a deviation."""
    row = found.get((family.title, version))
    if row is None:
        return "-"
    deviation = f" ± {_number(row['deviation'], metric)}" if row["seeds"] > 1 else ""
    return f"{_number(row['score'], metric)}{deviation}{' %' * metric.percent}"


def _sized(found: Found, family: Family, version: str, metric: Metric) -> str:
    """Score and bytes of weights."""
    row = found.get((family.title, version))
    return "-" if row is None else f"{_score(found, family, version, metric)}; {row['weight_bytes']:,}"


def _baseline(found: Found, family: Family, metric: Metric) -> str:
    """The best of the task's trivial baselines: they are the task's, whichever model was trained on it."""
    row = next((row for row in found.values() if (row["task"], row["full"]) == (family.task, family.full)), None)
    return "-" if row is None else f"{_number(row['baseline'], metric)}{' %' * metric.percent}, {row['baseline_name']}"
