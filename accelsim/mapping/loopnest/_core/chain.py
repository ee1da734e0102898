"""The cheapest chain of tiles: all orders of loops and all uneven placements at once.

One order of loops passes through ever larger tiles. A mapping cuts it at a tile per boundary, so a
mapping is a chain of tiles, each dividing the next, and its cost is a sum over boundaries. Dynamic
programming over (tile, boundaries passed per operand) finds the least of all chains exactly. The
states of one tile lie side by side, so that they are compared many at a time.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Ints, kernel, part
from accelsim.mapping.loopnest._core.tables import N_DIMS


@part
def divides(small: int, large: int, shape: Ints, below: Ints) -> bool:
    """Whether a tile divides another one; ``below[d, a, b]`` says it per loop."""
    for d in range(N_DIMS - 1, -1, -1):
        a, b = small % shape[d], large % shape[d]
        if below[d, a, b] == 0:
            return False
        small //= shape[d]
        large //= shape[d]
    return True


@part
def strides_of(shape: Ints, strides: Ints) -> None:
    """Write how far apart tiles are that differ by one size of a loop."""
    stride = 1
    for d in range(N_DIMS - 1, -1, -1):
        strides[d] = stride
        stride *= shape[d]


@part
def digits_of(point: int, shape: Ints, digits: Ints) -> None:
    """Write the number of a tile's size per loop."""
    for d in range(N_DIMS - 1, -1, -1):
        digits[d] = point % shape[d]
        point //= shape[d]


@part
def next_digits(shape: Ints, digits: Ints) -> None:
    """Go on to the next tile."""
    for d in range(N_DIMS - 1, -1, -1):
        digits[d] += 1
        if digits[d] < shape[d]:
            return
        digits[d] = 0


@part
def inherit(best: Floats, point: int, digits: Ints, strides: Ints, covers: Ints) -> None:
    """Begin a tile's states with the least of the tiles that divide it."""
    row = best[point]
    row[:] = np.inf
    for d in range(N_DIMS):
        size = digits[d]
        if size == 0:
            continue
        for m in range(covers.shape[2]):
            below = covers[d, size, m]
            if below < 0:
                break
            before = best[point - (size - below) * strides[d]]
            for state in range(row.size):
                row[state] = min(row[state], before[state])
    row[0] = 0.0


@part
def pass_boundaries(cost: Floats, point: int, depths: Ints, row: Floats) -> None:
    """Let boundaries have this tile: each state from those that passed one boundary less."""
    width = depths[2] + 1
    block = (depths[1] + 1) * width
    state = 0
    for a in range(depths[0] + 1):
        first = cost[a - 1, point] if a > 0 else np.inf
        for b in range(depths[1] + 1):
            second = cost[depths[0] + b - 1, point] if b > 0 else np.inf
            last = np.inf
            for c in range(width):
                value = row[state]
                if a > 0:
                    value = min(value, row[state - block] + first)
                if b > 0:
                    value = min(value, row[state - width] + second)
                if c > 0:
                    value = min(value, last + cost[depths[0] + depths[1] + c - 1, point])
                row[state] = value
                last = value
                state += 1


@part
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
        covers: int64[8, V, M]; per tile size the largest sizes that divide it, -1 where none.
        below: int64[8, V, V]; see ``divides``.
        best: float64[P, states]; workspace.
        chain: int64[n, 2]; the result: boundary and tile, from the array outward.

    Returns:
        The cost, infinite when nothing fits.
    """
    digits, strides = np.zeros(N_DIMS, np.int64), np.empty(N_DIMS, np.int64)
    strides_of(shape, strides)
    for point in range(best.shape[0]):
        inherit(best, point, digits, strides, covers)
        pass_boundaries(cost, point, depths, best[point])
        next_digits(shape, digits)
    value = best[best.shape[0] - 1, state_of(depths, depths)]
    if np.isfinite(value):
        trace(cost, depths, shape, below, best, chain)
    return float(value)


@part
def step_back(
    cost: Floats, found: Ints, shape: Ints, below: Ints, best: Floats, want: Ints, places: Ints
) -> bool:
    """Find the tile of one last boundary that attains a state's minimum at a tile.

    Tiles are tried from the largest index down. Where a tile misses the minimum, all that divide it
    do too, and are left out.

    Args:
        cost: see ``cheapest``.
        found: int64[3]; the tile to divide, the boundary, and (the result) its tile.
        shape: see ``cheapest``.
        below: see ``cheapest``.
        best: see ``cheapest``.
        want: int64[2]; the state, and the one before.
        places: int64[3, 8]; workspace: strides, sizes of the tile to divide, sizes tried.
    """
    strides, whole, tried = places[0], places[1], places[2]
    point, price = found[0], cost[found[1]]
    target = best[point, want[0]]
    strides_of(shape, strides)
    digits_of(point, shape, whole)
    digits_of(point, shape, tried)
    d = N_DIMS
    while d >= 0:
        if d == N_DIMS:
            if best[point, want[1]] + price[point] == target:
                found[2] = point
                return True
            d -= 1
        size = tried[d] - 1
        while size >= 0 and below[d, size, whole[d]] == 0:
            size -= 1
        if size < 0:
            point += (whole[d] - tried[d]) * strides[d]
            tried[d] = whole[d]
            d -= 1
            continue
        point -= (tried[d] - size) * strides[d]
        tried[d] = size
        if best[point, want[0]] == target:
            d = N_DIMS
    return False


@kernel
def trace(cost: Floats, depths: Ints, shape: Ints, below: Ints, best: Floats, chain: Ints) -> None:
    """Write the chain that attains the minimum, from the outermost boundary to the innermost."""
    passed = depths.copy()
    found = np.zeros(3, np.int64)
    want = np.zeros(2, np.int64)
    places = np.empty((3, N_DIMS), np.int64)
    found[0] = cost.shape[1] - 1
    for place in range(chain.shape[0] - 1, -1, -1):
        want[0] = state_of(passed, depths)
        start = 0
        for operand in range(3):
            if passed[operand] > 0:
                passed[operand] -= 1
                want[1] = state_of(passed, depths)
                found[1] = start + passed[operand]
                if step_back(cost, found, shape, below, best, want, places):
                    break
                passed[operand] += 1
            start += depths[operand]
        chain[place, 0] = found[1]
        chain[place, 1] = found[2]
        found[0] = found[2]
