"""The toy follows METHOD's equations, repeats, and learns; its figures say in words what they show."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbn import learn_charts, toy
from tbn.charts import alt_text
from tbn.errors import TBNError


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    seed=st.integers(0, 5),
    per=st.sampled_from(["tile", "layer"]),
    data=st.data(),
)
def test_a_state_is_the_method(rows, columns, seed, per, data):
    p = data.draw(st.sampled_from(toy.factors(rows * columns)))
    for state in toy.play(rows, columns, p, per, seed, steps=2):
        blocks = state.weight.reshape(p, -1)
        assert np.allclose(state.sums, blocks.sum(0), atol=1e-5)
        assert np.array_equal(state.tile, np.where(state.sums > 0, 1, -1))
        alphas = np.broadcast_to(state.alphas, (p,))
        assert state.alphas.shape == ((p,) if per == "tile" else (1,))
        assert np.allclose(state.tiled.reshape(p, -1), alphas[:, None] * state.tile)
        assert state.loss == pytest.approx(0.5 * ((state.tiled - state.target) ** 2).sum(), rel=1e-5)
        assert np.array_equal(state.disagrees, (blocks > 0) != (state.tile > 0))


def test_a_step_goes_straight_through():
    before, after = toy.play(4, 6, 3, "layer", seed=1, steps=1, lr=0.1)
    expected = before.weight - 0.1 * before.alphas * (before.tiled - before.target)
    assert np.allclose(after.weight, expected, atol=1e-6)
    assert np.array_equal(after.flipped, before.tile != after.tile) and not before.flipped.any()


def test_alphas_by_hand_stay_and_scale_the_gradient():
    before, after = toy.play(4, 6, 3, seed=1, steps=1, alpha=0.7)
    assert np.allclose(before.alphas, 0.7) and np.allclose(after.alphas, 0.7) and before.alphas.shape == (3,)
    assert np.allclose(after.weight, before.weight - 0.1 * 0.7 * (before.tiled - before.target), atol=1e-6)
    best = before.best_alphas
    losses = [0.5 * ((np.repeat(np.clip(best + change, 0, None), 8).reshape(4, 6) * np.tile(before.tile, 3).reshape(4, 6) - before.target) ** 2).sum()
              for change in (-0.05, 0.0, 0.05)]  # fmt: skip
    assert losses[1] == min(losses), "the best alphas are the best"
    assert toy.play(4, 6, 3, "layer", alpha=0.7)[0].best_alphas.shape == (1,)
    with pytest.raises(TBNError, match="alpha=-1 is negative.*choose 0 or more"):
        toy.play(4, 6, 3, alpha=-1)


def test_it_learns_and_a_larger_factor_fits_less():
    last = {p: toy.play(8, 6, p, steps=40)[-1] for p in (1, 2, 4, 8)}
    first = {p: toy.play(8, 6, p)[0] for p in last}
    assert all(last[p].loss < 0.85 * first[p].loss for p in last)
    assert last[1].loss < last[4].loss < last[8].loss
    assert [last[p].distinct_rows for p in (2, 4, 8)] == [4, 2, 1]
    again = toy.play(8, 6, 4, steps=40)
    assert np.array_equal(again[-1].weight, last[4].weight) and len(again) == 41


def test_bad_input_says_what_to_choose():
    with pytest.raises(TBNError, match="p=5 does not divide the 48 weights; choose one of 1, 2, 3, 4, 6"):
        toy.play(8, 6, 5)
    with pytest.raises(TBNError, match="too many to look at; choose up to 1,024 weights and 500 steps"):
        toy.play(64, 64, 4)


@pytest.mark.parametrize(("p", "rest", "jump"), [(1, 0.0, 0.0), (4, 0.5, -0.5), (8, -1.0, 1.0)])
def test_the_step_and_its_gradient(p, rest, jump):
    curves = toy.straight_through(p, rest, gradient=-0.7)
    assert curves.w[1:][np.diff(curves.forward) != 0] == pytest.approx([jump], abs=0.011)
    assert np.allclose(curves.straight, -0.7), "straight through, clipped nowhere"
    assert np.nansum(np.abs(curves.true)) == 0
    figure = learn_charts.forward_figure(curves, -0.7)
    assert "gradient is -0.7 everywhere" in alt_text(figure)


def test_a_latent_weight_moves_until_its_bit_flips():
    latent, binary = toy.inertia(4, rest=0.5, target=1.0, lr=0.03, steps=40)
    flip = int(np.nonzero(np.diff(binary))[0][0]) + 1
    assert np.allclose(np.diff(latent[: flip + 1]), 0.06, atol=1e-5), "2 lr a step while the bit is wrong"
    assert latent[flip - 1] <= -0.5 < latent[flip] and np.all(latent[flip:] == latent[flip])
    assert f"flips at step {flip}" in alt_text(learn_charts.inertia_figure(latent, binary))
    still = toy.inertia(1, rest=0.0, target=-1.0, lr=0.1, steps=5)
    assert "does not flip" in alt_text(learn_charts.inertia_figure(*still))


SVG = "{http://www.w3.org/2000/svg}"


def svg(picture):
    """The picture's elements; an error where it is no XML."""
    assert picture._repr_html_() == picture.svg
    return ElementTree.fromstring(picture.svg)


def test_numbers_are_written_where_there_is_room():
    for rows, columns, p, written in ((4, 6, 3, True), (8, 6, 1, False)):
        fold = learn_charts.fold_figure(toy.play(rows, columns, p)[-1])
        words = [text.text for text in svg(fold).findall(f".//{SVG}text")]
        assert len(words) - 3 == (rows * columns + 2 * rows * columns // p) * written


@pytest.mark.parametrize(("rows", "columns", "p"), [(8, 6, 4), (5, 6, 4 // 2), (3, 4, 6), (1, 1, 1)])
def test_figures(rows, columns, p):
    states = toy.play(rows, columns, p, steps=3)
    state, q = states[-1], rows * columns // p
    latent, fold, tiled = (
        getattr(learn_charts, name)(state) for name in ("latent_figure", "fold_figure", "tiled_figure")
    )
    block = (np.arange(rows * columns) // q).reshape(rows, columns)
    strokes = svg(latent).find(f".//{SVG}path").get("d").count("M")
    assert strokes == (np.diff(block, axis=0) != 0).sum() + (np.diff(block, axis=1) != 0).sum()
    assert f"into {p} blocks of {q}" in latent.alt
    assert len(svg(fold).findall(f".//{SVG}circle")) == state.disagrees.sum() + state.flipped.sum()
    assert f"{state.distinct_rows} rows have signs of their own" in tiled.alt
    for picture, parts in ((latent, {"x": state.blocks}), (tiled, {"w": state.tiled.reshape(p, q)}),
                           (fold, {"x": state.blocks, "s": state.sums[None], "t": state.tile[None]})):  # fmt: skip
        cells = svg(picture).findall(f".//{SVG}rect")
        found = {(cell.get("data-part"), int(cell.get("data-i")), int(cell.get("data-j"))): cell for cell in cells}
        assert len(found) == len(cells) == sum(values.size for values in parts.values())
        for (part, i, j), cell in found.items():
            value = parts[part][max(i, 0), j]
            words = f"{value:+.0f}" if part == "t" else f"{value:+.3f}"
            assert words in cell.find(f"{SVG}title").text
            red, blue = (int(cell.get("fill")[start : start + 2], 16) for start in (1, 5))
            assert abs(value) < 0.3 or (red > blue) == (value < 0), "amber below zero, blue above"
    assert list(learn_charts.progress_figure(states).data[1].y) == [state.loss for state in states]
