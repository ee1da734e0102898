"""Attention as one op, in a stated order.

For query i, a block of the keys that it sees, ascending, and the state (m, l, o) of the blocks
before, which begins as (none, 0, 0):

1. ``s_j`` is a chain of fused multiply-adds over the depth, rounded to the format of scores, then
   times the scale; with a cap, ``cap * tanh(s_j / cap)``; a mask of numbers is added.
2. ``n`` is the largest ``s_j`` of the block and ``m``. Where it is above m by more than the
   arithmetic tolerates, ``a = E(m - n)``, ``m = n``, ``l = a l``; else a is 1.
3. ``p_j = E(s_j - m)``. For powers of two E takes ``(s_j - m) log2 e``, or, folded,
   ``fma(s_j, c, -(m c))``: c is ``scale log2 e`` and s_j has not been scaled, unless there is a cap
   or an added mask; then c is ``log2 e``.
4. ``l`` is the chain of ``l + p_j``; p_j is scaled and rounded to the format of the probabilities,
   in which it enters the array. Where sums are of rounded probabilities, the order is the other.
5. ``o`` is rescaled by a, and the chain of fused multiply-adds of ``p_j v_j`` goes on from it; or
   the chain begins at zero and ``o = fma(o, a, chain)``. It is rounded to the accumulator's format.

At the end o is multiplied by the reciprocal of the scale of p, if sums are of unrounded ones, and
divided by l, or multiplied by its reciprocal. ``whole_row`` has one block: a is always 1.

Parts of split keys give ``o_s`` and ``L_s = m + ln l``. Together: ``L = M + ln sum E(L_s - M)``
with M the largest, and the result is the chain of ``E(L_s - L) o_s``. Pairwise, with M of two:
``w_s = E(L_s - M)``, ``w = w_a + w_b``, ``o = fma(o_b, w_b / w, o_a (w_a / w))``, ``L = M + ln w``.

Every step is rounded to binary32, the result to the output's format. Blocks begin at key 0, parts
as well; ``splits`` divides the keys up to the last one that causality lets a query see. Keys that
are hidden, by a mask that does not show them or by minus infinity, take no part; a block in which
a query sees none is left out for it. So the bits of a query depend on the keys that it sees, and,
where there are blocks, on their places alone; one that sees none gives zeros. Scores that are no
numbers give NaN, and so does a block whose scores all overflow.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.attend import attend
from accelsim_kernels.attention_arithmetic import (
    EXPONENTIALS,
    AttentionArithmetic,
    attention_arithmetic,
)
from accelsim_kernels.attention_scores import Masks, Rules
from accelsim_kernels.attention_softmax import E4M3, E5M2, INT8, Steps
from accelsim_kernels.jit import rows_in_threads
from accelsim_kernels.rounding import PLAIN, plain

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

_NARROW = {"fp8_e4m3": E4M3, "fp8_e5m2": E5M2, "int8": INT8}
_LOG2E = 1.4426950408889634


def _masks(mask: npt.ArrayLike | None, shape: tuple[int, ...]) -> Masks:
    """Return a mask that shows and one that is added, of which at most one has keys."""
    shown, added = np.empty((1, 1, 1, 0), np.bool_), np.empty((1, 1, 1, 0), np.float32)
    if mask is None:
        return Masks(shown, added)
    given = np.asarray(mask)
    given = given.reshape((1,) * (4 - given.ndim) + given.shape)
    if given.ndim == 4 and given.shape[3] == 1:
        given = np.broadcast_to(given, (*given.shape[:3], shape[3]))
    fits = given.ndim == 4 and given.shape[3] == shape[3]
    if not fits or any(
        size not in (1, whole) for size, whole in zip(given.shape, shape, strict=True)
    ):
        raise ValueError(f"mask has the shape {np.shape(mask)}; it must broadcast to {shape}")
    if given.dtype == np.bool_:
        return Masks(array("mask", given, np.bool_), added)
    return Masks(shown, array("mask", given, np.float32))


class _Scores(NamedTuple):
    """What is done to scores; see ``attention``."""

    scale: float | None = None
    window: float | None = 0
    softcap: float | None = 0.0


def _check(q: Float32, k: Float32, v: Float32) -> None:
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.ndim != 4:
            raise ValueError(
                f"{name} has the shape {x.shape}; [batch, heads, tokens, depth] is needed"
            )
    if k.shape[:3] != v.shape[:3] or q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        raise ValueError(f"q {q.shape}, k {k.shape} and v {v.shape} do not belong together")
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError(f"{q.shape[1]} query heads are not a multiple of {k.shape[1]} key heads")


@cache
def _steps(
    how: AttentionArithmetic, stored: str, scale: np.float32, bent: bool
) -> Steps:  # fmt: skip
    """Return what the loops follow; ``bent``: scores are scaled before exponents are taken."""
    probabilities = stored if how.probabilities == "storage" else how.probabilities
    folded = how.exponent == "folded"
    raw = folded and not bent
    unscale = 1.0 if how.sums == "rounded" else 1.0 / how.probability_scale
    return Steps(
        how.block, how.order == "descending", EXPONENTIALS.index(how.exponential), folded,
        np.float32(float(scale) * _LOG2E if raw else _LOG2E), PLAIN[how.scores],
        _NARROW[probabilities] if probabilities in _NARROW else plain(probabilities),
        np.float32(how.probability_scale), np.float32(unscale), how.sums == "rounded",
        np.float32(how.rescale_above), PLAIN[how.accumulator], how.carry == "added",
        how.normalize == "reciprocal", how.splits, how.split_keys, how.merge == "pairwise",
        scale if raw else np.float32(1),
    )  # fmt: skip


def attention(
    q: npt.ArrayLike,
    k: npt.ArrayLike,
    v: npt.ArrayLike,
    arithmetic: AttentionArithmetic | str = "whole_row",
    *,
    causal: bool = False,
    mask: npt.ArrayLike | None = None,
    probabilities: str = "fp32",
    format: str = "fp32",
    **scores: float | None,
) -> Float32:
    """Return ``softmax(scale q k^T) v`` in the order that the module states.

    Args:
        q: float32 ``[B, H, S, D]``.
        k: float32 ``[B, G, T, D]``; query head h reads head ``h // (H / G)``.
        v: float32 ``[B, G, T, E]``.
        arithmetic: blocks, exponential, formats and merge: a preset's name or one spelled out.
        causal: query i sees keys up to ``T - S + i``.
        mask: broadcasts to ``[B, H, S, T]``; a bool shows, float32 is added to the scores.
        probabilities: format in which probabilities are multiplied with values, where the
            arithmetic leaves it to the storage of the values.
        format: of the result ``[B, H, S, E]``.
        scores: ``scale`` of the scores, rounded to binary32, by default ``1 / sqrt(D)``;
            ``window``, with ``causal`` the number of last keys that a query sees, by default all;
            ``softcap``, bound of the scores, by default none.

    Raises:
        ValueError: shapes, types, formats or numbers that do not fit.
        TypeError: an arithmetic that is none, or a keyword that is not known.
    """
    how, (scale, window, softcap) = attention_arithmetic(arithmetic), _Scores(**scores)
    query, key, value = (array(n, x, np.float32) for n, x in (("q", q), ("k", k), ("v", v)))
    _check(query, key, value)
    if window is None or softcap is None or not 0 <= window < 2**62 or not softcap >= 0.0:
        raise ValueError(f"window is {window}, softcap {softcap}; neither may be negative")
    factor = np.float32(1 / math.sqrt(max(1, query.shape[3])) if scale is None else scale)
    masks = _masks(mask, (*query.shape[:3], key.shape[2]))
    bent = softcap > 0.0 or masks.added.shape[3] > 0
    steps = _steps(how, probabilities, factor, bent)
    # Folded exponents hold the scale.
    first = np.float32(1) if steps.folded and not bent else factor
    rules = Rules(first, np.float32(softcap), bool(causal), int(window), plain(format))
    out = np.zeros((*query.shape[:3], value.shape[3]), np.float32)
    if out.size and key.shape[2]:
        rows_in_threads(
            lambda first, last: attend(query, key, value, rules, steps, masks, out, first, last),
            query.shape[0] * query.shape[1], 1,
        )  # fmt: skip
    return out
