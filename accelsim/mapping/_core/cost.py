"""Closed form of a whole plan: traffic of every link, busy time of every unit, latency.

A plan is a nest of tile loops: at each level the batch loop outside, then the three loops of one of
``ORDERS``. A tile stays where it is while only loops run that do not concern it, so an operand
crosses a link once per iteration of every loop outside the innermost loop that does concern it.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Ints, kernel, leaf, part
from accelsim.mapping._core.array import ceil_div, early_cycles, fill_drain_cycles
from accelsim.mapping._core.banks import bank_ps, holds, link_banks
from accelsim.mapping._core.layout import (
    C_LEVELS,
    C_RESULT_BUFFERS,
    DIMS,
    L_BANKING,
    L_BUFFERS,
    OP_A,
    OP_C,
    OP_W,
    ORDERS,
    P_A_BITS,
    P_A_HERE,
    P_ACC_BITS,
    P_B,
    P_CONV,
    P_O_BITS,
    P_O_HERE_BITS,
    P_VECTOR_MILLICYCLES,
    P_W_BATCHED,
    P_W_BITS,
    P_W_HERE,
    P_X_BITS,
    P_X_HERE_BITS,
    PER_BUFFER,
    R_COST0,
    R_LINK0,
    R_OVERHEAD,
    R_PS_PER_CYCLE,
    R_SETUP0,
    R_TILE,
    S_DATAFLOW,
    S_LEVEL0,
    S_STRIDE,
    B,
    K,
    M,
    N,
)
from accelsim.mapping._core.tile import (
    a_tile_bits,
    array_cycles,
    array_share,
    output_share,
    port_bits,
    sums_stay,
    w_tile_bits,
)

_ORDER_TABLE = np.array(ORDERS, dtype=np.int64)


@part
def tile_size(problem: Ints, machine: Ints, choice: Ints, level: int, dim: int) -> int:
    """Tile size of a level; above the last level stands the whole problem."""
    if level >= machine[C_LEVELS]:
        return problem[P_B + dim]
    return choice[S_LEVEL0 + S_STRIDE * level + dim]


@part
def loop_dim(choice: Ints, level: int, position: int) -> int:
    """Dimension of a loop: position 0 is the batch loop."""
    if position == 0:
        return B
    return _ORDER_TABLE[choice[S_LEVEL0 + S_STRIDE * level + DIMS], position - 1]


@part
def concerns(problem: Ints, operand: int, dim: int) -> bool:
    """Whether a loop over ``dim`` changes the tile of an operand (0 A, 1 W, 2 output)."""
    if operand == OP_A:
        return dim != N
    if operand == OP_W:
        return dim in (N, K) or (dim == B and problem[P_W_BATCHED] == 1)
    return dim != K


@part
def passes(problem: Ints, machine: Ints, choice: Ints, link: int, operand: int) -> int:
    """How often an operand crosses a link as a whole."""
    total = 1
    pending = 1
    for above in range(machine[C_LEVELS] - link):
        level = machine[C_LEVELS] - 1 - above
        for position in range(DIMS):
            dim = loop_dim(choice, level, position)
            outer = tile_size(problem, machine, choice, level + 1, dim)
            trips = ceil_div(outer, tile_size(problem, machine, choice, level, dim))
            if trips == 1:
                continue
            if concerns(problem, operand, dim):
                total *= pending
                pending = 1
            else:
                pending *= trips
    return total


@part
def _tiles_of(problem: Ints, machine: Ints, choice: Ints, link: int, dim: int) -> int:
    return ceil_div(problem[P_B + dim], tile_size(problem, machine, choice, link, dim))


@part
def a_bits_once(problem: Ints, machine: Ints, choice: Ints, link: int) -> int:
    """Bits of one pass of the first operand: halos of a convolution overlap."""
    if problem[P_CONV] == 0:
        return problem[P_A_BITS]
    b = tile_size(problem, machine, choice, link, B)
    k = tile_size(problem, machine, choice, link, K)
    m = tile_size(problem, machine, choice, link, M)
    columns = _tiles_of(problem, machine, choice, link, B) * _tiles_of(
        problem, machine, choice, link, K
    )
    whole = problem[P_B + M] // m
    rest = problem[P_B + M] - whole * m
    bits = whole * a_tile_bits(problem, b, m, k)
    if rest > 0:
        bits += a_tile_bits(problem, b, rest, k)
    return bits * columns


@part
def stays(problem: Ints, machine: Ints, level: int, operand: int) -> bool:
    """Whether an operand lies whole in a level: it is the outermost, and an op before left it."""
    if level + 1 < machine[C_LEVELS]:
        return False
    if operand == OP_A:
        return problem[P_A_HERE] == 1
    return operand == OP_W and problem[P_W_HERE] == 1


@part
def crossing_bits(problem: Ints, machine: Ints, link: int) -> tuple[int, int]:
    """Bits of the epilogue's inputs and of finished outputs that cross a link."""
    if link + 1 < machine[C_LEVELS]:
        return problem[P_X_BITS], problem[P_O_BITS]
    here_x, here_o = problem[P_X_HERE_BITS], problem[P_O_HERE_BITS]
    return problem[P_X_BITS] - here_x, problem[P_O_BITS] - here_o


