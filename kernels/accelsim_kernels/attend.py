"""The loops of attention: six queries at a time, keys and values in the layout of the chains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.attention_scores import (
    TILE,
    Masks,
    Place,
    Rules,
    Span,
    bend,
    clear,
    copy,
    limits,
    see,
    turn_keys,
)
from accelsim_kernels.attention_softmax import (
    NONE,
    Steps,
    advance,
    largest_of,
    log_sum,
    merge,
    normalize,
    round_probabilities,
    weigh,
)
from accelsim_kernels.chains import ROWS, chain4, chain_columns
from accelsim_kernels.fused import fma32, of_order
from accelsim_kernels.jit import kernel, leaf
from accelsim_kernels.rounding import round_all

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

#: What the depth of values is a multiple of.
_VALUES = 16


class _Head(NamedTuple):
    """Operands of one head: keys as panels ``[panel * depth, 64]``, values ``[T, 16 n]``."""

    queries: Float32
    keys: Float32
    values: Float32


class _Scratch(NamedTuple):
    """Of six queries.

    Themselves, scores, keys seen by each and by all, the orders of their maxima, what their sums
    are rescaled by, sums of probabilities, sums of values, those of one block, how many parts
    a row has, and results and logarithms of parts ``[row * parts + part]``.
    """

    few: Float32
    scores: Float32
    seen: Bool
    shared: Bool
    largest: Int32
    rescale: Float32
    totals: Float32
    sums: Float32
    fresh: Float32
    filled: Int64
    parts: Float32
    logs: Float32


@leaf
def _score(head: _Head, i: int, count: int, low: int, high: int, own: _Scratch) -> None:
    """Write the products of ``count`` queries from i on with all keys of the tiles in between."""
    depth = head.queries.shape[1]
    copy(head.queries[i : i + count], own.few)
    start, stop = low // TILE * TILE, (high + TILE - 1) // TILE * TILE
    clear(own.scores[:, start:stop])
    for left in range(start, stop, TILE):
        chain4(own.scores, left, own.few, 0, 0, head.keys, left // TILE * depth, 0, depth)


@leaf
def _add_up(scores: Float32, low: int, high: int, totals: Float32) -> None:
    """Sum six rows at once, each one ascending: alone, every addition waits for the last one."""
    a, b, c, d, e, f = totals[0], totals[1], totals[2], totals[3], totals[4], totals[5]
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
def _mix(own: _Scratch, sums: Float32, values: Float32, count: int, span: Span) -> None:
    """Add up values: runs of keys that all queries see in tiles, other keys one by one."""
    scores, seen = own.scores, own.seen
    at, high = span
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
def _soften(own: _Scratch, count: int, span: Span, steps: Steps) -> None:
    """Turn the scores of a block into probabilities; rescale and add to the sums of them."""
    low, high = span
    for r in range(count):
        scores, seen = own.scores[r, low:high], own.seen[r, low:high]
        new = largest_of(scores, seen)
        own.rescale[r] = np.float32(-1)  # no key of the block is seen: nothing of the row moves
        if new == NONE:
            for j in range(scores.size):
                scores[j] = np.float32(0)
            continue
        own.largest[r], own.rescale[r] = advance(own.largest[r], new, steps)
        own.totals[r] *= own.rescale[r]
        weigh(scores, seen, of_order(own.largest[r]), steps)
    if not steps.rounded_sums:
        _add_up(own.scores, low, high, own.totals)
    for r in range(count):
        round_probabilities(own.scores[r, low:high], steps)
    if steps.rounded_sums:
        _add_up(own.scores, low, high, own.totals)


@leaf
def _rescale(own: _Scratch, count: int, added: bool) -> None:
    """Rescale the sums of values of the rows that see a key of the block, and add its sums."""
    for r in range(count):
        factor = own.rescale[r]
        if factor == np.float32(-1):
            continue
        if added:
            for d in range(own.sums.shape[1]):
                own.sums[r, d] = fma32(own.sums[r, d], factor, own.fresh[r, d])
        elif factor != np.float32(1):
            for d in range(own.sums.shape[1]):
                own.sums[r, d] = own.sums[r, d] * factor


@leaf
def _block(own: _Scratch, values: Float32, count: int, span: Span, steps: Steps) -> None:
    """Attend one block of keys."""
    _soften(own, count, span, steps)
    if steps.added:
        clear(own.fresh)
        _mix(own, own.fresh, values, count, span)
        _rescale(own, count, True)
    else:
        _rescale(own, count, False)
        _mix(own, own.sums, values, count, span)
    if steps.accumulator:
        for r in range(count):
            round_all(own.sums[r], steps.accumulator, own.sums[r])


@leaf
def _blocks(own: _Scratch, values: Float32, count: int, span: Span, steps: Steps) -> None:
    """Attend the keys of a part, block by block."""
    low, high = span
    for r in range(ROWS):
        own.largest[r], own.totals[r] = NONE, np.float32(0)
    clear(own.sums)
    size = steps.block if steps.block else high
    first, behind = low // size, (high + size - 1) // size
    for number in range(first, behind):
        n = first + behind - 1 - number if steps.descending else number
        _block(own, values, count, (max(low, n * size), min(high, (n + 1) * size)), steps)


@leaf
def part_keys(behind: int, steps: Steps) -> int:
    """Return the keys of a part for a query that sees keys before ``behind``."""
    if steps.split_keys:
        return steps.split_keys
    if steps.splits == 1:
        return max(1, behind)
    blocks = (behind + steps.block - 1) // steps.block
    return max(1, (blocks + steps.splits - 1) // steps.splits) * steps.block


@leaf
def _parts(own: _Scratch, values: Float32, count: int, span: Span, steps: Steps) -> None:
    """Attend part by part, and keep the results of those in which a row sees a key."""
    low, high = span
    most, size = own.logs.size // ROWS, part_keys(high, steps)
    for r in range(count):
        own.filled[r] = 0
    for part in range(low // size, (high + size - 1) // size):
        _blocks(own, values, count, (max(low, part * size), min(high, (part + 1) * size)), steps)
        for r in range(count):
            if own.largest[r] != NONE:
                row = r * most + own.filled[r]
                own.logs[row] = log_sum(own.largest[r], own.totals[r], steps)
                normalize(own.sums[r], own.totals[r], steps, 0, own.parts[row])
                own.filled[r] += 1


@leaf
def _finish(own: _Scratch, r: int, steps: Steps, result: int, out: Float32) -> None:
    """Write a row of the result; one that sees no key stays zero."""
    most = own.logs.size // ROWS
    if most:
        top, behind = r * most, r * most + own.filled[r]
        if top < behind:
            merge(own.parts[top:behind], own.logs[top:behind], steps, result, out)
    elif own.largest[r] != NONE:
        normalize(own.sums[r], own.totals[r], steps, result, out)


@leaf
def _together(i: int, queries: int, keys: int, rules: Rules, steps: Steps) -> int:
    """Return how many queries from i on, up to six, have parts of the same size."""
    size = part_keys(limits(i, queries, keys, rules)[1], steps)
    count = 1
    while count < min(ROWS, queries - i):
        other = part_keys(limits(i + count, queries, keys, rules)[1], steps)
        if steps.splits > 1 and other != size:
            break
        count += 1
    return count


@leaf
def _six(
    head: _Head, place: Place, count: int, rules: Rules, steps: Steps, masks: Masks,
    own: _Scratch, keys: int, out: Float32,
) -> None:  # fmt: skip
    """Attend up to six queries from ``place`` on."""
    i, queries = place[2], head.queries.shape[0]
    low = limits(i, queries, keys, rules)[0]
    high = limits(i + count - 1, queries, keys, rules)[1]
    _score(head, i, count, low, high, own)
    for r in range(count):
        where = (place[0], place[1], i + r)
        see(where, limits(i + r, queries, keys, rules), masks, own.seen[r, :keys])
        if steps.scores:
            round_all(own.scores[r, :keys], steps.scores, own.scores[r, :keys])
        bend(own.scores[r, :keys], where, rules, masks.added)
    _share(own.seen[:count], own.shared)
    if own.logs.size:
        _parts(own, head.values, count, (low, high), steps)
    else:
        _blocks(own, head.values, count, (low, high), steps)
    for r in range(count):
        _finish(own, r, steps, rules.result, out[i + r])


@kernel
def _scratch(depth: int, keys: int, width: int, parts: int) -> _Scratch:
    """Allocate for six queries; ``keys`` are whole tiles."""
    return _Scratch(
        np.zeros((ROWS, depth), np.float32),
        np.zeros((ROWS, keys), np.float32),
        np.zeros((ROWS, keys), np.bool_),
        np.zeros(keys, np.bool_),
        np.zeros(ROWS, np.int32),
        np.zeros(ROWS, np.float32),
        np.zeros(ROWS, np.float32),
        np.zeros((ROWS, width), np.float32),
        np.zeros((ROWS, width), np.float32),
        np.zeros(ROWS, np.int64),
        np.zeros((ROWS * parts, width), np.float32),
        np.zeros(ROWS * parts, np.float32),
    )


@kernel
def attend(
    q: Float32, k: Float32, v: Float32, rules: Rules, steps: Steps, masks: Masks, out: Float32,
    first: int, last: int,
) -> None:  # fmt: skip
    """Run pairs of batch and head; ``out`` begins as zeros."""
    heads, depth, keys, width = q.shape[1], q.shape[3], k.shape[2], v.shape[3]
    group = heads // k.shape[1]
    tiles, whole = (keys + TILE - 1) // TILE, (width + _VALUES - 1) // _VALUES * _VALUES
    panels = np.zeros((tiles * depth, TILE), np.float32)
    values = np.zeros((keys, whole), np.float32)
    parts = steps.splits if steps.splits > 1 else 0
    if steps.split_keys:
        parts = (keys + steps.split_keys - 1) // steps.split_keys
    own = _scratch(depth, tiles * TILE, whole, parts)
    for pair in range(first, last):
        b, h = pair // heads, pair % heads
        if pair == first or h % group == 0:
            turn_keys(k[b, h // group], panels)
            copy(v[b, h // group], values)
        head = _Head(q[b, h], panels, values)
        i = 0
        while i < q.shape[2]:
            count = _together(i, q.shape[2], keys, rules, steps)
            _six(head, (b, h, i), count, rules, steps, masks, own, keys, out[b, h])
            i += count
