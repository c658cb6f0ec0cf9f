"""What the zoo's results say: ``python -m tbn.findings`` prints it as Markdown and draws its figures.

Each answer is worked out from the entries that are there, so that it changes with them; ``tbn.zoo.results`` says when two networks differ.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn import analysis_charts as charts
from tbn import svg
from tbn.charts import alt_text, label_of
from tbn.errors import TBNError
from tbn.pareto import front, hypervolume, knee
from tbn.scores import METRICS
from tbn.zoo import results

ALPHAS = {
    "p4": "an alpha a tile, a source of their own (default)",
    "p4-one_alpha": "one alpha a layer, a source of its own",
    "p4-latent": "an alpha a tile, of the latent weights",
    "p4-latent-one_alpha": "one alpha a layer, of the latent weights",
}
LAMBDAS = {
    "p4": "λ = 1,000 (all layers but the last)",
    "p4-lambda2000": "λ = 2,000 (without the embedding)",
    "p4-lambda4000": "λ = 4,000 (only layers that mix channels)",
    "binary": "no layer",
}
WITHOUT_FIGURE = ("alphas", "lambda")  # in README


@dataclass(frozen=True)
class Finding:
    """A question, its answer in a few sentences, and the figure that shows it; ``key`` names the figure's file."""

    key: str
    question: str
    answer: str
    figure: go.Figure


def findings(rows: pd.DataFrame | None = None) -> tuple[Finding, ...]:
    """The answers that the entries give; a question whose entries are missing is left out.

    Args:
        rows: of ``tbn.zoo.results.entries``, by default the package's zoo.
    """
    rows = results.entries() if rows is None else rows
    versions, pairs = results.versions(rows), results.rivals(rows)
    found = []
    if len(pairs):
        found.append(_equal_bytes(pairs))
    if charts.with_fronts(versions):
        found.append(_fronts(versions))
    if len(charts.kept_gain(versions)):
        found.append(_scaling(versions))
    choices = (
        _choice(versions, "alphas", "What do the alphas do", ALPHAS),
        _choice(versions, "lambda", "Which layers should be tiled", LAMBDAS),
    )
    return (*found, *(choice for choice in choices if choice is not None))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _equal_bytes(pairs: pd.DataFrame) -> Finding:
    """Wide and tiled against narrow and binary, at equal bytes and so at about equal work."""
    counts = {verdict: int((pairs["verdict"] == verdict).sum()) for verdict in ("tiled", "narrow", "neither")}
    beyond = [
        f"The {side} network is better: {_listed_pairs(pairs[pairs['verdict'] == side])}."
        for side in ("tiled", "narrow")
        if counts[side]
    ]
    shares = pairs[[METRICS[metric].percent for metric in pairs["metric"]]]
    mean = (
        f" On average over the {len(shares)} pairs measured in percent: {100 * shares['difference'].mean():+.2f} points."
        * bool(len(shares))
    )
    ratio = pairs["tiled_macs_computed"] / pairs["narrow_macs_computed"]
    whole = pairs["narrow_total_bytes"] / pairs["tiled_total_bytes"]
    if 2 * max(counts["tiled"], counts["narrow"]) > len(pairs):
        short = "Yes, mostly." if counts["tiled"] > counts["narrow"] else "No, mostly not."
    else:
        short = "Sometimes." if counts["tiled"] else "Not here."
    answer = (
        f"{short} Of {_count(len(pairs), 'pair')} of equal bytes of weights the tiled network is better by more than the seeds' spread in "
        f"{counts['tiled']}, the narrow one in {counts['narrow']}, and {counts['neither']} lie within it. "
        f"{' '.join([*beyond, ''])}Tiled minus narrow, in points of a score or percent of an error.{mean} "
        f"As each distinct row is computed once, the tiled network does "
        f"{ratio.min():.2f} to {ratio.max():.2f} times the multiply-adds of its rival (median {ratio.median():.2f}). "
        f"With norms and biases the narrow network takes "
        f"{whole.min():.2f} to {whole.max():.2f} of the tiled one's bytes."
    )
    return Finding(
        "equal_bytes",
        "Is a wide tiled network better than a narrow binary one at equal bytes, and at equal MACs?",
        answer,
        charts.equal_bytes(pairs),
    )


def _listed_pairs(pairs: pd.DataFrame) -> str:
    """``family p = 8 +0.54, p = 16 +1.12; ...``"""
    return "; ".join(
        f"{family} " + ", ".join(f"p = {row['p']} {_difference(row)}" for row in part.to_dict("records"))
        for family, part in pairs.groupby("family", sort=False)
    )


def _difference(row: Mapping[Any, Any]) -> str:
    """``+0.31`` points, or for an error ``-1.2 %`` where the tiled network's is larger."""
    metric, apart = METRICS[row["metric"]], row["difference"]
    return f"{100 * apart:+.2f}" if metric.percent else f"{100 * apart / row['narrow']:+.1f} %"


