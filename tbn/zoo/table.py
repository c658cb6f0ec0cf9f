"""The zoo as Markdown tables, as README shows them. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tbn.runs import Run, frame
from tbn.scores import HEADLINE, METRICS, Metric
from tbn.tasks import kind_of
from tbn.zoo.families import FAMILIES, Family

if TYPE_CHECKING:
    import pandas as pd


def table() -> str:
    """Two Markdown tables: MLP and CNN over all factors, then every family; means over the seeds."""
    zoo = frame().query("source == 'zoo' and state == 'complete'")
    return f"{_factors(zoo)}\n\n{_families(zoo)}"


def _factors(zoo: pd.DataFrame) -> str:
    """Fashion-MNIST's MLP and CNN, a row a factor: mean accuracy, and bytes of weights."""
    lines = [
        "| | " + " | ".join(f"{model}: accuracy | bytes of weights" for model in ("MLP", "CNN")) + " |",
        "|---|---|---|---|---|",
    ]
    for p in (0, 1, 2, 4, 8, 16):
        cells = []
        for model in ("mlp", "cnn"):
            rows = _rows(zoo, "fashion_mnist", model, p)
            cells += (
                [f"{100 * rows['score'].mean():.1f} %", f"{rows['weight_bytes'].iloc[0]:,}"]
                if len(rows)
                else ["-", "-"]
            )
        name = {0: "full precision", 1: "binary (p = 1)"}.get(p, f"tiled, p = {p}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _families(zoo: pd.DataFrame) -> str:
    """A row a family: mean score and half the seeds' range for each factor, beside the best trivial baseline; ``-`` where nothing was trained."""
    columns = (
        "task, model (mean ± half the range of two seeds)",
        "metric",
        "trivial baseline",
        "fp32",
        "p = 1",
        "p = 4",
        "p = 8",
    )
    lines = [f"| {' | '.join(columns)} | bytes of weights, fp32 → p = 4 |", "|---" * (len(columns) + 1) + "|"]
    for family in FAMILIES:
        metric = METRICS[HEADLINE[kind_of(family.task)]]
        label = f"{metric.label} {'↑' if metric.higher_is_better else '↓'}"
        scores = [_score(_rows(zoo, family.task, family.model, p)["score"], metric) for p in (0, 1, 4, 8)]
        cells = [f"{family.task}, {family.model}", label, _baseline(zoo, family, metric), *scores, _bytes(zoo, family)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rows(zoo: pd.DataFrame, task: str, model: str, p: int) -> pd.DataFrame:
    return zoo[(zoo["task"] == task) & (zoo["model"] == model) & (zoo["p"] == p)]


def _number(value: float, metric: Metric) -> str:
    return f"{100 * value:.1f}" if metric.percent else f"{value:.3f}"


def _score(scores: pd.Series[float], metric: Metric) -> str:
    if not len(scores):
        return "-"
    half = (scores.max() - scores.min()) / 2
    return f"{_number(scores.mean(), metric)} ± {_number(half, metric)}{' %' * metric.percent}"


def _baseline(zoo: pd.DataFrame, family: Family, metric: Metric) -> str:
    """The best of the task's trivial baselines: they are the task's, whichever model was trained on it."""
    found: dict[str, float] = {}
    for path in zoo[zoo["task"] == family.task]["path"]:
        baselines = (Run(Path(path)).result or {}).get("baselines", {})
        found |= {name: scores[metric.name] for name, scores in baselines.items()}
    if not found:
        return "-"
    best = (max if metric.higher_is_better else min)(found, key=lambda name: found[name])
    return f"{_number(found[best], metric)}{' %' * metric.percent}, {best}"


def _bytes(zoo: pd.DataFrame, family: Family) -> str:
    """Bytes of the weights of all layers."""
    dense, tiled = (_rows(zoo, family.task, family.model, p)["weight_bytes"] for p in (0, 4))
    return f"{int(dense.iloc[0]):,} → {int(tiled.iloc[0]):,}" if len(dense) and len(tiled) else "-"
