"""GPTQ and SparseGPT: column by column, what rounding takes off is made up by later columns.

Frantar et al., arXiv 2210.17323 and 2301.00774: with ``H = X^T X`` and ``U`` the upper Cholesky
factor of its inverse, the error of column ``i`` divided by ``U[i, i]`` and spread along
``U[i, i:]`` is the best correction of the columns that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.compress.grid import Coded, Grid, Range, group_scales, whole_range
from accelsim.compress.methods.prune import pattern_of
from accelsim.errors import RunError
from accelsim_kernels.nm import keep_nm

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Order = npt.NDArray[np.intp]
#: Below this size a triangle is inverted at once.
_SMALL = 64
#: How often the damping is raised tenfold before a matrix is given up.
_TRIES = 8


def inverse_factor(hessian: Float64, damp: float) -> Float64:
    """Return the upper Cholesky factor of the inverse of a damped second moment ``[k, k]``.

    With rows and columns in reverse ``H = L L^T``, and the factor is ``L^-1`` in reverse: the
    inverse itself is never formed. Columns without any input are left out of all corrections.

    Args:
        hessian: ``X^T X``, or any multiple of it.
        damp: what is added to the diagonal, as a share of its mean.

    Raises:
        RunError: it is not finite, or has no factor even when it is damped more.
    """
    damped = np.array(hessian, np.float64)
    if not np.isfinite(damped).all():
        raise RunError("the second moment of the inputs is not finite")
    diagonal = np.diagonal(damped).copy()
    dead = diagonal <= 0.0
    live = diagonal[~dead]
    mean = float(live.mean()) if live.size else 1.0
    damped[dead, :] = damped[:, dead] = 0.0
    damped[dead, dead] = mean
    diagonal[dead] = mean
    for attempt in range(_TRIES):
        np.fill_diagonal(damped, diagonal + damp * 10.0**attempt * mean)
        try:
            lower: Float64 = np.linalg.cholesky(damped[::-1, ::-1]).astype(np.float64)
        except np.linalg.LinAlgError:
            continue
        return np.ascontiguousarray(_inverted(lower)[::-1, ::-1])
    raise RunError("the second moment of the inputs has no Cholesky factor")


@dataclass
class Moment:
    """Second moment of the inputs that several products read, with the factors made of it.

    Attributes:
        total: ``X^T X`` of the inputs, ``[k, k]``, or any multiple of it.
    """

    total: Float64
    _factors: dict[tuple[bool, float], tuple[Order, Float64]] = field(default_factory=dict)

    def factor(self, act_order: bool, damp: float) -> tuple[Order, Float64]:
        """Return the order of the columns, and the factor of the inverse in that order."""
        if (act_order, damp) not in self._factors:
            size = np.diagonal(self.total)
            order = np.argsort(-size, kind="stable") if act_order else np.arange(len(size))
            found = inverse_factor(self.total[np.ix_(order, order)], damp)
            self._factors = {(act_order, damp): (order, found)}  # the last one alone is held
        return self._factors[act_order, damp]


def _inverted(lower: Float64) -> Float64:
    """Return the inverse of a lower triangle, by halves."""
    k = len(lower)
    if k <= _SMALL:
        return np.tril(np.linalg.inv(lower))
    half = k // 2
    found = np.zeros_like(lower)
    found[:half, :half] = top = _inverted(lower[:half, :half])
    found[half:, half:] = bottom = _inverted(lower[half:, half:])
    found[half:, :half] = -(bottom @ (lower[half:, :half] @ top))
    return found


@dataclass
class _Columns:
    """Weights as columns ``[k, n]``, each contiguous, while they are rounded one by one."""

    left: Float64
    factor: Float64
    block: int

    def run(self, rounded: Callable[[int], Float32]) -> None:
        """Round all columns by a function that returns what becomes of one, read in ``left``."""
        k, n = self.left.shape
        errors = np.empty((min(self.block, k), n), np.float64)
        for first in range(0, k, self.block):
            last = min(first + self.block, k)
            for i in range(first, last):
                found = rounded(i)
                error = (self.left[i] - found) / self.factor[i, i]
                self.left[i] = found
                errors[i - first] = error
                self.left[i + 1 : last] -= self.factor[i, i + 1 : last, None] * error
            self.left[last:] -= self.factor[first:last, last:].T @ errors[: last - first]


def gptq(  # noqa: PLR0913  # the settings of the method
    w: Float32,
    moment: Moment,
    grid: Grid,
    span: Range = whole_range,
    *,
    act_order: bool = True,
    damp: float = 0.01,
    block: int = 128,
) -> Coded:
    """Return weights ``[n, k]`` as codes that keep ``X W^T``.

    In their own order groups get their scales when their turn comes, from weights that are
    corrected already. In the order of the inputs scales are those of the original weights, so that
    groups stay runs of K.

    Args:
        w: the weights, all finite.
        moment: of the inputs.
        grid: the format.
        span: the range that codes cover.
        act_order: columns with the largest inputs first.
        damp: what is added to the diagonal, as a share of its mean.
        block: columns after which all others are corrected.
    """
    k = w.shape[1]
    order, factor = moment.factor(act_order, damp)
    columns = _Columns(np.ascontiguousarray(w.T[order], np.float64), factor, block)
    scales, size = group_scales(grid, w, span), grid.size(k)
    late = not act_order and size < k

    def rounded(i: int) -> Float32:
        number = order[i] // size
        if late and i % size == 0:
            # Columns of a later block have had no correction from this one yet.
            rows = _current(columns, i, min(i + size, k))
            scales[:, number] = grid.scales(span(grid, rows))
        scale = np.ascontiguousarray(scales[:, number])
        return grid.numbers(columns.left[i].astype(np.float32)[:, None], scale)[:, 0]

    columns.block = _aligned(block, size) if late else block
    columns.run(rounded)
    numbers = np.empty_like(w)
    numbers[:, order] = columns.left.T
    return grid.coded(numbers, scales)


def _aligned(block: int, size: int) -> int:
    """Return the multiple of the group, or its whole, that is nearest above the block."""
    return -(-block // size) * size


def _current(columns: _Columns, first: int, last: int) -> Float32:
    return np.ascontiguousarray(columns.left[first:last].T.astype(np.float32))


def sparsegpt(  # the settings of the method
    w: Float32,
    moment: Moment,
    grid: Grid,
    span: Range = whole_range,
    *,
    damp: float = 0.01,
    block: int = 128,
) -> Coded:
    """Return weights ``[n, k]`` of which N of every M are kept, and which keep ``X W^T``.

    Of each M those with the largest ``w^2 / U[i, i]^2`` are kept, chosen when their turn comes.
    What is kept is rounded to the format in the same pass.

    Args:
        w: the weights, all finite.
        moment: of the inputs.
        grid: the format, with its pattern; scales are those of the weights before pruning, or of a
            group when its turn comes.
        span: the range that codes cover.
        damp: what is added to the diagonal, as a share of its mean.
        block: columns after which all others are corrected.

    Raises:
        RecipeError: a dense format, or K no multiple of M.
    """
    k = w.shape[1]
    kept, of = pattern_of(grid, k)
    _, factor = moment.factor(False, damp)
    columns = _Columns(np.ascontiguousarray(w.T, np.float64), factor, 1)
    scales, size = group_scales(grid, w, span), grid.size(k)
    keep = np.zeros((k, len(w)), np.bool_)

    def rounded(i: int) -> Float32:
        if size < k and i % size == 0:
            scales[:, i // size] = grid.scales(span(grid, _current(columns, i, min(i + size, k))))
        if i % of == 0:
            keep[i : i + of] = _kept(columns, i, (kept, of))
        column = np.where(keep[i], columns.left[i], 0.0).astype(np.float32)
        return grid.numbers(column[:, None], np.ascontiguousarray(scales[:, i // size]))[:, 0]

    columns.block = _aligned(_aligned(block, of), size) if size < k else _aligned(block, of)
    columns.run(rounded)
    return grid.coded(np.ascontiguousarray(columns.left.T, np.float32), scales)


def _kept(columns: _Columns, first: int, pattern: tuple[int, int]) -> Bool:
    part = slice(first, first + pattern[1])
    weight = 1.0 / np.diagonal(columns.factor)[part, None]
    scores = np.ascontiguousarray(np.square(columns.left[part] * weight).T)
    return keep_nm(scores, *pattern).T


def weighted_error(w: Float32, made: Float32, moment: Moment) -> float:
    """Return ``tr((W - V) H (W - V)^T)``: the squared error of the layer's output."""
    off: Any = made.astype(np.float64) - w
    return float(np.einsum("nk,nk->", off @ moment.total, off))
