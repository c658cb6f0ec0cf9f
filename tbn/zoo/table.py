"""The zoo as Markdown tables, as README shows them. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tbn.scores import HEADLINE, METRICS, Metric
from tbn.tasks import kind_of
from tbn.zoo import results
from tbn.zoo.families import FAMILIES, Family, version_of

Found = Mapping[tuple[str, str], Mapping[str, Any]]  # results.by_version
FACTORS = (0, 1, 2, 4, 8, 16, 32)
SHOWN = (0, 1, 4, 8)
SPREAD = "mean ± standard deviation"


def table() -> str:
    """Two Markdown tables: the fronts of tiled and narrow networks, then every family of what comes along."""
    found = results.by_version(results.entries())
    return f"{_fronts(found)}\n\n{_families(found)}"


def _fronts(found: Found) -> str:
    """Two rows a family with narrow rivals: score and bytes of weights over all factors, and of the binary network of at most these bytes."""
    columns = [f"task, model ({SPREAD}; bytes of weights)", *(_heading(p) for p in FACTORS)]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for family in (family for family in FAMILIES if family.narrow):
        metric = METRICS[HEADLINE[kind_of(family.task)]]
        tiled = [_sized(found, family, version_of(p), metric) for p in FACTORS]
        narrow = [_sized(found, family, f"narrow{p}", metric) for p in FACTORS[2:]]
        title = f"{family.title}: {metric.label} {_arrow(metric)}, {len(family.seeds)} seeds"
        lines.append(f"| {title} | {' | '.join(tiled)} |")
        lines.append(f"| narrower, p = 1 | | | {' | '.join(narrow)} |")
    return "\n".join(lines)


def _families(found: Found) -> str:
    """A row a family of what comes along, beside the best trivial baseline; ``-`` where nothing was trained."""
    columns = (
        f"task, model ({SPREAD})",
        "seeds",
        "metric",
        "trivial baseline",
        *(_heading(p) for p in SHOWN),
        "bytes of weights, fp32 → p = 4",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for family in (family for family in FAMILIES if not family.full):
        metric = METRICS[HEADLINE[kind_of(family.task)]]
        scores = [_score(found, family, version_of(p), metric) for p in SHOWN]
        seeds = f"{len(family.seeds)} folds" if family.folds else str(len(family.seeds))
        cells = [family.title, seeds, f"{metric.label} {_arrow(metric)}", _baseline(found, family, metric), *scores]
        lines.append(f"| {' | '.join([*cells, _bytes(found, family)])} |")
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
    row = next((row for row in found.values() if row["task"] == family.task and not row["full"]), None)
    return "-" if row is None else f"{_number(row['baseline'], metric)}{' %' * metric.percent}, {row['baseline_name']}"


def _bytes(found: Found, family: Family) -> str:
    """Bytes of the weights of all layers."""
    dense, tiled = (found.get((family.title, version)) for version in ("fp32", "p4"))
    return f"{dense['weight_bytes']:,} → {tiled['weight_bytes']:,}" if dense and tiled else "-"
