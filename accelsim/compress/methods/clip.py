"""The range that codes cover: the largest magnitude, a percentile, or the least squared error."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from accelsim.compress.grid import Grid, Range, whole_range
from accelsim.recipe.methods import Step

Float32 = npt.NDArray[np.float32]


def span_of(step: Step | None) -> Range:
    """Return how a recipe's method finds the range of a group."""
    if step is None:
        return whole_range
    if step.name == "percentile":
        return partial(percentile_range, percent=step.percent)
    return partial(mse_range, least=step.least, candidates=step.grid)


def percentile_range(grid: Grid, rows: Float32, *, percent: float) -> Float32:
    """Return the magnitude below which a share of each row lies; what is above it saturates."""
    found = np.percentile(np.abs(rows), percent, axis=1).astype(np.float32)
    # A row that is zero up to there would lose all that it has.
    return np.where(found > 0, found, whole_range(grid, rows))


def mse_range(grid: Grid, rows: Float32, *, least: float, candidates: int) -> Float32:
    """Return the range of each row with the least squared error, the widest of equal ones.

    Args:
        grid: the format.
        rows: ``[n, g]`` that share a scale each.
        least: the smallest share of the largest magnitude that is tried.
        candidates: how many ranges are tried, evenly spaced up to the largest magnitude.
    """
    largest = whole_range(grid, rows)
    best, lowest = largest, np.full(len(rows), np.inf)
    for share in np.linspace(1.0, least, candidates, dtype=np.float32):
        tried = largest * share
        off = grid.numbers(rows, grid.scales(tried)).astype(np.float64) - rows
        error = np.square(off).sum(axis=1)
        better = error < lowest
        lowest, best = np.where(better, error, lowest), np.where(better, tried, best)
    return best
