"""A search space: for each name the values it may take, and the points in it. Pure."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tbn.errors import TBNError

Point = dict[str, Any]
Space = Mapping[str, "tuple[Any, ...] | Range"]


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; ``log`` draws their logarithm evenly, ``whole`` only whole numbers.

    Raises:
        TBNError: no such numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        for value in (self.low, self.high):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise TBNError(f"{value!r} does not bound a range", "use numbers, e.g. 1e-4..1e-2:log")
            if self.whole and value != int(value):
                raise TBNError(f"{value} does not bound a range of whole numbers", "use e.g. 8..64")
        if self.low >= self.high:
            raise TBNError(f"the range {self.low}..{self.high} is empty", "put the smaller number first")
        if self.log and self.low <= 0:
            raise TBNError(f"a logarithmic range cannot begin at {self.low}", "begin above 0, or leave :log out")

    def draw(self, generator: np.random.Generator) -> float:
        """One value."""
        if self.whole and not self.log:
            return int(generator.integers(int(self.low), int(self.high) + 1))
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = float(generator.uniform(low, high))
        value = math.exp(value) if self.log else value
        return round(value) if self.whole else float(f"{value:.6g}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"low": self.low, "high": self.high, "log": self.log, "whole": self.whole}


def checked(space: Mapping[str, Any]) -> dict[str, tuple[Any, ...] | Range]:
    """The space with plain values, lists as tuples, mappings as ranges.

    Raises:
        TBNError: a name without values, with equal values, or with values that are not plain.
    """
    found: dict[str, tuple[Any, ...] | Range] = {}
    for name, values in space.items():
        if isinstance(values, Mapping):
            values = Range(**values)
        if isinstance(values, Range):
            found[name] = values
            continue
        if isinstance(values, str) or not isinstance(values, list | tuple | range):
            raise TBNError(f"the values of {name!r} are {values!r}, not a list", f"give a list: {name}=1,2,4")
        choices = tuple(values)
        if not choices:
            raise TBNError(f"the space is empty: {name!r} has no values", f"give at least one, e.g. {name}=1,2,4")
        texts = [text(value) for value in choices]
        if len(set(texts)) < len(texts):
            twice = next(value for value in texts if texts.count(value) > 1)
            raise TBNError(f"{name!r} has the value {twice} twice", "give each value once")
        found[name] = choices
    return found


def text(value: Any) -> str:
    """A value as JSON text.

    Raises:
        TBNError: it is not plain.
    """
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TBNError(f"{value!r} cannot be a value of a sweep", "use numbers, words, true, false or lists") from error


def size(space: Space) -> int | None:
    """How many points there are; None: endlessly many."""
    if any(isinstance(values, Range) for values in space.values()):
        return None
    return math.prod(len(values) for values in space.values() if not isinstance(values, Range))


def grid(space: Space) -> Iterator[Point]:
    """Every point, the last name changing fastest.

    Raises:
        TBNError: a range has no last point.
    """
    for name, values in space.items():
        if isinstance(values, Range):
            raise TBNError(
                f"{name!r} is a range, and a grid takes single values",
                f"list values: {name}={values.low:g},{values.high:g}; or choose --method random or search",
            )
    for combination in itertools.product(
        *(tuple(values) for values in space.values() if not isinstance(values, Range))
    ):
        yield dict(zip(space, combination, strict=True))


def random(space: Space, seed: int) -> Iterator[Point]:
    """Different points in random order: the first n are the same for every n. A finite space ends."""
    generator, all_of_them = np.random.default_rng(seed), size(space)
    seen: set[str] = set()
    while all_of_them is None or len(seen) < all_of_them:
        point = {
            name: values.draw(generator) if isinstance(values, Range) else values[int(generator.integers(len(values)))]
            for name, values in space.items()
        }
        if (key := text(point)) not in seen:
            seen.add(key)
            yield point


def parse(name: str, value: str) -> tuple[Any, ...] | Range:
    """What is written on the command line: ``1,2,4``, ``tile,layer``, ``1e-4..1e-2:log``, ``8..64``, ``[64,32],[32,32]``.

    Raises:
        TBNError: it reads as none of these.
    """
    low, dots, rest = value.partition("..")
    if dots:
        high, colon, how = rest.partition(":")
        numbers = [_plain(low), _plain(high)]
        if how not in ("", "log") or not all(
            isinstance(number, int | float) and not isinstance(number, bool) for number in numbers
        ):
            raise TBNError(f"{name}={value!r} is not a range", f"write it as {name}=1e-4..1e-2 or 1e-4..1e-2:log")
        return Range(numbers[0], numbers[1], bool(colon), all(isinstance(number, int) for number in numbers))
    if "[" in value:
        try:
            return tuple(json.loads(f"[{value.replace(';', ',')}]"))
        except ValueError as error:
            raise TBNError(
                f"{name}={value!r} is not one list or more", f"write it as {name}=[64,32],[32,32]"
            ) from error
    parts = value.split(",")
    if not all(part.strip() for part in parts):
        raise TBNError(f"{name}={value!r} leaves a value out", f"write it as {name}=1,2,4")
    return tuple(_plain(part) for part in parts)


def parted(
    varied: Iterable[tuple[str, str]], constant: Iterable[tuple[str, str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Names with what is written behind them, as (space, fixed): one value does not vary, and what is constant replaces what would vary.

    Raises:
        TBNError: as ``parse``.
    """
    space: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    read = [(name, parse(name, value)) for name, value in varied]
    read += [
        (name, parse(name, value) if "," not in value or "[" in value else (value,)) for name, value in constant
    ]  # a comma in one value is not a list of values
    for name, values in read:
        if isinstance(values, tuple) and len(values) == 1:
            fixed[name] = values[0]
        else:
            space[name] = values
    return {name: values for name, values in space.items() if name not in fixed}, fixed


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as ``RunConfig`` takes them: {"model_args.width": 8} is {"model_args": {"width": 8}}."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        head, _, rest = name.partition(".")
        if rest:
            found.setdefault(head, {})[rest] = value
        else:
            found[head] = value
    return found


def _plain(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word.strip()