@part
def queue_traffic(
    problem: Ints, machine: Ints, choice: Ints, link: int
) -> tuple[tuple[int, int, int, int], int]:
    """Bits that cross a link per queue, and how often partial sums leave the level.

    The queues are those of the engines: both operands, sums and what the epilogue reads, stores.
    """
    first, second = np.int64(0), np.int64(0)
    if not stays(problem, machine, link, OP_A):
        once = a_bits_once(problem, machine, choice, link)
        first = once * passes(problem, machine, choice, link, OP_A)
    if not stays(problem, machine, link, OP_W):
        second = problem[P_W_BITS] * passes(problem, machine, choice, link, OP_W)
    visits = passes(problem, machine, choice, link, OP_C)
    sums = problem[P_B] * problem[P_B + M] * problem[P_B + N] * problem[P_ACC_BITS]
    spilled = sums * (visits - 1)
    x_bits, o_bits = crossing_bits(problem, machine, link)
    return (first, second, spilled + x_bits, spilled + o_bits), visits


@leaf
def link_traffic(problem: Ints, machine: Ints, choice: Ints, link: int) -> tuple[int, int, int]:
    """Bits that cross a link: loaded, stored, and how often partial sums leave the level."""
    queues, visits = queue_traffic(problem, machine, choice, link)
    first, second, sums, stored = queues
    return first + second + sums, stored, visits


@part
def floor_bits(problem: Ints, machine: Ints, link: int) -> int:
    """Bits that cross a link under every plan."""
    x_bits, o_bits = crossing_bits(problem, machine, link)
    bits = x_bits + o_bits
    if not stays(problem, machine, link, OP_A):
        bits += problem[P_A_BITS]
    if not stays(problem, machine, link, OP_W):
        bits += problem[P_W_BITS]
    return bits


@part
def setup_ps(problem: Ints, machine: Ints, rates: Floats, link: int) -> float:
    """Latency of a transfer on a link; 0 where all operands lie inside of it."""
    inside = stays(problem, machine, link, OP_A) and stays(problem, machine, link, OP_W)
    return 0.0 if inside else rates[R_SETUP0 + link]


@leaf
def tensor_bits(
    problem: Ints, machine: Ints, levels: Ints, choice: Ints, level: int, partial: bool
) -> tuple[int, int, int]:
    """Bits that a level holds of both operands and of results: tiles with their buffers.

    A whole tensor needs no second buffer, but where each buffer has banks of its own it must fit
    into those of one.
    """
    b = tile_size(problem, machine, choice, level, B)
    m = tile_size(problem, machine, choice, level, M)
    n = tile_size(problem, machine, choice, level, N)
    k = tile_size(problem, machine, choice, level, K)
    buffers = levels[level, L_BUFFERS]
    all_b, all_k = b >= problem[P_B], k >= problem[P_B + K]
    all_m, all_n = m >= problem[P_B + M], n >= problem[P_B + N]
    once = buffers if levels[level, L_BANKING] == PER_BUFFER else 1
    first, second = np.int64(0), np.int64(0)
    if not stays(problem, machine, level, OP_A):
        first = a_tile_bits(problem, b, m, k) * (once if all_b and all_m and all_k else buffers)
    w_all = all_n and all_k and (all_b or problem[P_W_BATCHED] == 0)
    if not stays(problem, machine, level, OP_W):
        second = w_tile_bits(problem, b, n, k) * (once if w_all else buffers)
    x_bits, o_bits = crossing_bits(problem, machine, level)
    out_buffers = once if all_b and all_m and all_n else buffers
    out = b * m * n * problem[P_ACC_BITS] if partial else output_share(problem, o_bits, b, m, n)
    return first, second, (out + output_share(problem, x_bits, b, m, n)) * out_buffers


