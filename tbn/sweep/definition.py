"""What a sweep is: checked once, when it is made."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tbn.models
import tbn.tasks
from tbn.errors import TBNError
from tbn.sweep import objectives as aims
from tbn.sweep import space as spaces
from tbn.sweep.space import Point, Range

METHODS = ("grid", "random", "search")
NESTED = ("model_args", "task_args", "per_layer")
OWN = ("task", "model", "seed")  # of RunConfig: set by the sweep itself
MAY_GROW = ("trials", "seeds")


@dataclass(frozen=True)
class Planned:
    """A trial before anybody has tried it: one point with one seed. ``key`` is made from everything that decides its result."""

    key: str
    point: int
    seed: int
    params: Point


@dataclass(frozen=True)
class Sweep:
    """A search space and how it is searched. Checked when it is made.

    Attributes:
        task, model: names of the registries.
        space: name -> values or ``Range``. Names are those of ``RunConfig``, or ``model_args.width``, ``task_args.horizon``,
            ``per_layer.PATTERN`` (a tiling factor of its own for the layers of that name).
        fixed: name -> value, for all trials.
        method: "grid" takes every point, "random" draws ``trials`` different ones, "search" lets Optuna's TPE choose them by what came out.
        trials: how many points; of a grid at most so many.
        seeds: trainings of each point, seeds 0, 1, ...
        objectives: what is minimised or maximised (``tbn.sweep.objectives``); the first is the main one.
        prune: stop trials whose score stays below the others' median; with one objective, the score, only.
        threads: CPU threads of a training; results repeat bit for bit only with the same number.
        sampler_seed: of random and search.
        storage: SQLAlchemy URL or the path of an SQLite file; "" is ``default_storage()``.
        name: of the sweep in its storage; by default made from its content, so that the same sweep is found again.

    Raises:
        TBNError: a value makes no sense.
    """

    task: str
    model: str
    space: Mapping[str, Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    method: str = "grid"
    trials: int | None = None
    seeds: int = 1
    objectives: tuple[str, ...] = ("score", "weight_bytes")
    prune: bool = False
    threads: int = 1
    sampler_seed: int = 0
    storage: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        of_task, of_model = tbn.tasks.kind_of(self.task), tbn.models.kind_of(self.model)
        if of_task != of_model:
            raise TBNError(
                f"model {self.model!r} is for tasks of kind {of_model}, {self.task!r} is of kind {of_task}",
                f"use {', '.join(tbn.models.names(of_task))}",
            )
        if not self.space:
            raise TBNError("the space is empty: nothing varies", "give several values of something, e.g. --p 1,2,4,8")
        object.__setattr__(self, "space", spaces.checked(self.space))
        object.__setattr__(self, "fixed", dict(self.fixed))
        for name in (*self.space, *self.fixed):
            head, _, rest = name.partition(".")
            if name in OWN or (head in NESTED) != bool(rest) or (name in self.space and name in self.fixed):
                raise TBNError(f"{name!r} cannot be varied or set here", _name_fix(name, name in self.fixed))
        if self.method not in METHODS:
            raise TBNError(f"method={self.method!r} is unknown", f"choose one of {', '.join(METHODS)}")
        counts = (("seeds", self.seeds, 1), ("threads", self.threads, 1), ("sampler_seed", self.sampler_seed, 0))
        for label, value, least in (*counts, *((("trials", self.trials, 1),) if self.trials is not None else ())):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise TBNError(
                    f"{label}={value!r} is not a whole number of at least {least}", f"use {label}={least} or more"
                )
        if self.method == "grid":
            next(spaces.grid(self.space))
        elif self.trials is None:
            raise TBNError(f"a {self.method} sweep goes on for ever", "say how many points: --trials 24")
        object.__setattr__(self, "objectives", tuple(self.objectives))
        aims.check(self.objectives, of_task)
        if self.prune and (len(self.objectives) > 1 or not aims.is_metric(self.objectives[0])):
            raise TBNError(
                "only a sweep with one objective, a metric, can stop trials early",
                "use --objectives score, or leave --prune out",
            )
        if self.name and (set(self.name) & set('/\\:*?"<>|') or self.name.startswith(".") or len(self.name) > 80):
            raise TBNError(f"name={self.name!r} cannot name folders", "use letters, digits, - and _")
        if not self.name:
            object.__setattr__(
                self, "name", f"{self.task}-{self.model.replace(':', '-')}-{_digest(self._content(), 6)}"
            )

    def _content(self) -> dict[str, Any]:
        return {key: value for key, value in self.to_dict().items() if key not in ("storage", "name", *MAY_GROW)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        space = {key: value.to_dict() if isinstance(value, Range) else list(value) for key, value in self.space.items()}
        whole = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**whole, "space": space, "fixed": dict(self.fixed), "objectives": list(self.objectives)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Sweep:
        """Back from ``to_dict``; keys of other versions are left out."""
        return cls(**{key: value for key, value in values.items() if key in cls.__dataclass_fields__})

    def difference(self, other: Sweep) -> str:
        """The first thing in which another sweep of the same name differs, in words; "" where only more trials or seeds are asked for."""
        mine, others = self._content(), other._content()
        for key in mine:
            if mine[key] != others[key]:
                return f"{key} {spaces.text(others[key])}, not {spaces.text(mine[key])}"
        return ""

    @property
    def directions(self) -> dict[str, str]:
        """Objective -> "maximize" or "minimize" (Optuna's words)."""
        kind = tbn.tasks.kind_of(self.task)
        return {name: aims.direction(name, kind) for name in self.objectives}

    @property
    def point_limit(self) -> int:
        """How many points there will be."""
        there = spaces.size(self.space)
        return min(limit for limit in (there, self.trials) if limit is not None)

    def points(self) -> Iterator[Point]:
        """The points of a grid or of random ones, in order; a search has none before it is run."""
        if self.method == "search":
            return iter(())
        found = spaces.grid(self.space) if self.method == "grid" else spaces.random(self.space, self.sampler_seed)
        return itertools.islice(found, self.trials)

    def plan(self) -> Iterator[Planned]:
        """All trials that are known before the sweep is run: every point with the first seed, then with the next."""
        points = list(self.points())
        for seed in range(self.seeds):
            for number, point in enumerate(points):
                yield self.planned(point, number, seed)

    def planned(self, point: Point, number: int, seed: int) -> Planned:
        """A point with a seed."""
        return Planned(_digest([self.config(point, seed), self.threads], 10), number, seed, dict(point))

    def config(self, point: Point, seed: int) -> dict[str, Any]:
        """What ``RunConfig(**...)`` takes."""
        return {"task": self.task, "model": self.model, "seed": seed, **spaces.nested({**self.fixed, **point})}

    def folder(self, planned: Planned) -> str:
        """The name of a trial's run folder."""
        p = planned.params.get("p", self.fixed.get("p", 4))
        return f"{self.name}-{ {0: 'fp32', 1: 'binary'}.get(p, f'p{p}') }-s{planned.seed}-{planned.key}"


def check_points(sweep: Sweep, most: int = 200) -> None:
    """Whether every point (the first ``most``) is a configuration that can be trained, as far as can be said without data.

    Raises:
        TBNError: a name that no training knows, or a value that it refuses.
    """
    from tbn.config import RunConfig

    points: Iterator[Point] = sweep.points()
    if sweep.method == "search":
        points = spaces.random(sweep.space, sweep.sampler_seed)
    fields = set(RunConfig.__dataclass_fields__)
    for name in (*sweep.space, *sweep.fixed):
        if name.partition(".")[0] not in fields:
            raise TBNError(f"a training has no option {name!r}", f"it has {', '.join(sorted(fields - set(OWN)))}")
    for point in itertools.islice(points, min(most, sweep.point_limit)):
        try:  # the workers' machines may have the device, if not this one
            RunConfig(**{**sweep.config(point, 0), "device": "cpu"})
        except TBNError as error:
            raise TBNError(f"point {spaces.text(point)}: {error.message}", error.fix) from error


def _digest(value: Any, letters: int) -> str:
    return hashlib.sha256(spaces.text(value).encode()).hexdigest()[:letters]


def _name_fix(name: str, fixed: bool) -> str:
    if name in ("task", "model"):
        return "make a sweep for each"
    if name == "seed":
        return "say how many: --seeds 3"
    if name.partition(".")[0] in NESTED:
        return f"write it as {name}.NAME"
    return "either vary it or set it" if fixed else "names with a dot begin with model_args., task_args. or per_layer."
