"""N:M pruning without correction: magnitude, and Wanda (Sun et al., arXiv 2306.11695)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.grid import Coded, Grid, Range, whole_range
from accelsim.compress.methods.rtn import rtn
from accelsim.errors import RecipeError
from accelsim_kernels.nm import keep_nm

Float32 = npt.NDArray[np.float32]
Scores = npt.NDArray[Any]


def pattern_of(grid: Grid, k: int) -> tuple[int, int]:
    """Return how many weights are kept of how many along K.

    Raises:
        RecipeError: the format is dense, or K is no multiple of M.
    """
    pattern = grid.wanted.pattern
    if pattern is None:
        raise RecipeError("a dense format is not pruned: say 2:4 or 4:8")
    if k % pattern[1]:
        raise RecipeError(f"{grid.wanted.sparsity} needs K in multiples of {pattern[1]}; K is {k}")
    return pattern


def prune(w: Float32, grid: Grid, scores: Scores, span: Range = whole_range) -> Coded:
    """Return the weights ``[n, k]`` with the largest scores of every M, rounded to nearest."""
    keep = keep_nm(scores, *pattern_of(grid, w.shape[1]))
    return rtn(np.where(keep, w, np.float32(0)), grid, span)


def magnitude(w: Float32, grid: Grid, span: Range = whole_range) -> Coded:
    """Prune by magnitude."""
    return prune(w, grid, np.abs(w), span)


def wanda(w: Float32, squares: Scores, grid: Grid, span: Range = whole_range) -> Coded:
    """Prune by magnitude times the norm of the input that it meets.

    Args:
        w: weights ``[n, k]``.
        squares: sum of the squares of each input, ``[k]``.
        grid: the format.
        span: the range that codes cover.
    """
    norm = np.sqrt(np.maximum(squares, 0.0))
    return prune(w, grid, np.abs(w.astype(np.float64)) * norm, span)
