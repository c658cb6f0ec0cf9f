"""Options that hold more than one word: tiling factors, PATTERN=P and NAME=VALUE."""

from __future__ import annotations

import json
from typing import Any

from tbn.errors import TBNError


def whole(name: str, text: str) -> int:
    """A tiling factor."""
    try:
        return int(text)
    except ValueError:
        raise TBNError(
            f"{name}={text} is not a whole number", "use 0 for full precision, 1 for binary, 4 for the paper's default"
        ) from None


def pairs(items: list[str]) -> dict[str, int]:
    """PATTERN=P, tiling factors of some layers."""
    found = {}
    for item in items:
        pattern, equals, factor = item.rpartition("=")
        if not equals:
            raise TBNError(f"--per-layer {item!r} has no factor", "write it as PATTERN=P, e.g. 'conv4=8'")
        found[pattern] = whole(f"per_layer[{pattern!r}]", factor)
    return found


def arguments(option: str, items: list[str]) -> dict[str, Any]:
    """NAME=VALUE as keyword arguments; a value is JSON (16, 0.5, true, [64, 32]) or else a word."""
    found: dict[str, Any] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise TBNError(f"{option} {item!r} is not NAME=VALUE", "write it as e.g. width=16 or hidden=[64,32]")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
