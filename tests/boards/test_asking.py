"""What a board's answer is beside others': the same probabilities as those of kept predictions, one sample or many."""

import numpy as np
import pytest

from tbn.boards.asking import probabilities
from tbn.predictions import Predictions, softmax


def test_one_softmax_for_a_board_and_for_predictions() -> None:
    scores = np.random.default_rng(0).normal(0, 30, (5, 10)).astype(np.float32)
    none = np.zeros((5, 1), np.uint8)
    kept = Predictions("r", "digits", "images", "packed", "", "", none, none[:, 0], scores, tuple("0123456789"))
    for one, row in zip(scores, kept.probabilities, strict=True):
        found = probabilities(one)
        assert found.dtype == np.float32 and np.array_equal(found, row.astype(np.float32))
        assert found.sum() == pytest.approx(1)


def test_large_scores_do_not_overflow() -> None:
    assert np.array_equal(softmax(np.array([1e4, 0.0, -1e4], np.float32)), [1, 0, 0])
    assert np.allclose(softmax(np.log(np.array([[1.0, 3.0], [2.0, 2.0]]))), [[0.25, 0.75], [0.5, 0.5]])
    with pytest.raises(ValueError, match="zero-size"):
        softmax(np.zeros((0,), np.float32))
