"""Every mapping of one unrolling, costed one by one: what proofs are tested against."""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Ints, kernel, part
from accelsim.mapping.loopnest._core.chain import divides

# Columns of the result: least energy, least longest port, mappings that fit, mappings costed.
LEAST_ENERGY, LEAST_PORT, FITTING, COSTED = 0, 1, 2, 3
# Columns of a partial sum: energy, whether all fits (0 when it does); ports and memories follow.
_ENERGY, _OVER, _PORTS = 0, 1, 2


@kernel
def multiples(shape: Ints, below: Ints, starts: Ints, listed: Ints) -> int:
    """List, for every tile, the tiles that it divides.

    Args:
        shape: int64[8]; tile sizes per loop.
        below: int64[8, V, V]; see ``divides``.
        starts: int64[P + 1]; where each list starts.
        listed: int64[n]; all lists; left alone where ``n`` is 0, to count first.

    Returns:
        How many there are.
    """
    points = starts.size - 1
    total = 0
    for small in range(points):
        starts[small] = total
        for large in range(small, points):
            if divides(small, large, shape, below):
                if listed.size:
                    listed[total] = large
                total += 1
    starts[points] = total
    return total


@part
def add(before: Floats, entry: Floats, memory: int, room: Floats, to: Floats) -> bool:
    """Add a boundary's tile to a partial sum; false when it cannot be.

    Args:
        before: float64[2 + ports + memories].
        entry: float64[2 + ports]; energy, bits held, cycles of every port.
        memory: below the boundary, -1 for none.
        room: float64[memories].
        to: the new sum.
    """
    held = entry[1]
    if held == np.inf:
        return False
    ports = entry.size - 2
    to[_ENERGY] = before[_ENERGY] + entry[0]
    for port in range(ports):
        to[_PORTS + port] = before[_PORTS + port] + entry[2 + port]
    base = _PORTS + ports
    for m in range(room.size):
        to[base + m] = before[base + m]
    to[_OVER] = before[_OVER]
    if memory >= 0:
        to[base + memory] += held
        if to[base + memory] > room[memory]:
            to[_OVER] = 1.0
    return True


@part
def close(
    partial: Floats, rows: Floats, memory: int, room: Floats, tiles: Ints, out: Floats
) -> None:
    """Cost the mappings that end a partial sum with each of some tiles.

    Args:
        partial: see ``add``.
        rows: float64[P, 2 + ports]; tables of the last boundary.
        memory: below it.
        room: float64[memories].
        tiles: of the last boundary.
        out: see ``every_mapping``.
    """
    ports = rows.shape[1] - 2
    taken = partial[_PORTS + ports + memory] if memory >= 0 else 0.0
    limit = room[memory] if memory >= 0 else np.inf
    energy, port_cycles = out[LEAST_ENERGY], out[LEAST_PORT]
    fitting, costed = 0, 0
    for p in tiles:
        held = rows[p, 1]
        if held == np.inf:
            continue
        costed += 1
        total = partial[_ENERGY] + rows[p, 0]
        worst = 0.0
        for port in range(ports):
            worst = max(worst, partial[_PORTS + port] + rows[p, 2 + port])
        if partial[_OVER] == 0.0 and taken + held <= limit:
            fitting += 1
            energy = min(energy, total)
            port_cycles = min(port_cycles, worst)
    out[LEAST_ENERGY], out[LEAST_PORT] = energy, port_cycles
    out[FITTING] += fitting
    out[COSTED] += costed


@kernel
def every_mapping(
    order: Ints,
    tables: Floats,
    room: Floats,
    memories: Ints,
    starts: Ints,
    listed: Ints,
    out: Floats,
) -> None:
    """Cost all chains with one order of boundaries: energy, ports, room.

    Args:
        order: int64[n]; boundaries from the array outward along the chain.
        tables: float64[n, P, 2 + ports]; see ``add``.
        room: float64[memories].
        memories: int64[n]; memory below each boundary, -1 for none.
        starts: int64[P + 1]; see ``multiples``.
        listed: int64[m]; see ``multiples``.
        out: float64[4]; the first two columns are lowered, the others grow.
    """
    n = order.size
    ports = tables.shape[2] - 2
    sums = np.zeros((n + 1, _PORTS + ports + room.size))
    at = np.zeros(n + 1, np.int64)
    end = np.zeros(n + 1, np.int64)
    at[0], end[0] = starts[0], starts[1]
    last = order[n - 1]
    depth = 0
    while depth >= 0:
        if depth == n - 1:
            tiles = listed[at[depth] : end[depth]]
            close(sums[depth], tables[last], memories[last], room, tiles, out)
            depth -= 1
            continue
        if at[depth] == end[depth]:
            depth -= 1
            continue
        p = listed[at[depth]]
        at[depth] += 1
        b = order[depth]
        if add(sums[depth], tables[b, p], memories[b], room, sums[depth + 1]):
            depth += 1
            at[depth], end[depth] = starts[p], starts[p + 1]
