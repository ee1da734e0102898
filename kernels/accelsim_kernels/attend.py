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
    round_row,
    weigh,
)
from accelsim_kernels.chains import ROWS, chain4, chain_columns
from accelsim_kernels.fused import fma32, of_order
from accelsim_kernels.jit import kernel, part

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
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

    Themselves; scores; keys seen by each, and by all in the last row; orders of the maxima so far
    and of a block, and how many parts a row has; what sums are rescaled by, and sums of
    probabilities; sums of values, below them those of one block; results of parts
    ``[row * parts + part]``, and their logarithms beside room for their weights.
    """

    few: Float32
    scores: Float32
    seen: Bool
    largest: Int32
    totals: Float32
    sums: Float32
    parts: Float32
    logs: Float32


@part
def _score(head: _Head, i: int, count: int, low: int, high: int, own: _Scratch) -> None:
    """Write the products of ``count`` queries from i on with all keys of the tiles in between."""
    depth = head.queries.shape[1]
    copy(head.queries[i : i + count], own.few)
    start, stop = low // TILE * TILE, (high + TILE - 1) // TILE * TILE
    clear(own.scores[:, start:stop])
    for left in range(start, stop, TILE):
        chain4(own.scores, left, own.few, 0, 0, head.keys, left // TILE * depth, 0, depth)


@part
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


@part
def _share(seen: Bool, count: int) -> None:
    """Write which keys all queries see."""
    shared = seen[ROWS]
    for j in range(shared.size):
        shared[j] = seen[0, j]
    for r in range(1, count):
        for j in range(shared.size):
            shared[j] &= seen[r, j]


@part
def _mix(
    sums: Float32, scores: Float32, seen: Bool, values: Float32, count: int, low: int, high: int
) -> None:
    """Add up values: runs of keys that all queries see in tiles, other keys one by one."""
    at = low
    while at < high:
        run = at
        while run < high and seen[ROWS, run]:
            run += 1
        chain_columns(sums, scores, at, values, at, run - at)
        if run < high:
            for r in range(count):
                if seen[r, run]:
                    for d in range(sums.shape[1]):
                        sums[r, d] = fma32(scores[r, run], values[run, d], sums[r, d])
        at = run + 1


@part
def _soften(own: _Scratch, count: int, low: int, high: int, steps: Steps) -> None:
    """Turn the scores of a block into probabilities; rescale and add to the sums of them."""
    maxima, news = own.largest[0], own.largest[1]
    factors, totals = own.totals[0], own.totals[1]
    for r in range(count):
        news[r] = largest_of(own.scores[r, low:high], own.seen[r, low:high])
    advance(maxima, news, steps, factors)
    for r in range(count):
        scores = own.scores[r, low:high]
        if news[r] == NONE:
            for j in range(scores.size):
                scores[j] = np.float32(0)
        else:
            totals[r] *= factors[r]
            weigh(scores, own.seen[r, low:high], of_order(maxima[r]), steps)
    if not steps.rounded_sums:
        _add_up(own.scores, low, high, totals)
    for r in range(count):
        round_probabilities(own.scores[r, low:high], steps)
    if steps.rounded_sums:
        _add_up(own.scores, low, high, totals)


@part
def _rescale(sums: Float32, factors: Float32, count: int, added: bool) -> None:
    """Rescale the sums of rows that see a key of the block, and add those of the block."""
    for r in range(count):
        if factors[r] == np.float32(-1):
            continue
        if added:
            for d in range(sums.shape[1]):
                sums[r, d] = fma32(sums[r, d], factors[r], sums[ROWS + r, d])
        elif factors[r] != np.float32(1):
            for d in range(sums.shape[1]):
                sums[r, d] = sums[r, d] * factors[r]


@part
def _block(own: _Scratch, values: Float32, count: int, low: int, high: int, steps: Steps) -> None:
    """Attend one block of keys."""
    _soften(own, count, low, high, steps)
    if not steps.added:
        _rescale(own.sums, own.totals[0], count, steps.added)
    top = ROWS if steps.added else 0
    target = own.sums[top : top + ROWS]
    if steps.added:
        clear(target)
    _mix(target, own.scores, own.seen, values, count, low, high)
    if steps.added:
        _rescale(own.sums, own.totals[0], count, steps.added)
    if steps.accumulator:
        for r in range(count):
            round_row(own.sums[r], steps.accumulator)


@part
def part_keys(behind: int, steps: Steps) -> int:
    """Return the keys of a part for a query that sees keys before ``behind``."""
    if steps.split_keys:
        return steps.split_keys
    if steps.splits == 1:
        return max(1, behind)
    blocks = (behind + steps.block - 1) // steps.block
    return max(1, (blocks + steps.splits - 1) // steps.splits) * steps.block


@part
def _finish(own: _Scratch, r: int, steps: Steps, result: int, out: Float32) -> None:
    """Write a row as its last part leaves it; one that sees no key stays zero."""
    if own.largest[0, r] != NONE:
        normalize(own.sums[r], own.totals[1, r], steps, result, out)


@part
def _keep(own: _Scratch, count: int, filled: Int32, steps: Steps) -> None:
    """Keep the results of a part for the rows that see a key of it."""
    most = own.logs.shape[1] // ROWS
    for r in range(count):
        if own.largest[0, r] != NONE:
            row = r * most + filled[r]
            own.logs[0, row] = log_sum(own.largest[0, r], own.totals[1, r], steps)
            _finish(own, r, steps, 0, own.parts[row])
            filled[r] += 1


@part
def _parts(own: _Scratch, values: Float32, count: int, low: int, high: int, steps: Steps) -> None:
    """Attend part by part, of which there is one where keys are not split, and block by block."""
    part, filled = part_keys(high, steps), own.largest[2]
    size = steps.block if steps.block else part
    for r in range(ROWS):
        filled[r] = 0
    for start in range(low // part * part, high, part):
        for r in range(ROWS):
            own.largest[0, r], own.totals[1, r] = NONE, np.float32(0)
        clear(own.sums)
        left, right = max(low, start), min(high, start + part)
        first, behind = left // size, (right + size - 1) // size
        for number in range(first, behind):
            n = first + behind - 1 - number if steps.descending else number
            _block(own, values, count, max(left, n * size), min(right, (n + 1) * size), steps)
        if own.logs.size:
            _keep(own, count, filled, steps)


@part
def _join(own: _Scratch, r: int, steps: Steps, result: int, out: Float32) -> None:
    """Merge the parts of a row; one that sees no key stays zero."""
    filled, top = own.largest[2, r], r * (own.logs.shape[1] // ROWS)
    if filled > 0:
        logs, weights = own.logs[0, top : top + filled], own.logs[1, top : top + filled]
        merge(own.parts[top : top + filled], logs, weights, steps, result, out)


@part
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


@part
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
            round_row(own.scores[r, :keys], steps.scores)
        bend(own.scores[r, :keys], where, rules, masks.added)
    _share(own.seen, count)
    _parts(own, head.values, count, low, high, steps)
    for r in range(count):
        if own.logs.size:
            _join(own, r, steps, rules.result, out[i + r])
        else:
            _finish(own, r, steps, rules.result, out[i + r])


@kernel
def _scratch(depth: int, keys: int, width: int, parts: int) -> _Scratch:
    """Allocate for six queries; ``keys`` are whole tiles."""
    return _Scratch(
        np.zeros((ROWS, depth), np.float32),
        np.zeros((ROWS, keys), np.float32),
        np.zeros((ROWS + 1, keys), np.bool_),
        np.zeros((3, ROWS), np.int32),
        np.zeros((2, ROWS), np.float32),
        np.zeros((2 * ROWS, width), np.float32),
        np.zeros((ROWS * parts, width), np.float32),
        np.zeros((2, ROWS * parts), np.float32),
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
        i = np.int64(0)
        while i < q.shape[2]:
            count = _together(i, q.shape[2], keys, rules, steps)
            _six(head, (b, h, i), count, rules, steps, masks, own, keys, out[b, h])
            i += count