def _fronts(versions: pd.DataFrame) -> Finding:
    """Both fronts of each family: who is on the common one, how much each covers, where the tiled one bends."""
    told, bends = [], dict[str, list[str]]()
    for family in charts.with_fronts(versions):
        part = versions[(versions["family"] == family) & (versions["p"] > 0)]
        metric, binary = METRICS[str(part["metric"].iloc[0])], part["version"] == "binary"
        shared = [f"p{p}" for p in part["rival_of"] if p]  # the factors that have a rival
        tiled, narrow = part[binary | part["version"].isin(shared)], part[binary | (part["rival_of"] > 0)]
        both = part[part.index.isin([*tiled.index, *narrow.index])]
        best = both[front(both, "weight_bytes", "score", metric.higher_is_better)]
        lowest = both["score"].min() if metric.higher_is_better else both["score"].max()
        worst = 1.01 * float(part[binary]["weight_bytes"].iloc[0]), float(lowest)
        areas = [
            hypervolume(side, "weight_bytes", "score", *worst, metric.higher_is_better, log_x=True)
            for side in (tiled, narrow)
        ]
        bend = knee(tiled.set_index("p"), "weight_bytes", "score", metric.higher_is_better, log_x=True)
        if bend is not None:
            bends.setdefault(label_of(float(str(bend))), []).append(family)
        told.append(f"{family} {(best['p'] > 1).sum()} of {len(best)} and {areas[0] / areas[1]:.2f}")
    where = "; ".join(
        f"{place} ({', '.join(families)})" if len(bends) > 1 else place for place, families in bends.items()
    )
    answer = (
        f"So many of the points on the common Pareto front of bytes and mean score are tiled, and this is the hypervolume of the tiled front "
        f"over that of the narrow one (in doublings of bytes below p = 1 times score above the worst of them): {'; '.join(told)}."
        + f" The tiled fronts bend at {where}."
        * bool(bends)
    )
    return Finding("fronts", "Which networks make the front?", answer, charts.fronts(versions))


def _scaling(versions: pd.DataFrame) -> Finding:
    """What fewer bits cost, over all models."""
    kept = charts.kept_gain(versions)
    middle = charts.median_gain(kept).reset_index().to_dict("records")
    counts, families = kept.groupby("p").size(), kept["family"].nunique()
    told = ", ".join(
        f"{label_of(row['p'])} {100 * row['kept']:.0f} %{_of(int(counts[row['p']]), families)}" for row in middle
    )
    four = kept[kept["p"] == 4].set_index("family")["kept"]
    answer = (
        f"Of what full precision gains over the best trivial method, this much is left at the same width, median over "
        f"{families} families: {told}."
        + (
            f" At p = 4 {four.idxmax()} keeps most ({100 * four.max():.0f} %), {four.idxmin()} least ({100 * four.min():.0f} %)."
            if len(four)
            else ""
        )
    )
    return Finding("scaling", "What does each halving of the bits cost?", answer, charts.scaling(versions))


def _of(count: int, families: int) -> str:
    return f" ({count} of them)" if count < families else ""


def _choice(versions: pd.DataFrame, key: str, question: str, labels: dict[str, str]) -> Finding | None:
    """One of the paper's ablations: versions of one family that differ in one choice."""
    part = _variants(versions, labels)
    if part is None:
        return None
    return Finding(
        key,
        f"{question} ({part['family'].iloc[0]}, p = 4)?",
        f"{_listed(part)}. {_apart(part)}",
        charts.ablation(part),
    )


def _variants(versions: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame | None:
    """The rows of the first family that has all these versions, in their order, with labels."""
    for _, group in versions.groupby("family", sort=False):
        part = group.set_index("version").reindex(list(labels))
        if part["score"].notna().all():
            return part.assign(label=list(labels.values())).reset_index()
    return None


def _listed(part: pd.DataFrame) -> str:
    metric = METRICS[str(part["metric"].iloc[0])]
    told = []
    for row in part.to_dict("records"):
        number = (
            f"{100 * row['score']:.2f} ± {100 * row['deviation']:.2f} %"
            if metric.percent
            else f"{row['score']:.4f} ± {row['deviation']:.4f}"
        )
        told.append(f"{row['label']} {number} in {row['weight_bytes']:,} bytes")
    return "; ".join(told)


def _apart(part: pd.DataFrame) -> str:
    """Whether the first of the variants differs from the others by more than the spread."""
    first = part.iloc[0]
    beyond = [
        row["label"]
        for row in part.iloc[1:].to_dict("records")
        if abs(row["score"] - first["score"]) > (row["deviation"] ** 2 + first["deviation"] ** 2) ** 0.5
    ]
    return f"Beyond the spread from the default: {', '.join(beyond)}." if beyond else "No difference beyond the spread."


def made(rows: pd.DataFrame) -> str:
    """Where, when and how often the numbers were made that the answers are worked out from."""
    days, seeds = sorted({str(date)[:10] for date in rows["date"]}), sorted(results.versions(rows)["seeds"].unique())
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"Worked out from {_count(len(rows), 'run')} of the zoo, trained on {', '.join(sorted(rows['machine'].unique()))}, {when}; "
        f"a score is the mean over {' or '.join(map(str, seeds))} seeds."
    )


def _shown(found: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.key not in WITHOUT_FIGURE]


def markdown(found: Sequence[Finding], pictures: str = "pages/pictures") -> str:
    """The questions and answers as a list, then the figures."""
    lines = [f"- **{finding.question}** {finding.answer}" for finding in found]
    drawn = [f"![{alt_text(finding.figure).split('. ')[0]}]({pictures}/{finding.key}.svg)" for finding in _shown(found)]
    return "\n\n".join(["\n".join(lines), *drawn])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tbn.findings", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--pictures", type=Path, help="folder to draw the figures in (needs Chromium)")
    given = parser.parse_args()
    rows = results.entries()
    found = findings(rows)
    if given.pictures is not None:
        try:
            svg.save({finding.key: finding.figure for finding in _shown(found)}, given.pictures)
        except TBNError as error:
            sys.exit(str(error))
    print(f"{markdown(found)}\n\n{made(rows)}")


if __name__ == "__main__":
    main()
