"""The best network under a budget: a tiling factor for each layer and the network's width.

1. One binary network is trained for a few epochs; then each of its layers in turn is tiled and trained on for a moment: how much the loss
   grows is the layer's sensitivity, measured once.
2. For each width an integer programme finds the factors that cost the least and fit (``tbn.sweep.factors``).
3. Short trainings decide between these and the same factor everywhere, in rounds; a third of them stay after each round. The last few are
   trained as long as the winner will be, with two seeds each.
4. The winner is trained in full, with as many seeds as asked for.

Only step 4 sees the test set: steps 1 and 3 judge by samples held out of the training set.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbn.runs import Run, runs_root
from tbn.sweep import factors as choosing
from tbn.sweep.factors import Table
from tbn.sweep.goal import Candidate, Found, Goal, arguments, describe, widths
from tbn.sweep.limits import Judge
from tbn.threads import threads

if TYPE_CHECKING:
    from tbn.tasks import Task

__all__ = ["Candidate", "Found", "Goal", "describe", "search"]
PROBED_P = 8  # the factor that sensitivities are measured at
PROPOSALS = 3  # of the integer programme for each width
MOST_LAST = 4  # candidates in the last round
LAST_SEEDS = 2  # of each of them
Say = Callable[[str], None]


def search(goal: Goal, root: Path | None = None, against_uniform: bool = False, say: Say = lambda _: None) -> Found:
    """Find the best network under the budget and train it.

    Args:
        goal: the task and the limits.
        root: the runs folder.
        against_uniform: train the best network with one factor everywhere as well, with the same seeds.
        say: told what is being done, a line each.

    Raises:
        TBNError: nothing fits (it says the smallest possible), or a training fails.
    """
    import pandas as pd

    from tbn.sweep.quick import held_out

    base = goal.config({})
    task = base.load_task()
    judged = held_out(task)
    tables = [choosing.table(goal.config(args), task) for args in widths(goal, task)]
    limits = goal.limits
    if not any(found.smallest <= limits.most_bytes for found in tables):
        raise choosing.contradiction(tables, limits.most_bytes)
    judge = Judge(goal)
    rooms = [(found, room) for found in tables if (room := judge.room(found, say)) is not None]
    if not rooms:
        raise judge.too_tight(tables)
    short = goal.short_epochs or max(1, (base.epochs or 5) // 5)
    sensitivity = measure(goal, judged, _middle([found for found, _ in rooms], limits.most_bytes), short, say)
    candidates = list(_candidates(judge, rooms, sensitivity))
    if not candidates:
        raise judge.too_tight(tables)
    ranked = _rounds(goal, judged, candidates, short, say)
    best, uniform = ranked[0], next((one for one in ranked if one.uniform), None)
    say(f"chosen: {describe(best)}")
    root = Path(root or runs_root())
    trained = tuple(_full(goal, best, seed, root, say) for seed in range(goal.seeds))
    others = uniform if against_uniform and uniform is not None and uniform != best else None
    compared = tuple(_full(goal, others, seed, root, say) for seed in range(goal.seeds)) if others else ()
    if against_uniform and uniform == best:
        compared = trained
    rows = [
        {"model_args": dict(one.model_args), "layers": dict(one.layers), "bytes": one.bytes, "uniform": one.uniform,
         "score": one.goodness, "trainings": len(one.scores)} for one in ranked
    ]  # fmt: skip
    table = next(found for found in tables if found.model_args == best.model_args)
    return Found(
        goal, best, uniform, pd.DataFrame(rows), sensitivity, trained, compared, judge.taken(table, best.layers)
    )


def _middle(tables: Sequence[Table], limit: int) -> Table:
    """The network whose layers are probed: the one that comes nearest to the limit at p = 4."""
    return min(tables, key=lambda found: abs(found.bytes(found.uniform(4)) - limit))


def measure(goal: Goal, task: Task, found: Table, epochs: int, say: Say) -> dict[str, float]:
    """How much the held-out loss grows when one layer is tiled: {layer: loss for each doubling of its factor}."""
    from tbn.sweep.quick import train_quickly

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "binary.safetensors"
        say(f"training a binary network ({arguments(found.model_args)}) to measure its layers")
        train_quickly(goal.config(found.model_args, epochs=2 * epochs), task, keep=weights)
        after: dict[str, Any] = {"epochs": max(1, epochs // 2), "warm_start": str(weights)}
        plain = train_quickly(goal.config(found.model_args, **after), task).loss
        told = {}
        for name, choices in found.layers.items():
            p = max(choice.p for choice in choices if choice.p <= PROBED_P)
            if p > 1:
                loss = train_quickly(goal.config(found.model_args, {name: p}, **after), task).loss
                told[name] = (loss - plain) / log2(p)
                say(f"{name} at p={p}: held-out loss {plain:.4f} -> {loss:.4f}")
    return told


def _candidates(
    judge: Judge, rooms: Sequence[tuple[Table, tuple[float, float | None]]], sensitivity: Mapping[str, float]
) -> Iterator[Candidate]:
    """What the programme proposes for each width, and the uniform factor that fits it (layers that cannot take it have the largest below it); what a
    board refuses is left out."""
    for found, room in rooms:
        seen: list[Mapping[str, int]] = []
        uniform = choosing.best_uniform(found, *room)
        proposed = choosing.propose(found, sensitivity, *room, PROPOSALS)
        for layers in [*([uniform] if uniform else []), *proposed]:
            if layers not in seen and judge.allows(found, layers):
                seen.append(layers)
                yield Candidate(found.model_args, layers, found.bytes(layers), layers == uniform)


def _rounds(goal: Goal, task: Task, candidates: Sequence[Candidate], short: int, say: Say) -> list[Candidate]:
    """All candidates, the best first: a third and at least two of each kind go on to the next round, which is three times as long."""
    from tbn.sweep.quick import train_quickly

    epochs, left, out = short, list(candidates), list[Candidate]()
    full = goal.config({}).epochs or short
    while True:
        last = epochs >= full
        judged = []
        for number, one in enumerate(left):
            seeds = range(len(one.scores), len(one.scores) + (LAST_SEEDS if last else 1))
            found = [
                train_quickly(goal.config(one.model_args, one.layers, epochs=epochs, seed=seed), task) for seed in seeds
            ]
            scores, goodness = [each.score for each in found], sum(each.goodness for each in found) / len(found)
            judged.append(replace(one, scores=(*one.scores, *scores), goodness=goodness))
            say(
                f"{number + 1} of {len(left)}, {epochs} epochs: {describe(one)}: {', '.join(f'{score:.4f}' for score in scores)} held out"
            )
        judged.sort(key=lambda one: -one.goodness)
        if last or len(judged) == 1:
            return [*judged, *out]
        keep = max(2, len(judged) // 3)
        kept = [
            *judged[:keep],
            *[one for one in judged[keep:] if one.uniform][: max(0, 2 - sum(one.uniform for one in judged[:keep]))],
        ]
        out = [*[one for one in judged if one not in kept], *out]
        left, epochs = kept, full if len(kept) <= MOST_LAST else min(full, 3 * epochs)


def _full(goal: Goal, chosen: Candidate, seed: int, root: Path, say: Say) -> Run:
    """A run folder of the chosen network, trained on everything; on one thread, so that every machine repeats it."""
    from tbn.train import fit

    say(f"training in full, seed {seed}: {describe(chosen)}")
    with threads(1):
        return fit(goal.config(chosen.model_args, chosen.layers, seed=seed), root)