@part
def level_bits(
    problem: Ints, machine: Ints, levels: Ints, choice: Ints, level: int, partial: bool
) -> int:
    """Bits that a level holds: tiles of all operands with their buffers."""
    first, second, results = tensor_bits(problem, machine, levels, choice, level, partial)
    return first + second + results


@kernel
def busy(
    problem: Ints, machine: Ints, levels: Ints, choice: Ints, rates: Floats
) -> tuple[int, tuple[int, int, int, int], float]:
    """Sum over all tiles, edges included.

    Returns array cycles, bits at the nearest level's port as ``port_bits`` has them, and
    picoseconds in which a tile is synchronized and held by array or port.
    """
    b, m = tile_size(problem, machine, choice, 0, B), tile_size(problem, machine, choice, 0, M)
    n, k = tile_size(problem, machine, choice, 0, N), tile_size(problem, machine, choice, 0, K)
    sizes = (b, m, n, k)
    cycles, first, second = np.int64(0), np.int64(0), np.int64(0)
    sums, written, none = np.int64(0), np.int64(0), np.int64(0)
    occupied = 0.0
    extent = np.empty(DIMS, np.int64)
    for corner in range(1 << DIMS):
        count = _corner(problem, sizes, corner, extent)
        if count == 0:
            continue
        b, m, n, k = extent[B], extent[M], extent[N], extent[K]
        own = array_cycles(problem, machine, choice, b, m, n, k)
        unit = port_bits(problem, machine, choice, b, m, n, k)
        cycles += count * own
        first += count * unit[0]
        second += count * unit[1]
        sums += count * unit[2]
        written += count * unit[3]
        port = bank_ps(levels, rates, unit, (none, none, none, none))
        occupied += count * (rates[R_TILE] + max(np.ceil(own * rates[R_PS_PER_CYCLE]), port))
    return cycles, (first, second, sums, written), occupied


@part
def _corner(problem: Ints, sizes: tuple[int, int, int, int], corner: int, extent: Ints) -> int:
    """Number of tiles that are whole or cut in each dimension as ``corner`` says; their sizes."""
    count = 1
    for dim in range(DIMS):
        whole = problem[P_B + dim] // sizes[dim]
        rest = problem[P_B + dim] - whole * sizes[dim]
        if (corner >> dim) & 1:
            extent[dim] = rest
            count *= 1 if rest > 0 else 0
        else:
            extent[dim] = sizes[dim]
            count *= whole
    return count


@part
def edge_ps(problem: Ints, machine: Ints, choice: Ints, rates: Floats) -> tuple[float, float]:
    """Time before the first tile can start, and after the last one has left the array."""
    b, m = tile_size(problem, machine, choice, 0, B), tile_size(problem, machine, choice, 0, M)
    n, k = tile_size(problem, machine, choice, 0, N), tile_size(problem, machine, choice, 0, K)
    lead = rates[R_OVERHEAD]
    for link in range(machine[C_LEVELS]):
        lead += setup_ps(problem, machine, rates, link)
    first, second = a_tile_bits(problem, b, m, k), w_tile_bits(problem, b, n, k)
    banks = lead + max(
        first * _slowest(problem, machine, rates, OP_A, True),
        second * _slowest(problem, machine, rates, OP_W, True),
    )
    lead += first * _slowest(problem, machine, rates, OP_A, False)
    lead += second * _slowest(problem, machine, rates, OP_W, False)
    last, tail = 0.0, 0.0
    for link in range(machine[C_LEVELS]):
        out = output_share(problem, crossing_bits(problem, machine, link)[1], b, m, n)
        tail += rates[R_SETUP0 + link] if out > 0 else 0.0
        last = max(last, out * max(rates[R_LINK0 + link], link_banks(rates, link, OP_C)))
    flow = choice[S_DATAFLOW]
    _, own_m, own_n = array_share(choice, b, m, n)
    drain = fill_drain_cycles(machine, flow)
    drain -= early_cycles(problem, machine, flow, own_m, own_n, k)
    outputs = problem[P_B] * problem[P_B + M] * problem[P_B + N]
    vector = problem[P_VECTOR_MILLICYCLES] * 1e-3 * (b * m * n / max(1, outputs))
    return max(lead, banks), tail + last + (drain + vector) * rates[R_PS_PER_CYCLE]


