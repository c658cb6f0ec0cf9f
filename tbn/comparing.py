"""Two to four runs beside each other: what they were trained with, where their answers part. Values in, values out; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError

if TYPE_CHECKING:
    import pandas as pd

    from tbn.predictions import Predictions

ORDERS = ("test set", "they differ", "hardest")
LETTERS = "ABCD"
MADE_BY = ("machine", "cpu", "python", "torch", "tbn", "commit")


def differences(configs: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]] = ()) -> pd.DataFrame:
    """The settings of runs, one a row, with what differs first.

    Args:
        configs: each run's ``config.json``; a setting in another (``model_args``) is a row of its own, e.g. "model_args.width".
        results: each run's ``result.json``, for the data and what made it; their rows come last.

    Returns:
        columns "setting", one a run ("A", "B", ...) as text, and "equal".
    """
    import pandas as pd

    tables = [flat(config) for config in configs]
    made = []
    for result in results:
        facts = {name: value for name, value in result["provenance"].items() if name in MADE_BY}
        made.append({"data set": result["task"]["source"], **facts})
    rows = []
    for part in (tables, made):
        names = list(dict.fromkeys(name for table in part for name in table))
        found = [(name, *(text_of(table.get(name)) for table in part)) for name in names]
        rows += sorted(((*row, len(set(row[1:])) == 1) for row in found), key=lambda row: row[-1])
    return pd.DataFrame(rows, columns=["setting", *LETTERS[: len(configs)], "equal"])


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration without nesting: {"model_args": {"width": 16}} as {"model_args.width": 16}; an empty part stays out."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value not in ((), []):
            found[prefix + name] = value
    return found


def text_of(value: Any) -> str:
    """A setting as people read it; "-" where a run has none."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def aligned(found: Sequence[Predictions]) -> list[Predictions]:
    """The same networks on the test samples that all of them have.

    Raises:
        TBNError: runs of different tasks or data, or no sample in common.
    """
    first = found[0]
    other = next((one for one in found if (one.task, one.source) != (first.task, first.source)), None)
    if other is not None:
        raise TBNError(
            f"{first.run!r} and {other.run!r} were tested on different data ({first.source}; {other.source})", "compare runs of one data set"
        )  # fmt: skip
    common = first.indices
    for one in found[1:]:
        common = np.intersect1d(common, one.indices)
    if not len(common):
        raise TBNError("these runs have no test sample in common", "compare runs of one data set")
    return [
        one if np.array_equal(one.indices, common) else _part(one, np.searchsorted(one.indices, common))
        for one in found
    ]


def _part(one: Predictions, places: NDArray[np.int64]) -> Predictions:
    return replace(
        one,
        inputs=one.inputs[places],
        targets=one.targets[places],
        outputs=one.outputs[places],
        indices=one.indices[places],
    )


def parting(found: Sequence[Predictions]) -> NDArray[np.float64]:
    """(n,) how far the answers to each sample part: share of labels that are not the same for all, or variance between forecasts."""
    answers = np.stack([one.answers for one in found])
    rest = tuple(range(1, answers.ndim - 1))
    apart: NDArray[np.float64]
    if found[0].kind == "forecasting":
        apart = answers.astype(np.float64).var(0).mean(rest)
    else:
        apart = (answers != answers[0]).any(0).astype(np.float64).mean(rest)
    return apart


def order(found: Sequence[Predictions], by: str) -> NDArray[np.int64]:
    """Places of the samples in one of ``ORDERS``: as in the test set; those with different answers, most different first; hardest first.

    Raises:
        TBNError: no such order.
    """
    if by not in ORDERS:
        raise TBNError(f"there is no order {by!r}", f"choose one of {', '.join(ORDERS)}")
    if by == "test set":
        return np.arange(len(found[0]))
    if by == "they differ":
        apart = parting(found)
        places = np.argsort(-apart, kind="stable")
        return places[apart[places] > 0]
    merit = np.mean([np.nan_to_num(one.per_sample) for one in found], 0)
    return np.argsort(-merit if found[0].kind == "forecasting" else merit, kind="stable")


def agreement(found: Sequence[Predictions]) -> pd.DataFrame:
    """How two networks part on every pair: share of equal labels, and of labels that only the first or only the second has right.

    Returns:
        columns pair ("A, B"), same, only_first, only_second, labels (how many count); empty for forecasts.
    """
    import pandas as pd

    rows = []
    if found[0].kind != "forecasting":
        counted = found[0].targets < len(found[0].classes)
        truth = found[0].targets[counted]
        named = zip(LETTERS, (one.answers[counted] for one in found), strict=False)
        for (first, a), (second, b) in combinations(named, 2):
            only_a, only_b = (a == truth) & (b != truth), (b == truth) & (a != truth)
            rows.append((f"{first}, {second}", (a == b).mean(), only_a.mean(), only_b.mean(), int(counted.sum())))
    return pd.DataFrame(rows, columns=["pair", "same", "only_first", "only_second", "labels"])
