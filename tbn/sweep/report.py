"""What is known of a sweep, as frames: a row a trial, a row a point. Reading only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from tbn import pareto
from tbn.sweep import storage as storages
from tbn.sweep.definition import Sweep

if TYPE_CHECKING:
    from tbn.sweep.ledger import Attempt

AFTER = ("run", "seconds", "train_seconds", "worker", "error", "fix", "started", "ended")


@dataclass(frozen=True)
class Report:
    """A sweep that was run.

    Attributes:
        trials: as ``status`` gives them.
        seconds: that ``run`` took.
    """

    sweep: Sweep
    trials: pd.DataFrame
    seconds: float

    @property
    def name(self) -> str:
        return self.sweep.name

    @property
    def storage(self) -> str:
        """Its URL, without the password."""
        return storages.shown(self.sweep.storage)

    @property
    def finished(self) -> int:
        """Trials with a result, those that were stopped early included."""
        return int(self.trials["state"].isin(["complete", "pruned"]).sum())

    @property
    def failed(self) -> int:
        return int((self.trials["state"] == "failed").sum())

    @property
    def retried(self) -> int:
        """Trials whose worker died at least once."""
        return int((self.trials["crashes"] > 0).sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: the counts, ``trials`` and ``points``."""
        import json

        return {
            "sweep": self.name, "storage": self.storage, "finished": self.finished, "failed": self.failed, "retried": self.retried,
            "seconds": round(self.seconds, 3), "directions": self.sweep.directions,
            "trials": json.loads(self.trials.to_json(orient="records")),
            "points": json.loads(aggregate(self.trials).to_json(orient="records")),
        }  # fmt: skip


def status(storage: str, name: str) -> pd.DataFrame:
    """One row a trial, in the order in which they were first queued.

    Columns: trial, point, seed, state ("waiting", "running", "complete", "pruned", "failed"), attempts, crashes, the objectives, the
    names of the space, run (folder name below the runs folder), seconds, train_seconds, worker, error and fix ("" where there are none),
    started, ended (Unix seconds).
    ``attrs``: "sweep" (a ``Sweep``) and "directions".

    Raises:
        TBNError: no such storage, or no sweep of that name in it.
    """
    import optuna

    from tbn.sweep import book

    opened = optuna.storages.get_storage(storages.open_storage(storage, create=False))
    sweep = book.definition(opened, name, storage)
    found = opened.get_all_trials(opened.get_study_id_from_name(name), deepcopy=False)
    return frame(sweep, (attempt for trial in found if (attempt := book.attempt(trial)) is not None))


def sweeps(storage: str = "") -> list[str]:
    """The names of the sweeps in a storage, oldest first; none where there is no storage yet."""
    from pathlib import Path

    url = storages.normalised(storage)
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).is_file():
        return []
    opened = storages.open_storage(url, create=False)
    return [study.study_name for study in opened.get_all_studies() if "sweep" in study.user_attrs]


def frame(sweep: Sweep, attempts: Iterable[Attempt]) -> pd.DataFrame:
    """``status`` from attempts."""
    from tbn.sweep import ledger

    names, rows = list(sweep.directions), []
    for tried in ledger.by_trial(attempts).values():
        told, plan = ledger.speaker(tried), tried[0].planned
        row: dict[str, Any] = {"trial": tried[0].number, "point": plan.point, "seed": plan.seed, "state": told.state}
        row |= {"attempts": len(tried), "crashes": len(ledger.crashes(tried))}
        row |= dict(zip(names, told.values or [None] * len(names), strict=True)) | plan.params
        row |= {"run": sweep.folder(plan) if told.state != ledger.WAITING else None, "worker": told.worker or None}
        row |= {name: told.said.get(name) or None for name in ("seconds", "train_seconds")}
        row |= {name: told.said.get(name, "") for name in ("error", "fix")}
        rows.append(row | {"started": told.started, "ended": told.ended})
    columns = ["trial", "point", "seed", "state", "attempts", "crashes", *names, *sweep.space, *AFTER]
    found = (
        pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(names, float)).sort_values("trial", ignore_index=True)
    )
    found.attrs = {"sweep": sweep, "directions": sweep.directions}
    return found


def aggregate(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a point that has results: the names of the space, each objective's mean and ``<objective>_std`` (0 from one seed), ``seeds``
    (how many results), and ``on_front``: nobody beats its means in all of the first two objectives (in the one objective there is).
    """
    sweep: Sweep = trials.attrs["sweep"]
    names = list(sweep.directions)
    done = trials[trials["state"] == "complete"]
    rows = []
    for point, group in done.groupby("point", sort=True):
        row: dict[str, Any] = {"point": point, **{name: group[name].iloc[0] for name in sweep.space}}
        for name in names:
            row |= {name: group[name].mean(), f"{name}_std": group[name].std(ddof=1) if len(group) > 1 else 0.0}
        rows.append(row | {"seeds": len(group)})
    columns = ["point", *sweep.space, *(part for name in names for part in (name, f"{name}_std")), "seeds"]
    found = pd.DataFrame(rows, columns=columns)
    found["on_front"] = on_front(found, sweep.directions)
    found.attrs = dict(trials.attrs)
    return found


def on_front(points: pd.DataFrame, directions: dict[str, str]) -> pd.Series[bool]:
    """The points that no other is at least as good as in every objective and better in one."""
    return pareto.undominated(points, {name: way == "maximize" for name, way in directions.items()})
