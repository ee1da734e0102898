"""The loops of attention: six queries at a time, keys and values in the layout of the chains."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from accelsim_kernels.chains import ROWS, chain4, chain_columns
from accelsim_kernels.functions import exp64, tanh64
from accelsim_kernels.fused import divide32, fma32, of_order, order_of
from accelsim_kernels.jit import kernel, leaf
from accelsim_kernels.rounding import round_all, rounded

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Mask = TypeVar("Mask", Bool, Float32)
#: Batch, head, query.
Place = tuple[int, int, int]

#: Keys of a tile of scores, and what the depth of values is a multiple of.
_KEYS, _VALUES = 64, 16
_NONE = np.int32(-(2**31))


class Rules(NamedTuple):
    """What every query follows; formats by their numbers in ``PLAIN``."""

    scale: np.float32
    cap: np.float32
    causal: bool
    window: int
    probabilities: int
    result: int


class Masks(NamedTuple):
    """``[B or 1, H or 1, S or 1, T or 0]``: keys that are shown, and numbers that are added.

    Minus infinity, added, hides a key.
    """

    shown: Bool
    added: Float32


class _Head(NamedTuple):
    """Operands of one head: keys as panels ``[panel * depth, 64]``, values ``[T, 16 n]``."""

    queries: Float32
    keys: Float32
    values: Float32


class _Scratch(NamedTuple):
    """Of six queries: themselves, scores, the keys seen by each and all, totals, sums of values."""

    few: Float32
    scores: Float32
    seen: Bool
    shared: Bool
    totals: Float32
    sums: Float32


@leaf
def _copy(source: Float32, target: Float32) -> None:
    """Fill the upper left. Numba compiles a line that does it for ten seconds."""
    for row in range(source.shape[0]):
        for column in range(source.shape[1]):
            target[row, column] = source[row, column]


@leaf
def _clear(target: Float32) -> None:
    for row in range(target.shape[0]):
        for column in range(target.shape[1]):
            target[row, column] = np.float32(0)


@leaf
def _turn_keys(k: Float32, panels: Float32) -> None:
    keys, depth = k.shape
    for j in range(keys):
        top = j // _KEYS * depth
        for d in range(depth):
            panels[top + d, j % _KEYS] = k[j, d]


@leaf
def _limits(i: int, queries: int, keys: int, rules: Rules) -> tuple[int, int]:
    """Return the first key that a query may see and the one behind the last."""
    if not rules.causal:
        return 0, keys
    behind = min(keys, max(0, keys - queries + i + 1))
    return max(0, behind - rules.window) if rules.window > 0 else 0, behind


@leaf
def _score(head: _Head, i: int, count: int, low: int, high: int, own: _Scratch) -> None:
    """Write the products of ``count`` queries from i on with all keys of the tiles in between."""
    depth = head.queries.shape[1]
    _copy(head.queries[i : i + count], own.few)
    start, stop = low // _KEYS * _KEYS, (high + _KEYS - 1) // _KEYS * _KEYS
    _clear(own.scores[:, start:stop])
    for left in range(start, stop, _KEYS):
        chain4(own.scores, left, own.few, 0, 0, head.keys, left // _KEYS * depth, 0, depth)


@leaf
def _line(mask: Mask, place: Place) -> Place:
    """Return which row of a mask belongs to a query."""
    b, h, i, _ = mask.shape
    return min(place[0], b - 1), min(place[1], h - 1), min(place[2], i - 1)


@leaf
def _see(place: Place, span: tuple[int, int], masks: Masks, seen: Bool) -> None:
    """Write which keys a query sees."""
    for j in range(seen.size):
        seen[j] = span[0] <= j < span[1]
    if masks.shown.shape[3] > 0:
        shown = masks.shown[_line(masks.shown, place)]
        for j in range(seen.size):
            seen[j] &= shown[j]
    if masks.added.shape[3] > 0:
        added = masks.added[_line(masks.added, place)]
        for j in range(seen.size):
            seen[j] &= added[j] != np.float32(-np.inf)


@leaf
def _bend(scores: Float32, place: Place, rules: Rules, added: Float32) -> None:
    """Scale, cap and shift the scores of a query."""
    for j in range(scores.size):
        scores[j] = scores[j] * rules.scale
    if rules.cap > np.float32(0):
        for j in range(scores.size):
            bent = np.float32(tanh64(np.float64(divide32(scores[j], rules.cap))))
            scores[j] = rules.cap * bent
    if added.shape[3] > 0:
        line = added[_line(added, place)]
        for j in range(line.size):
            scores[j] = scores[j] + line[j]


@leaf
def _weigh(scores: Float32, seen: Bool) -> None:
    """Turn scores into exponentials; keys that are not seen get +0, which changes no sum."""
    key = _NONE
    for j in range(scores.size):
        key = max(key, order_of(scores[j]) if seen[j] else _NONE)
    largest = of_order(key)
    for j in range(scores.size):
        scores[j] = np.float32(exp64(np.float64(scores[j] - largest)))
    # A loop of its own: a branch around the exponential would keep it from being done in vectors.
    for j in range(scores.size):
        scores[j] = scores[j] if seen[j] else np.float32(0)


@leaf
def _sum_up(scores: Float32, low: int, high: int, totals: Float32) -> None:
    """Sum six rows at once, each one ascending: alone, every addition waits for the last one."""
    a = b = c = d = e = f = np.float32(0)
    for j in range(low, high):
        a += scores[0, j]
        b += scores[1, j]
        c += scores[2, j]
        d += scores[3, j]
        e += scores[4, j]
        f += scores[5, j]
    totals[0], totals[1], totals[2], totals[3], totals[4], totals[5] = a, b, c, d, e, f


@leaf
def _share(seen: Bool, shared: Bool) -> None:
    """Write which keys all queries see."""
    for j in range(shared.size):
        shared[j] = seen[0, j]
    for r in range(1, seen.shape[0]):
        for j in range(shared.size):
            shared[j] &= seen[r, j]


@leaf
def _mix(own: _Scratch, values: Float32, count: int, low: int, high: int) -> None:
    """Add up values: runs of keys that all queries see in tiles, other keys one by one."""
    scores, seen, sums = own.scores, own.seen, own.sums
    _clear(sums)
    _share(seen[:count], own.shared)
    at = low
    while at < high:
        run = at
        while run < high and own.shared[run]:
            run += 1
        chain_columns(sums, scores, at, values, at, run - at)
        if run < high:
            for r in range(count):
                if seen[r, run]:
                    for d in range(sums.shape[1]):
                        sums[r, d] = fma32(scores[r, run], values[run, d], sums[r, d])
        at = run + 1


@leaf
def _six(
    head: _Head, place: Place, rules: Rules, masks: Masks, own: _Scratch,
    keys: int, out: Float32,
) -> None:  # fmt: skip
    """Attend up to six queries from ``place`` on."""
    i, queries = place[2], head.queries.shape[0]
    count = min(ROWS, queries - i)
    low = _limits(i, queries, keys, rules)[0]
    high = _limits(i + count - 1, queries, keys, rules)[1]
    _score(head, i, count, low, high, own)
    for r in range(count):
        where = (place[0], place[1], i + r)
        _see(where, _limits(i + r, queries, keys, rules), masks, own.seen[r])
        _bend(own.scores[r, :keys], where, rules, masks.added)
        _weigh(own.scores[r, low:high], own.seen[r, low:high])
    _sum_up(own.scores, low, high, own.totals)
    if rules.probabilities:
        for r in range(count):
            part = own.scores[r, low:high]
            round_all(part, rules.probabilities, part)
    _mix(own, head.values, count, low, high)
    for r in range(count):
        if own.totals[r] != np.float32(0):
            for d in range(out.shape[1]):
                out[i + r, d] = rounded(divide32(own.sums[r, d], own.totals[r]), rules.result)


@kernel
def attend(
    q: Float32, k: Float32, v: Float32, rules: Rules, masks: Masks, out: Float32,
    first: int, last: int,
) -> None:  # fmt: skip
    """Run pairs of batch and head; ``out`` begins as zeros."""
    heads, depth, keys, width = q.shape[1], q.shape[3], k.shape[2], v.shape[3]
    group = heads // k.shape[1]
    tiles, whole = (keys + _KEYS - 1) // _KEYS, (width + _VALUES - 1) // _VALUES * _VALUES
    panels = np.zeros((tiles * depth, _KEYS), np.float32)
    values = np.zeros((keys, whole), np.float32)
    own = _Scratch(
        np.zeros((ROWS, depth), np.float32),
        np.zeros((ROWS, tiles * _KEYS), np.float32),
        np.zeros((ROWS, keys), np.bool_),
        np.zeros(keys, np.bool_),
        np.zeros(ROWS, np.float32),
        np.zeros((ROWS, whole), np.float32),
    )
    for pair in range(first, last):
        b, h = pair // heads, pair % heads
        if pair == first or h % group == 0:
            _turn_keys(k[b, h // group], panels)
            _copy(v[b, h // group], values)
        head = _Head(q[b, h], panels, values)
        for i in range(0, q.shape[2], ROWS):
            _six(head, (b, h, i), rules, masks, own, keys, out[b, h])
