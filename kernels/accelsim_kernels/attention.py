"""Attention as one op, in a stated order.

For query i and the keys that it sees, ascending:

1. ``s_j`` is a chain of fused multiply-adds over the depth, then times the scale; with a cap,
   ``cap * tanh(s_j / cap)``; a mask of numbers is added.
2. ``m`` is the largest ``s_j``; ``p_j = exp(s_j - m)``; ``l`` is the sum of the ``p_j``.
3. ``p_j`` is rounded to the format of the probabilities, in which it enters the array.
4. ``o`` is a chain of fused multiply-adds of ``p_j v_j``, then divided by ``l``.

Every step is rounded to binary32, the result to the output's format. Keys that are hidden, by a
mask that does not show them or by minus infinity, take no part, so the bits of a query depend on
the keys that it sees alone; one that sees none gives zeros. Scores that overflow or are no numbers
give NaN.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.fused import fma32
from accelsim_kernels.jit import kernel, leaf, rows_in_threads
from accelsim_kernels.nonlinear import exp64, tanh64
from accelsim_kernels.rounding import plain, rounded

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


@leaf
def _scores(
    q: Float32, turned: Float32, low: int, high: int, scale: np.float32, cap: np.float32,
    scores: Float32,
) -> None:  # fmt: skip
    """Write the scaled scores of keys ``low`` to ``high``; ``turned`` is ``[depth, keys]``."""
    for j in range(low, high):
        scores[j] = np.float32(0)
    for d in range(q.size):
        x = q[d]
        for j in range(low, high):
            scores[j] = fma32(x, turned[d, j], scores[j])
    for j in range(low, high):
        scores[j] = np.float32(scores[j] * scale)
    if cap > np.float32(0):
        for j in range(low, high):
            bent = np.float32(tanh64(np.float64(np.float32(scores[j] / cap))))
            scores[j] = np.float32(cap * bent)


@leaf
def _largest(scores: Float32, seen: Bool, low: int, high: int) -> tuple[bool, np.float32]:
    """Return whether any key is seen, and the largest score of those that are."""
    largest, any_seen = np.float32(-np.inf), False
    for j in range(low, high):
        if seen[j]:
            any_seen = True
            # Not max(): a NaN must not be lost.
            if scores[j] > largest or scores[j] != scores[j]:
                largest = scores[j]
    return any_seen, largest


@leaf
def _mix(
    scores: Float32, seen: Bool, v: Float32, low: int, high: int, formats: tuple[int, int],
    out: Float32,
) -> None:  # fmt: skip
    """Write the weighted mean of the values of the keys that are seen."""
    any_seen, largest = _largest(scores, seen, low, high)
    for d in range(out.size):
        out[d] = np.float32(0)
    if not any_seen:
        return
    for j in range(low, high):
        scores[j] = np.float32(exp64(np.float64(np.float32(scores[j] - largest))))
    total = np.float32(0)
    for j in range(low, high):
        if seen[j]:
            total += scores[j]
            p = rounded(scores[j], formats[0])
            for d in range(out.size):
                out[d] = fma32(p, v[j, d], out[d])
    for d in range(out.size):
        out[d] = rounded(np.float32(out[d] / total), formats[1])


@kernel
def _attend(
    q: Float32, kv: tuple[Float32, Float32], masks: tuple[Bool, Float32],
    numbers: tuple[np.float32, np.float32], causal: bool, window: int,
    formats: tuple[int, int], out: Float32, first: int, last: int,
) -> None:  # fmt: skip
    """Run pairs of batch and head; masks are ``[B or 1, H or 1, S or 1, T or 0]``, 0 for none."""
    heads, queries, depth = q.shape[1], q.shape[2], q.shape[3]
    k, v = kv
    shown, added = masks
    keys, group = k.shape[2], heads // k.shape[1]
    turned = np.empty((depth, keys), np.float32)
    scores = np.empty(keys, np.float32)
    seen = np.ones(keys, np.bool_)
    for pair in range(first, last):
        b, h = pair // heads, pair % heads
        for d in range(depth):
            for j in range(keys):
                turned[d, j] = k[b, h // group, j, d]
        for i in range(queries):
            high = min(keys, keys - queries + i + 1) if causal else keys
            low = max(0, keys - queries + i - window + 1) if causal and window > 0 else 0
            high = max(high, low)
            _scores(q[b, h, i], turned, low, high, numbers[0], numbers[1], scores)
            if added.shape[3] > 0:
                row = added[min(b, added.shape[0] - 1), min(h, added.shape[1] - 1)]
                line = row[min(i, row.shape[0] - 1)]
                for j in range(low, high):
                    seen[j] = line[j] > np.float32(-np.inf) or line[j] != line[j]
                    scores[j] = np.float32(scores[j] + line[j])
            if shown.shape[3] > 0:
                panel = shown[min(b, shown.shape[0] - 1), min(h, shown.shape[1] - 1)]
                visible = panel[min(i, panel.shape[0] - 1)]
                for j in range(low, high):
                    seen[j] = visible[j]
            _mix(scores, seen, v[b, h // group], low, high, formats, out[b, h, i])


def _masks(mask: npt.ArrayLike | None, shape: tuple[int, ...]) -> tuple[Bool, Float32]:
    """Return a mask that shows and one that is added, of which at most one has keys."""
    shown, added = np.empty((1, 1, 1, 0), np.bool_), np.empty((1, 1, 1, 0), np.float32)
    if mask is None:
        return shown, added
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
        return array("mask", given, np.bool_), added
    return shown, array("mask", given, np.float32)


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


def attention(
    q: npt.ArrayLike,
    k: npt.ArrayLike,
    v: npt.ArrayLike,
    *,
    scale: float,
    causal: bool,
    window: int = 0,
    softcap: float = 0.0,
    mask: npt.ArrayLike | None = None,
    probabilities: str,
    format: str,
) -> Float32:
    """Return ``softmax(scale q k^T) v`` in the order that the module states.

    Args:
        q: float32 ``[B, H, S, D]``.
        k: float32 ``[B, G, T, D]``; query head h reads head ``h // (H / G)``.
        v: float32 ``[B, G, T, E]``.
        scale: of the scores, rounded to binary32.
        causal: query i sees keys up to ``T - S + i``.
        window: with ``causal``, the number of last keys that it sees; 0: all.
        softcap: bound of the scores; 0: none.
        mask: broadcasts to ``[B, H, S, T]``; a bool shows, float32 is added to the scores.
        probabilities: format in which probabilities are multiplied with values.
        format: of the result ``[B, H, S, E]``.

    Raises:
        ValueError: shapes, types or formats that do not fit.
    """
    query, key, value = (array(n, x, np.float32) for n, x in (("q", q), ("k", k), ("v", v)))
    _check(query, key, value)
    if window < 0 or softcap < 0.0:
        raise ValueError(f"window is {window}, softcap {softcap}; neither may be negative")
    formats = (plain(probabilities), plain(format))
    out = np.zeros((*query.shape[:3], value.shape[3]), np.float32)
    masks = _masks(mask, (*query.shape[:3], key.shape[2]))
    numbers = (np.float32(scale), np.float32(softcap))
    pairs = query.shape[0] * query.shape[1]
    if out.size:
        rows_in_threads(
            lambda first, last: _attend(
                query, (key, value), masks, numbers, causal, window, formats, out, first, last
            ),
            pairs, 1,
        )  # fmt: skip
    return out
