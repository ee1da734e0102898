"""Tile-level timing of one op: links, array and vector unit as resources in integer picoseconds.

Every link serves four queues (two operands, partial sums with the epilogue's inputs, stores) in
pieces of a DMA burst; of the pieces that can start first, the one that is needed first goes first.
A tile is loaded as soon as a buffer is free, so loads run ahead by as many tiles as there are
buffers. A tile that comes from further out is passed on while it is still arriving. The array takes
steps in order; finished outputs go through the vector unit and are stored. One op is one sequential
computation: nothing depends on the number of threads.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Index, Ints, kernel, part
from accelsim.mapping._core.layout import (
    R_PS_PER_CYCLE,
)
from accelsim.mapping._core.steps import W_ARRAY, W_VECTOR
from accelsim.sim._core.port import held_ps
from accelsim.sim._core.queues import (
    ARRAY_END,
    ARRAY_START,
    AT,
    END,
    LANE_BUFFERS,
    LANE_BUSY,
    LANE_COMPUTED,
    LANE_FREE,
    LANE_RING,
    LOADS,
    Q_CAUSE,
    Q_COUNT,
    Q_MOVED,
    Q_SIZE,
    QUEUES,
    STORE,
    VECTOR_END,
    VECTOR_START,
    earliest,
    number_tiles,
    serve,
)

# Why the main unit waited; the order is that of sim.result.STALLS.
CAUSE_DRAM, CAUSE_SRAM, CAUSE_VECTOR, CAUSE_FILL, CAUSE_OVERHEAD, CAUSES = 0, 1, 2, 3, 4, 5

# Parameters: int64 vector. Results are finished outputs that wait for the vector unit.
E_OVERHEAD, E_TILE, E_DRAIN, E_RESULT_BUFFERS, E_SIZE = 0, 1, 2, 3, 4

# Result: int64 vector in picoseconds; stalls from RES_STALL0, busy links from RES_LINK0.
RES_END, RES_ARRAY, RES_VECTOR, RES_STALL0 = 0, 1, 2, 3
RES_LINK0 = RES_STALL0 + CAUSES
RES_SIZE = RES_LINK0 + 4


@part
def _move(
    bits: Ints, index: Index, spans: Ints, steps: Ints, queue: Ints, lane: Ints, rate: Floats
) -> None:
    link, which, start = earliest(bits, index, spans, steps, queue, lane, rate)
    if link < 0:
        raise RuntimeError("engine: nothing can move although a tile is missing")
    serve(link, which, start, bits, index, spans, queue, lane, rate)


@part
def _arrival(
    step: int,
    bits: Ints,
    index: Index,
    spans: Ints,
    steps: Ints,
    queue: Ints,
    lane: Ints,
    rate: Floats,
) -> tuple[int, int]:
    """Move tiles until the step has what it needs; return when it had, and why it waited."""
    latest, cause = np.int64(0), np.int64(CAUSE_DRAM)
    for which in range(LOADS):
        tile = index[AT, 0, which, step]
        if tile < 0:
            continue
        while queue[0, which, Q_MOVED] <= tile:
            _move(bits, index, spans, steps, queue, lane, rate)
        if spans[END, 0, which, tile] > latest:
            latest = spans[END, 0, which, tile]
            cause = queue[0, which, Q_CAUSE]
    return latest, cause


@part
def _store_slot(
    step: int,
    bits: Ints,
    index: Index,
    spans: Ints,
    steps: Ints,
    queue: Ints,
    lane: Ints,
    rate: Floats,
) -> int:
    """Move tiles until an output buffer is free; return when it was."""
    before = index[AT, 0, STORE, step] - lane[0, LANE_BUFFERS]
    if bits[0, STORE, step] == 0 or before < 0:
        return np.int64(0)
    while queue[0, STORE, Q_MOVED] <= before:
        _move(bits, index, spans, steps, queue, lane, rate)
    return spans[END, 0, STORE, before]


@part
def _tail(result: Ints, end: int, array_end: int, vector_end: int, drain: int) -> None:
    """Share what comes after the last array step among its causes."""
    result[RES_END] = end
    left = end - array_end
    part = min(drain, left)
    result[RES_STALL0 + CAUSE_FILL] += part
    left -= part
    part = min(max(0, vector_end - array_end - drain), left)
    result[RES_STALL0 + CAUSE_VECTOR] += part
    result[RES_STALL0 + CAUSE_DRAM] += left - part


@part
def _vector(
    step: int,
    work: Ints,
    parameters: Ints,
    ps_per_cycle: float,
    ready: int,
    slot: int,
    free: int,
    result: Ints,
    steps: Ints,
) -> int:
    """Run the vector unit on a finished output; return when it ends."""
    begin = max(ready + parameters[E_DRAIN], free, slot)
    spent = np.int64(np.ceil(work[step, W_VECTOR] * 1e-3 * ps_per_cycle))
    result[RES_VECTOR] += spent
    steps[VECTOR_START, step] = begin
    steps[VECTOR_END, step] = begin + spent
    return begin + spent


@part
def _flush(
    bits: Ints,
    index: Index,
    spans: Ints,
    steps: Ints,
    queue: Ints,
    lane: Ints,
    rate: Floats,
    result: Ints,
) -> int:
    """Store what is left; return when the last store ends."""
    end = np.int64(0)
    for link in range(bits.shape[0]):
        while queue[link, STORE, Q_MOVED] < queue[link, STORE, Q_COUNT]:
            _move(bits, index, spans, steps, queue, lane, rate)
        if queue[link, STORE, Q_COUNT] > 0:
            end = max(end, spans[END, link, STORE, queue[link, STORE, Q_COUNT] - 1])
    for link in range(bits.shape[0]):
        result[RES_LINK0 + link] = lane[link, LANE_BUSY]
    return end


@kernel
def run(
    bits: Ints,
    work: Ints,
    lane: Ints,
    rate: Floats,
    parameters: Ints,
    levels: Ints,
    rates: Floats,
) -> tuple[Ints, Ints, Ints, Ints]:
    """Simulate one op.

    Args:
        bits: int64 ``[links, 4, steps]``, bits that a step loads (three operands) and stores.
        work: int64 ``[steps, W_SIZE]``, see ``mapping._core.steps``.
        lane: int64 ``[links, LANE_RING + engines]`` with the constants of each link; overwritten.
        rate: float64 ``[2, links, 4]``, picoseconds per bit of each queue: on the link, and in the
            banks of its tensor; 0: they are shared, and no slower than the link.
        parameters: int64 ``[E_SIZE]``.
        levels: int64 ``[MAX_LEVELS, L_SIZE]`` of the machine, see ``mapping._core.layout``.
        rates: float64 ``[R_SIZE]`` of the machine.

    Returns:
        The result vector; transfers ``[2, links, 4, tiles]``; array and vector ``[4, steps]``; the
        queues' final state.
    """
    links, _, count = bits.shape
    queue = np.zeros((links, QUEUES, Q_SIZE), np.int64)
    index = number_tiles(bits, queue)
    spans = np.zeros((2, links, QUEUES, count), np.int64)
    steps = np.zeros((4, count), np.int64)
    lane[:, LANE_FREE] = parameters[E_OVERHEAD]
    # Nothing is issued before the op is dispatched.
    lane[:, LANE_RING:] = parameters[E_OVERHEAD]
    result = np.zeros(RES_SIZE, np.int64)
    result[RES_STALL0 + CAUSE_OVERHEAD] = parameters[E_OVERHEAD]
    now, vector_free = parameters[E_OVERHEAD], np.int64(0)
    ps_per_cycle = rates[R_PS_PER_CYCLE]
    outputs = np.zeros(parameters[E_RESULT_BUFFERS], np.int64)
    finished = 0
    for step in range(count):
        arrived, cause = _arrival(step, bits, index, spans, steps, queue, lane, rate)
        room = outputs[finished % outputs.size]
        start = max(now, arrived, room)
        result[RES_STALL0 + (CAUSE_VECTOR if room >= arrived else cause)] += start - now
        result[RES_STALL0 + CAUSE_OVERHEAD] += parameters[E_TILE]
        steps[ARRAY_START, step] = start + parameters[E_TILE]
        own = np.int64(np.ceil(work[step, W_ARRAY] * ps_per_cycle))
        held = held_ps(step, own, bits, index, work, lane, rate, levels, rates)
        result[RES_ARRAY] += own
        result[RES_STALL0 + CAUSE_SRAM] += held - own
        now = steps[ARRAY_START, step] + held
        steps[ARRAY_END, step] = now
        if work[step, W_VECTOR] > 0 or bits[0, STORE, step] > 0:
            slot = _store_slot(step, bits, index, spans, steps, queue, lane, rate)
            vector_free = _vector(
                step, work, parameters, ps_per_cycle, now, slot, vector_free, result, steps
            )
            outputs[finished % outputs.size] = vector_free
            finished += 1
        lane[0, LANE_COMPUTED] = step + 1
    flushed = _flush(bits, index, spans, steps, queue, lane, rate, result)
    _tail(result, max(now, vector_free, flushed), now, vector_free, parameters[E_DRAIN])
    return result, spans, steps, queue
