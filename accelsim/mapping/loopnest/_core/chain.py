"""The cheapest chain of tiles: all orders of loops and all uneven placements at once.

One order of loops passes through ever larger tiles. A mapping cuts it at a tile per boundary, so a
mapping is a chain of tiles, each dividing the next, and its cost is a sum over boundaries. Dynamic
programming over (boundaries passed per operand, tile) finds the least of all chains exactly.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Ints, kernel, leaf
from accelsim.mapping.loopnest._core.tables import N_DIMS


@leaf
def spread_minimum(best: Floats, shape: Ints, covers: Ints) -> None:
    """Replace every entry by the least of all tiles that divide its own.

    Args:
        best: float64[P], changed in place.
        shape: int64[8]; tile sizes per loop.
        covers: int64[8, V, M]; per tile size the largest sizes that divide it, -1 where none.
    """
    stride = 1
    for d in range(N_DIMS - 1, -1, -1):
        count = shape[d]
        if count > 1:
            block = count * stride
            for v in range(1, count):
                for m in range(covers.shape[2]):
                    below = covers[d, v, m]
                    if below < 0:
                        break
                    for base in range(0, best.size, block):
                        to, source = base + v * stride, base + below * stride
                        for i in range(stride):
                            best[to + i] = min(best[to + i], best[source + i])
        stride *= count


@leaf
def divides(small: int, large: int, shape: Ints, below: Ints) -> bool:
    """Whether a tile divides another one; ``below[d, a, b]`` says it per loop."""
    for d in range(N_DIMS - 1, -1, -1):
        a, b = small % shape[d], large % shape[d]
        if below[d, a, b] == 0:
            return False
        small //= shape[d]
        large //= shape[d]
    return True


@leaf
def state_of(passed: Ints, depths: Ints) -> int:
    """Index of the numbers of boundaries that the operands have passed."""
    return int((passed[0] * (depths[1] + 1) + passed[1]) * (depths[2] + 1) + passed[2])


@kernel
def cheapest(
    cost: Floats,
    depths: Ints,
    shape: Ints,
    covers: Ints,
    below: Ints,
    best: Floats,
    chain: Ints,
) -> float:
    """Find the cheapest chain.

    Args:
        cost: float64[n, P]; cost of a tile at a boundary, infinite where it does not fit.
            Boundaries are listed operand by operand, from the array outward.
        depths: int64[3]; boundaries per operand.
        shape: int64[8]; tile sizes per loop.
        covers: int64[8, V, M]; see ``spread_minimum``.
        below: int64[8, V, V]; see ``divides``.
        best: float64[states, P]; workspace.
        chain: int64[n, 2]; the result: boundary and tile, from the array outward.

    Returns:
        The cost, infinite when nothing fits.
    """
    points = cost.shape[1]
    first = np.zeros(3, np.int64)
    first[1] = depths[0]
    first[2] = depths[0] + depths[1]
    passed = np.zeros(3, np.int64)
    best[0, :] = 0.0
    for state in range(1, best.shape[0]):
        unpack(state, depths, passed)
        row = best[state]
        row[:] = np.inf
        for operand in range(3):
            if passed[operand] == 0:
                continue
            passed[operand] -= 1
            before = best[state_of(passed, depths)]
            price = cost[first[operand] + passed[operand]]
            passed[operand] += 1
            for p in range(points):
                row[p] = min(row[p], before[p] + price[p])
        spread_minimum(row, shape, covers)
    value = best[best.shape[0] - 1, points - 1]
    if np.isfinite(value):
        trace(cost, depths, shape, below, best, chain)
    return float(value)


@leaf
def unpack(state: int, depths: Ints, passed: Ints) -> None:
    """The inverse of ``state_of``."""
    passed[2] = state % (depths[2] + 1)
    state //= depths[2] + 1
    passed[1] = state % (depths[1] + 1)
    passed[0] = state // (depths[1] + 1)


@leaf
def step_back(
    cost: Floats, found: Ints, shape: Ints, below: Ints, best: Floats, want: Ints
) -> bool:
    """Find the tile of one last boundary that attains a state's minimum at a tile.

    Args:
        cost: see ``cheapest``.
        found: int64[3]; the tile to divide, the boundary, and (the result) its tile.
        shape: see ``cheapest``.
        below: see ``cheapest``.
        best: see ``cheapest``.
        want: int64[2]; the state, and the one before.
    """
    target = best[want[0], found[0]]
    before, price = best[want[1]], cost[found[1]]
    for p in range(found[0], -1, -1):
        if before[p] + price[p] == target and divides(p, found[0], shape, below):
            found[2] = p
            return True
    return False


@kernel
def trace(cost: Floats, depths: Ints, shape: Ints, below: Ints, best: Floats, chain: Ints) -> None:
    """Write the chain that attains the minimum, from the outermost boundary to the innermost."""
    passed = depths.copy()
    found = np.zeros(3, np.int64)
    want = np.zeros(2, np.int64)
    found[0] = cost.shape[1] - 1
    for place in range(chain.shape[0] - 1, -1, -1):
        want[0] = state_of(passed, depths)
        start = 0
        for operand in range(3):
            if passed[operand] > 0:
                passed[operand] -= 1
                want[1] = state_of(passed, depths)
                found[1] = start + passed[operand]
                if step_back(cost, found, shape, below, best, want):
                    break
                passed[operand] += 1
            start += depths[operand]
        chain[place, 0] = found[1]
        chain[place, 1] = found[2]
        found[0] = found[2]
