"""Exact branch and bound over a fixed set of tile sizes, loop orders, dataflows and array splits.

The set of candidates depends on the op and on the array alone, never on memory sizes or rates: more
memory only admits more of them, and more bandwidth makes each of them faster, so the optimum never
gets slower. Nearest-level choices are sorted by a bound that holds for every outer choice.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Ints, kernel, leaf, part
from accelsim.mapping._core.banks import bank_ps, moving_ps
from accelsim.mapping._core.cost import (
    busy,
    edge_ps,
    fits,
    floor_bits,
    link_fj,
    link_ps,
    passing_bits,
    queue_traffic,
    results_ps,
    setup_ps,
    tiles_of,
    turnaround_ps,
)
from accelsim.mapping._core.layout import (
    C_LEVELS,
    DIMS,
    EDP,
    ENERGY,
    L_BUFFERS,
    LATENCY,
    ORDERS,
    P_B,
    P_O_BITS,
    P_VECTOR_MILLICYCLES,
    P_X_BITS,
    R_LINK0,
    R_OBJECTIVE,
    R_PORT_COST,
    R_PS_PER_CYCLE,
    S_LEVEL0,
    S_SIZE,
    S_STRIDE,
)
from accelsim.mapping._core.waste import wasted_bits

_N_ORDERS = len(ORDERS)

# What a nearest-level candidate is sorted and bounded by.
(
    _BOUND, _EDGE, _OCCUPIED, _HELD, _READ_A, _READ_W, _SUMS, _WRITTEN, _COST, _LATENCY, _FLOOR,
    _FACTS,
) = range(11 + 1)  # fmt: skip


@part
def on_grid(latency_ps: float) -> float:
    """Round a latency up to whole picoseconds and nine significant bits, at most 0.4 % more.

    The closed form is no more accurate than that, and plans that it cannot tell apart are told
    apart by their energy. Rounding up keeps the order: what is faster before is never slower after.
    """
    step = 1.0
    while latency_ps >= 512.0 * step:
        step *= 2.0
    return np.ceil(latency_ps / step) * step


@leaf
def score(rates: Floats, latency_ps: float, cost_fj: float) -> float:
    """What is searched for; it never falls when time or energy rises, so bounds stay bounds."""
    if rates[R_OBJECTIVE] == ENERGY:
        return cost_fj
    if rates[R_OBJECTIVE] == EDP:
        return latency_ps * cost_fj
    return latency_ps


@part
def _tie(rates: Floats, latency_ps: float, cost_fj: float) -> float:
    """What tells plans of equal score apart."""
    return cost_fj if rates[R_OBJECTIVE] == LATENCY else latency_ps


@part
def _worse(rates: Floats, latency_ps: float, cost_fj: float, best: Floats) -> bool:
    """Whether no plan with these bounds can replace the best one."""
    bound = score(rates, latency_ps, cost_fj)
    if bound != best[0, 0]:
        return bound > best[0, 0]
    return _tie(rates, latency_ps, cost_fj) >= best[0, 1]


@part
def _cost_floor(problem: Ints, machine: Ints, rates: Floats) -> float:
    """Energy of moving every operand over every link once."""
    cost = 0.0
    for link in range(machine[C_LEVELS]):
        cost += link_fj(rates, link, floor_bits(problem, machine, link), 0)
    return cost


@part
def vector_ps(problem: Ints, rates: Floats) -> float:
    """Picoseconds of the vector unit for the whole op."""
    return problem[P_VECTOR_MILLICYCLES] * 1e-3 * rates[R_PS_PER_CYCLE]


@kernel
def inner_candidates(
    problem: Ints,
    machine: Ints,
    levels: Ints,
    rates: Floats,
    heads: Ints,
    sizes: Ints,
) -> tuple[Ints, Floats]:
    """Return nearest-level choices that fit, and what bounds them, sorted by the bound.

    Takes the vectors of ``layout``, and ``heads``: int64 ``[n, 4]``, a dataflow and a split over
    batch, rows and columns each; ``sizes``: int64 ``[4, 1 + max]``, per dimension the number of
    candidate tile sizes, then the candidates.
    """
    n_heads = heads.shape[0]
    total = n_heads * _tiles(sizes)
    choices = np.empty((total, S_SIZE), np.int64)
    facts = np.empty((total, _FACTS), np.float64)
    floor = _traffic_floor(problem, machine, rates)
    cheapest = _cost_floor(problem, machine, rates)
    found = 0
    choice = np.zeros(S_SIZE, np.int64)
    for flat in range(total):
        _decode(flat, n_heads, heads, sizes, choice)
        if not fits(problem, machine, levels, choice, 0, 1):
            continue
        _, unit, occupied = busy(problem, machine, levels, choice, rates)
        lead, tail = edge_ps(problem, machine, choice, rates)
        held = max(
            occupied,
            results_ps(problem, machine, rates, choice, occupied),
            turnaround_ps(
                tiles_of(problem, machine, choice, 0), setup_ps(problem, machine, rates, 0),
                occupied, levels[0, L_BUFFERS],
            ),
        )  # fmt: skip
        choices[found] = choice
        facts[found, _EDGE] = lead + tail
        facts[found, _OCCUPIED] = occupied
        facts[found, _HELD] = held
        facts[found, _READ_A], facts[found, _READ_W] = unit[0], unit[1]
        facts[found, _SUMS], facts[found, _WRITTEN] = unit[2], unit[3]
        facts[found, _COST] = (unit[0] + unit[1] + unit[2] + unit[3]) * rates[R_PORT_COST]
        facts[found, _LATENCY] = on_grid(lead + tail + max(held, floor))
        facts[found, _FLOOR] = cheapest
        cost = facts[found, _COST] + cheapest
        facts[found, _BOUND] = score(rates, facts[found, _LATENCY], cost)
        found += 1
    order = np.argsort(facts[:found, _BOUND], kind="mergesort")
    return choices[:found][order], facts[:found][order]


@part
def _tiles(sizes: Ints) -> int:
    return sizes[0, 0] * sizes[1, 0] * sizes[2, 0] * sizes[3, 0]


@part
def _decode(flat: int, n_heads: int, heads: Ints, sizes: Ints, choice: Ints) -> None:
    for i in range(heads.shape[1]):
        choice[i] = heads[flat % n_heads, i]
    rest = flat // n_heads
    for dim in range(DIMS):
        choice[S_LEVEL0 + dim] = sizes[dim, 1 + rest % sizes[dim, 0]]
        rest //= sizes[dim, 0]
    choice[S_LEVEL0 + DIMS] = 0


@part
def _traffic_floor(problem: Ints, machine: Ints, rates: Floats) -> float:
    """Time of the slowest link for what must cross it once, and of the vector unit."""
    floor = vector_ps(problem, rates)
    for link in range(machine[C_LEVELS]):
        floor = max(floor, floor_bits(problem, machine, link) * rates[R_LINK0 + link])
    return floor


@part
def _evaluate_nearest(
    problem: Ints, machine: Ints, levels: Ints, rates: Floats, choice: Ints, facts: Floats,
    above: Floats, best: Floats,
) -> int:  # fmt: skip
    """Try the loop orders of the nearest level under fixed outer levels; update ``best``."""
    evaluated = 0
    tiles = tiles_of(problem, machine, choice, 0)
    setup = setup_ps(problem, machine, rates, 0)
    for order in range(_N_ORDERS):
        choice[S_LEVEL0 + DIMS] = order
        queues, visits = queue_traffic(problem, machine, choice, 0)
        first, second, sums, stored = queues
        loaded = first + second + sums
        evaluated += 1
        if visits > 1 and not fits(problem, machine, levels, choice, 0, visits):
            continue
        if machine[C_LEVELS] > 1 and not fits(problem, machine, levels, choice, 1, visits):
            continue
        moving = moving_ps(levels, rates, 0, queues, wasted_bits(problem, machine, choice, 0))
        turn = turnaround_ps(tiles, setup, moving + facts[_OCCUPIED], levels[0, L_BUFFERS])
        passing = passing_bits(problem, machine, choice, visits)
        read_a, read_w = np.int64(facts[_READ_A]), np.int64(facts[_READ_W])
        rest = np.int64(facts[_SUMS]) + problem[P_X_BITS] + passing
        written = np.int64(facts[_WRITTEN]) + problem[P_O_BITS] + passing
        port = bank_ps(levels, rates, (read_a, read_w, rest, written), queues)
        span = max(above[0], moving, turn, port, facts[_HELD])
        latency = on_grid(facts[_EDGE] + span)
        cost = above[1] + link_fj(rates, 0, loaded, stored)
        if not _worse(rates, latency, cost, best):
            best[0, 0], best[0, 1] = score(rates, latency, cost), _tie(rates, latency, cost)
            best[0, 2], best[0, 3] = latency, cost
            for i in range(S_SIZE):
                best[1, i] = choice[i]
    return evaluated


@kernel
def _descend(
    problem: Ints,
    machine: Ints,
    levels: Ints,
    rates: Floats,
    sizes: Ints,
    choice: Ints,
    facts: Floats,
    level: int,
    above: Floats,
    best: Floats,
) -> int:
    """Choose tiles and order of ``level`` and of all levels inside it."""
    if level == 0:
        return _evaluate_nearest(problem, machine, levels, rates, choice, facts, above, best)
    evaluated = 0
    base = S_LEVEL0 + S_STRIDE * level
    for flat in range(_tiles(sizes)):
        if not _set_outer(problem, sizes, choice, base, flat):
            continue
        # Without partial sums the level needs least; what fits not even so is out.
        if not fits(problem, machine, levels, choice, level, 1):
            continue
        for order in range(_N_ORDERS):
            choice[base + DIMS] = order
            if order > 0 and _same_as_first(problem, machine, choice, level):
                break
            queues, visits = queue_traffic(problem, machine, choice, level)
            first, second, sums, stored = queues
            evaluated += 1
            if level + 1 < machine[C_LEVELS] and not fits(
                problem, machine, levels, choice, level + 1, visits
            ):
                continue
            cost = link_fj(rates, level, first + second + sums, stored)
            wasted = wasted_bits(problem, machine, choice, level)
            moving = moving_ps(levels, rates, level, queues, wasted)
            busy_ps = link_ps(problem, machine, levels, rates, choice, level, moving)
            deeper = np.array([max(above[0], busy_ps), above[1] + cost])
            bound = on_grid(facts[_EDGE] + max(deeper[0], facts[_HELD]))
            if _worse(rates, bound, deeper[1], best):
                continue
            evaluated += _descend(
                problem, machine, levels, rates, sizes, choice, facts, level - 1, deeper,
                best,
            )  # fmt: skip
    return evaluated


@part
def _set_outer(problem: Ints, sizes: Ints, choice: Ints, base: int, flat: int) -> bool:
    """Write the outer tile number ``flat``; False unless it is made of whole inner tiles."""
    rest = flat
    for dim in range(DIMS):
        size = sizes[dim, 1 + rest % sizes[dim, 0]]
        rest //= sizes[dim, 0]
        inner = choice[S_LEVEL0 + dim]
        if size < inner or (size % inner != 0 and size < problem[P_B + dim]):
            return False
        choice[base + dim] = size
    return True


@part
def _same_as_first(problem: Ints, machine: Ints, choice: Ints, level: int) -> bool:
    """Whether the order of a level's loops cannot matter: at most one of them runs."""
    running = 0
    for dim in range(1, DIMS):
        outer = problem[P_B + dim]
        if level + 1 < machine[C_LEVELS]:
            outer = choice[S_LEVEL0 + S_STRIDE * (level + 1) + dim]
        running += 1 if choice[S_LEVEL0 + S_STRIDE * level + dim] < outer else 0
    return running < 2


