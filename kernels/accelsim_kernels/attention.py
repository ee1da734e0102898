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
from accelsim_kernels.attend import Masks, Rules, attend
from accelsim_kernels.jit import rows_in_threads
from accelsim_kernels.rounding import plain

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


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
    rules = Rules(
        np.float32(scale), np.float32(softcap), bool(causal), int(window),
        plain(probabilities), plain(format),
    )  # fmt: skip
    out = np.zeros((*query.shape[:3], value.shape[3]), np.float32)
    masks = _masks(mask, (*query.shape[:3], key.shape[2]))
    if out.size and key.shape[2]:
        rows_in_threads(
            lambda first, last: attend(query, key, value, rules, masks, out, first, last),
            query.shape[0] * query.shape[1], 1,
        )  # fmt: skip
    return out
