"""One block of keys in attention: exponents, probabilities, the running maximum and the merge.

Loops over one row, in place. ``attend`` calls them for six rows at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.attention_exponential import half, log64, power_all
from accelsim_kernels.fused import bits_of, divide32, float_of, fma32, of_order, order_of
from accelsim_kernels.jit import part
from accelsim_kernels.rounding import round_all, rounded

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]

#: Stands for the order of a maximum of no scores.
NONE = np.int32(-(2**31))
#: Formats of probabilities inside kernels, after those of ``PLAIN``.
E4M3, E5M2, INT8 = 3, 4, 5


class Steps(NamedTuple):
    """What of the arithmetic the loops follow; formats and powers by their numbers.

    ``factor`` turns a difference of scores into an exponent; ``unscale`` takes the scale of the
    probabilities off the result; ``spread`` turns a maximum into a scaled score.
    """

    block: int
    descending: bool
    power: int
    folded: bool
    factor: np.float32
    scores: int
    probabilities: int
    scale: np.float32
    unscale: np.float32
    rounded_sums: bool
    above: np.float32
    accumulator: int
    added: bool
    reciprocal: bool
    splits: int
    split_keys: int
    pairwise: bool
    spread: np.float32


@part
def largest_of(scores: Float32, seen: Bool) -> np.int32:
    """Return the order of the largest score that is seen."""
    key = NONE
    for j in range(scores.size):
        key = max(key, order_of(scores[j]) if seen[j] else NONE)
    return key


@part
def advance(old: Int32, new: Int32, steps: Steps, factors: Float32) -> None:
    """Move the maxima of six rows, and write what their sums so far are multiplied by.

    -1 where no key of the block is seen: nothing of the row moves.
    """
    for r in range(old.size):
        factors[r] = np.float32(0)
        if new[r] > old[r] and old[r] != NONE:
            difference = of_order(old[r]) - of_order(new[r])
            factors[r] = difference * steps.factor if steps.power else difference
    for r in range(old.size):
        # Growth that is tolerated leaves the maximum; NaN is not.
        passes = steps.above > np.float32(0) and factors[r] >= -steps.above
        if passes and old[r] != NONE:
            factors[r] = np.float32(0)
        else:
            old[r] = max(old[r], new[r])
    power_all(factors, steps.power)
    for r in range(old.size):
        if new[r] == NONE:
            factors[r] = np.float32(-1)


@part
def weigh(scores: Float32, seen: Bool, largest: np.float32, steps: Steps) -> None:
    """Turn scores into powers; keys that are not seen get +0, which changes no sum."""
    if steps.folded:
        shift = -(largest * steps.factor)
        for j in range(scores.size):
            scores[j] = fma32(scores[j], steps.factor, shift)
    elif steps.power:
        for j in range(scores.size):
            scores[j] = (scores[j] - largest) * steps.factor
    else:
        for j in range(scores.size):
            scores[j] = scores[j] - largest
    power_all(scores, steps.power)
    # A loop of its own: a branch around the power would keep it from being done in vectors.
    for j in range(scores.size):
        scores[j] = scores[j] if seen[j] else np.float32(0)


@part
def _to_fp8(x: np.float32, fraction: int, lowest: int, largest: np.float32) -> np.float32:
    """Round a number that is not negative to FP8: ties to even, saturating; NaN stays."""
    drop = np.uint32(23 - fraction)
    bits, one = bits_of(x), np.uint32(1)
    odd = (bits >> drop) & one
    normal = float_of(((bits + (one << (drop - one)) - one + odd) >> drop) << drop)
    step = float_of(np.uint32((lowest - fraction + 127) << 23))
    small = np.float32(np.rint(divide32(x, step))) * step
    smallest = float_of(np.uint32((lowest + 127) << 23))
    made = small if x < smallest else normal
    made = made if made < largest else largest
    return made if x == x else x


@part
def round_row(x: Float32, fmt: int) -> None:
    """Round to the format with that number in ``PLAIN``."""
    if fmt == 1:
        round_all(x, fmt, x)
    elif fmt == 2:
        for j in range(x.size):
            x[j] = half(x[j])


@part
def round_probabilities(p: Float32, steps: Steps) -> None:
    """Scale and round probabilities to the format in which they enter the array."""
    if steps.scale != np.float32(1):
        for j in range(p.size):
            p[j] = p[j] * steps.scale
    if steps.probabilities == E4M3:
        for j in range(p.size):
            p[j] = _to_fp8(p[j], 3, -6, np.float32(448))
    elif steps.probabilities == E5M2:
        for j in range(p.size):
            p[j] = _to_fp8(p[j], 2, -14, np.float32(57344))
    elif steps.probabilities == INT8:
        for j in range(p.size):
            code = np.float32(np.rint(p[j]))
            p[j] = np.float32(127) if code > np.float32(127) else code
    else:
        round_row(p, steps.probabilities)


@part
def normalize(sums: Float32, total: np.float32, steps: Steps, result: int, out: Float32) -> None:
    """Divide a row by its sum, or multiply it with the reciprocal, and round it."""
    inverse = divide32(np.float32(1), total)
    for d in range(out.size):
        value = sums[d] * steps.unscale
        value = value * inverse if steps.reciprocal else divide32(value, total)
        out[d] = rounded(value, result)


@part
def log_sum(largest: np.int32, total: np.float32, steps: Steps) -> np.float32:
    """Return the logarithm of the sum of all exponentials of a part."""
    return of_order(largest) * steps.spread + np.float32(log64(total))


@part
def _relative(x: Float32, steps: Steps) -> None:
    """Replace differences of logarithms by e^x, by the unit's power."""
    if steps.power:
        for s in range(x.size):
            x[s] = x[s] * np.float32(1.4426950408889634)
    power_all(x, steps.power)


@part
def _merge_together(
    parts: Float32, logs: Float32, weights: Float32, steps: Steps, out: Float32
) -> None:
    key, total = NONE, np.float32(0)
    for s in range(logs.size):
        key = max(key, order_of(logs[s]))
    for s in range(logs.size):
        weights[s] = logs[s] - of_order(key)
    _relative(weights, steps)
    for s in range(logs.size):
        total += weights[s]
    whole = of_order(key) + np.float32(log64(total))
    for s in range(logs.size):
        weights[s] = logs[s] - whole
    _relative(weights, steps)
    for s in range(logs.size):
        for d in range(out.size):
            out[d] = fma32(weights[s], parts[s, d], out[d])


@part
def _merge_pairwise(
    parts: Float32, logs: Float32, weights: Float32, steps: Steps, out: Float32
) -> None:
    log = logs[0]
    for d in range(out.size):
        out[d] = parts[0, d]
    for s in range(1, logs.size):
        largest = of_order(max(order_of(log), order_of(logs[s])))
        weights[0], weights[1] = log - largest, logs[s] - largest
        _relative(weights[:2], steps)
        total = weights[0] + weights[1]
        old, new = divide32(weights[0], total), divide32(weights[1], total)
        for d in range(out.size):
            out[d] = fma32(parts[s, d], new, out[d] * old)
        log = largest + np.float32(log64(total))


@part
def merge(
    parts: Float32, logs: Float32, weights: Float32, steps: Steps, result: int, out: Float32
) -> None:
    """Merge the rows of all parts that see a key, by the logarithms of their sums.

    ``weights`` is room for as many; ``out`` begins as zeros.
    """
    if steps.pairwise:
        _merge_pairwise(parts, logs, weights, steps, out)
    else:
        _merge_together(parts, logs, weights, steps, out)
    for d in range(out.size):
        out[d] = rounded(out[d], result)
