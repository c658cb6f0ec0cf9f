"""The collector's rounds stay short, and what a page leaves behind is still freed."""

import gc
import sys
import types
import weakref
from collections.abc import Iterator

import pytest

from pages.parts import garbage


@pytest.fixture(autouse=True)
def thawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(garbage, "_seen", 0)
    yield
    gc.unfreeze()


class Node:
    """Refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_imported_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    garbage.set_aside()
    frozen = gc.get_freeze_count()
    assert frozen > 10_000 and len(gc.get_objects()) < frozen / 10
    kept = [[number] for number in range(5_000)]
    garbage.set_aside()
    assert gc.get_freeze_count() <= frozen  # no module is new
    for number in range(garbage.MODULES):
        monkeypatch.setitem(sys.modules, f"tbn_new_{number}", types.ModuleType("new"))
    garbage.set_aside()
    assert gc.get_freeze_count() >= frozen + len(kept)


def test_garbage_of_later_runs_is_freed() -> None:
    garbage.set_aside()
    gone = weakref.ref(Node())
    gc.collect()
    assert gone() is None
