"""Factors under a budget: the programme against trying everything, and budgets that cannot be met."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.errors import TBNError
from tbn.sweep.budget import _candidates
from tbn.sweep.factors import Choice, Table, best_uniform, contradiction, costs, parse_bytes, propose, table
from tbn.sweep.goal import Goal
from tbn.sweep.limits import Judge, Limits

SENSITIVITY = {"conv1": 0.3, "conv2": 0.02, "fc": 0.1}


def made(sizes):
    """A network of layers with so many weights each, the last one always binary."""
    layers = {
        name: tuple(Choice(p, -(-weights // (8 * p)) + 4 * p, weights // p) for p in (1, 2, 4, 8))
        for name, weights in zip(SENSITIVITY, sizes, strict=False)
    }
    return Table({"width": 8}, {**layers, "head": (Choice(1, 84, 640),)}, 50)


def everything(table):
    names = list(table.layers)
    for combination in itertools.product(*table.layers.values()):
        yield {name: choice.p for name, choice in zip(names, combination, strict=True)}


@given(st.lists(st.integers(64, 9000), min_size=1, max_size=3), st.floats(0.2, 1.1), st.booleans())
def test_the_programme_finds_what_trying_everything_finds(sizes, share, also_macs):
    table = made(sizes)
    limit = share * table.bytes(table.uniform(1))
    macs = share * table.macs(table.uniform(1)) if also_macs else None
    priced = costs(table, SENSITIVITY)

    def price(factors):
        return sum(priced[name][p] for name, p in factors.items())

    fitting = [
        one for one in everything(table) if table.bytes(one) <= limit and (macs is None or table.macs(one) <= macs)
    ]
    found = propose(table, SENSITIVITY, limit, macs, count=3)
    assert len(found) == min(3, len(fitting)) and all(one in fitting for one in found)
    assert [price(one) for one in found] == pytest.approx(sorted(map(price, fitting))[:3])
    uniform = best_uniform(table, limit, macs)
    same = [one for one in fitting if len({p for name, p in one.items() if name != "head"}) == 1]
    assert (uniform is None) == (not same)
    assert uniform is None or table.macs(uniform) == max(table.macs(one) for one in same), (
        "the smallest factor that fits"
    )


def test_what_matters_stays_and_what_does_not_is_tiled():
    table = made((3000, 3000, 3000))
    found = propose(table, SENSITIVITY, table.bytes(table.uniform(2)))[0]
    assert found["conv1"] == 1 and found["conv2"] > found["fc"]


@pytest.mark.parametrize(
    ("text", "count"), [("3200B", 3200), ("3200", 3200), ("3.2kB", 3200), ("2KiB", 2048), (" 1 MB ", 10**6)]
)
def test_budgets_as_they_are_written(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "-3B", "0", "0.1B", "3200b", "3 GB x"])
def test_what_is_no_budget_is_told(text):
    with pytest.raises(TBNError, match="is not a number of bytes; write it as 3200B"):
        parse_bytes(text)


def test_a_budget_that_nothing_fits_says_the_smallest_possible():
    small, large = made((64,)), made((9000, 9000))
    error = contradiction([large, small], 100)
    least = min(small.bytes(one) for one in everything(small))
    assert (
        f"nothing fits 100 bytes: the smallest possible is {least} bytes (width=8" in str(error)
        and f"--budget {least}B" in error.fix
    )
    assert propose(small, {}, 100) == [] and best_uniform(small, 100) is None


def test_one_factor_everywhere_may_be_smaller_in_a_layer_that_cannot_take_it():
    goal = Goal("digits", Limits(10**9), "cnn", widths=({"width": 10},))
    found = table(goal.config(goal.widths[0]), goal.config({}).load_task())
    uniform = found.uniform(4)
    assert set(uniform.values()) == {1, 2, 4}, (
        "the first convolution of 90 weights takes p = 2, the last layer is binary"
    )
    limit = found.bytes(uniform)
    told = list(_candidates(Judge(goal), [(found, (limit, None))], dict.fromkeys(uniform, 0.1)))
    assert (
        [one.layers for one in told if one.uniform] == [uniform]
        and len(told) > 1
        and all(one.bytes <= limit for one in told)
    )
