"""Optuna as the chooser: a sweep's space in its words, the next point of a search, and when to stop a trial."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from tbn.sweep import space as spaces
from tbn.sweep.definition import Sweep
from tbn.sweep.space import Point, Range

TRIES = 30  # that the sampler may propose points which were tried before; then the space counts as exhausted
BLIND_TRIES = 3  # after so many, points are drawn at random
STARTUP = 8  # points before the sampler looks at results; trials before one may be stopped
LISTED = "json:"  # before a value that Optuna cannot hold as it is


def distributions(sweep: Sweep) -> dict[str, BaseDistribution]:
    """The space in Optuna's words."""
    found: dict[str, BaseDistribution] = {}
    for name, values in sweep.space.items():
        if not isinstance(values, Range):
            found[name] = CategoricalDistribution([_choice(value) for value in values])
        elif values.whole:
            found[name] = IntDistribution(int(values.low), int(values.high), log=values.log)
        else:
            found[name] = FloatDistribution(values.low, values.high, log=values.log)
    return found


def encoded(sweep: Sweep, params: Point) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """A point as Optuna holds it."""
    return {name: _choice(value) for name, value in params.items()}, distributions(sweep)


def decoded(sweep: Sweep, params: Mapping[str, Any]) -> Point:
    """A point as the sweep holds it, names in the order of the space."""
    found = plain(params, distributions(sweep))
    return {name: found[name] for name in sweep.space}


def plain(params: Mapping[str, Any], kinds: Mapping[str, BaseDistribution]) -> Point:
    """Optuna's values as ours: numbers of a range to six digits, lists as lists."""
    found: Point = {}
    for name, value in params.items():
        if isinstance(value, str) and value.startswith(LISTED):
            value = json.loads(value.removeprefix(LISTED))
        elif isinstance(kinds[name], FloatDistribution):
            value = float(f"{value:.6g}")
        found[name] = value
    return found


def study_of(sweep: Sweep, storage: Any, seed: int, blind: bool = False) -> optuna.Study:
    """The sweep's study with a sampler of this seed: TPE, or a blind one.

    A fresh sampler for each point, seeded by how many there were: a search that is killed and resumed goes on as it would have.
    """
    mixed = (sweep.sampler_seed * 1_000_003 + seed) % 2**32
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=mixed)
    if not blind:
        sampler = optuna.samplers.TPESampler(seed=mixed, n_startup_trials=min(STARTUP, max(2, sweep.point_limit // 3)))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP // 2, n_warmup_steps=1)
    return optuna.load_study(study_name=sweep.name, storage=storage, sampler=sampler, pruner=pruner)


def ask(sweep: Sweep, storage: Any, count: int, tries: int) -> FrozenTrial:
    """A running trial at a point of the sampler's choice (or one that was waiting)."""
    study = study_of(sweep, storage, 97 * count + tries, blind=tries >= BLIND_TRIES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are beaten by us
        trial = study.ask(distributions(sweep))
    found: FrozenTrial = storage.get_trial(trial._trial_id)
    return found


def should_stop(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether a running trial's score stays below the others' median."""
    return study.pruner.prune(study, trial)


def _choice(value: Any) -> Any:
    return LISTED + spaces.text(value) if isinstance(value, list | tuple | dict) else value