@kernel
def search(
    problem: Ints,
    machine: Ints,
    levels: Ints,
    rates: Floats,
    heads: Ints,
    sizes: Ints,
    limit: float,
) -> tuple[Ints, float, float, int]:
    """Return the best choice, its latency in ps, its cost in fJ, and how many were evaluated.

    Only plans whose score does not exceed ``limit`` are looked for. A latency of infinity means
    that nothing fits, or nothing below the limit.
    """
    choices, facts = inner_candidates(problem, machine, levels, rates, heads, sizes)
    best = np.zeros((2, S_SIZE), np.float64)
    best[0, 0], best[0, 1], best[0, 2] = limit, np.inf, np.inf
    evaluated = choices.shape[0]
    start = np.zeros(2, np.float64)
    for i in range(choices.shape[0]):
        if facts[i, _BOUND] > best[0, 0]:
            break
        if _worse(rates, facts[i, _LATENCY], facts[i, _COST] + facts[i, _FLOOR], best):
            continue
        start[1] = facts[i, _COST]
        choice = choices[i].copy()
        evaluated += _descend(
            problem, machine, levels, rates, sizes, choice, facts[i],
            machine[C_LEVELS] - 1, start, best,
        )  # fmt: skip
    return best[1].astype(np.int64), best[0, 2], best[0, 3], evaluated
