"""Intervals against published examples and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.evaluate.statistics import paired_difference, wilson


def test_wilson_is_the_published_interval() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263.
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_paired_difference_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        truth = rng.random(200) < 0.9
        chip = np.where(rng.random(200) < 0.08, False, truth)
        _, (low, high) = paired_difference(chip.tolist(), truth.tolist())
        covered += low <= -0.072 <= high
    assert covered / 400 > 0.92


def test_a_paired_difference_is_signed_and_zero_without_change() -> None:
    same = [True, False, True]
    assert paired_difference(same, same)[0] == 0.0
    difference, (low, high) = paired_difference([False] * 50, [True] * 50)
    assert difference == -1.0
    assert low == pytest.approx(-1.0)
    assert high < -0.8
    assert paired_difference([], []) == (0.0, (-1.0, 1.0))