@part
def _slowest(problem: Ints, machine: Ints, rates: Floats, operand: int, banks: bool) -> float:
    """Picoseconds per bit of the slowest link that an operand crosses, or of the banks there."""
    slowest = 0.0
    for link in range(machine[C_LEVELS]):
        if not stays(problem, machine, link, operand):
            own = link_banks(rates, link, operand) if banks else rates[R_LINK0 + link]
            slowest = max(slowest, own)
    return slowest


@part
def first_level_partial(problem: Ints, machine: Ints, choice: Ints) -> bool:
    """Whether the nearest level must hold partial sums of its tile."""
    k = tile_size(problem, machine, choice, 0, K)
    if k >= problem[P_B + K]:
        return False
    b, m = tile_size(problem, machine, choice, 0, B), tile_size(problem, machine, choice, 0, M)
    return not sums_stay(problem, machine, choice, b, m, tile_size(problem, machine, choice, 0, N))


@part
def fits(problem: Ints, machine: Ints, levels: Ints, choice: Ints, level: int, visits: int) -> bool:
    """Whether the tiles of a level fit; ``visits`` > 1 means that partial sums pass."""
    # Sums that leave the nearest level pass through it, wherever they waited before.
    spilled = visits > 1 or (level == 0 and first_level_partial(problem, machine, choice))
    first, second, results = tensor_bits(problem, machine, levels, choice, level, spilled)
    return holds(levels, level, first, second, results)


@part
def link_fj(rates: Floats, link: int, loaded: int, stored: int) -> float:
    """Energy of the bits that cross a link."""
    return (float(loaded) + float(stored)) * rates[R_COST0 + link]


@part
def tiles_of(problem: Ints, machine: Ints, choice: Ints, link: int) -> int:
    """Tiles of a level."""
    tiles = 1
    for dim in range(DIMS):
        tiles *= _tiles_of(problem, machine, choice, link, dim)
    return tiles


@leaf
def turnaround_ps(tiles: int, setup_ps: float, spent_ps: float, buffers: int) -> float:
    """Time when buffers limit: each waits for its setup, is filled and used before the next one.

    ``spent_ps`` is the time of filling and using all tiles.
    """
    return (tiles * setup_ps + spent_ps) / buffers if tiles > 1 else 0.0


@part
def link_ps(
    problem: Ints,
    machine: Ints,
    levels: Ints,
    rates: Floats,
    choice: Ints,
    link: int,
    moving: float,
) -> float:
    """Time of a link: that of moving its bits, or its buffers waiting for setups."""
    tiles = tiles_of(problem, machine, choice, link)
    setup = setup_ps(problem, machine, rates, link)
    return max(moving, turnaround_ps(tiles, setup, moving, levels[link, L_BUFFERS]))


@part
def results_ps(problem: Ints, machine: Ints, rates: Floats, choice: Ints, occupied: float) -> float:
    """Time when finished tiles that wait for the vector unit hold back the array."""
    tiles = 1
    for dim in (B, M, N):
        tiles *= _tiles_of(problem, machine, choice, 0, dim)
    drain = fill_drain_cycles(machine, choice[S_DATAFLOW]) * rates[R_PS_PER_CYCLE]
    vector = problem[P_VECTOR_MILLICYCLES] * 1e-3 * rates[R_PS_PER_CYCLE]
    return turnaround_ps(tiles, drain, occupied + vector, machine[C_RESULT_BUFFERS])


@part
def passing_bits(problem: Ints, machine: Ints, choice: Ints, visits: int) -> int:
    """Bits of sums that accumulator memory hands to the nearest level when their tile is left."""
    b, m = tile_size(problem, machine, choice, 0, B), tile_size(problem, machine, choice, 0, M)
    n = tile_size(problem, machine, choice, 0, N)
    if not sums_stay(problem, machine, choice, b, m, n):
        return 0
    sums = problem[P_B] * problem[P_B + M] * problem[P_B + N] * problem[P_ACC_BITS]
    return sums * (visits - 1)
