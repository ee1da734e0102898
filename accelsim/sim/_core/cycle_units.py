"""Array, port and vector unit of the chip at the fidelity ``cycle``, one clock at a time."""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Index, Ints, part
from accelsim.mapping._core.steps import W_ARRAY, W_READ, W_VECTOR, W_WRITTEN, unit_bits
from accelsim.sim._core.cycle_state import (
    F_PORT,
    F_READ,
    F_SIZE,
    F_WRITTEN,
    L_BUFFERS,
    Q_DONE,
    S_ARRAY_END,
    S_ARRAY_START,
    S_OUTPUT,
    S_READY,
    S_VECTOR_END,
    S_VECTOR_START,
    U_ARRAY_END,
    U_CLOCK,
    U_COMPUTE,
    U_DRAIN,
    U_FINISHED,
    U_GROUPS,
    U_LEFT,
    U_OUTPUTS,
    U_PORT_READ,
    U_PORT_WRITTEN,
    U_PORTS,
    U_PROGRESS,
    U_RESULTS,
    U_RUNNING,
    U_STALL0,
    U_STEP,
    U_STEPS,
    U_TILE,
    U_VECTOR,
    U_VECTOR_BUSY,
    U_VECTOR_END,
)
from accelsim.sim._core.engine import (
    CAUSE_DRAM,
    CAUSE_FILL,
    CAUSE_OVERHEAD,
    CAUSE_SRAM,
    CAUSE_VECTOR,
)
from accelsim.sim._core.queues import AT, LOADS, STORE


@part
def array(bits: Ints, index: Index, work: Ints, units: Ints, flow: Floats, queues: Ints,
          steps: Ints) -> None:  # fmt: skip
    """Let the array work for a clock, or charge the clock to what it waits for."""
    if units[U_STEP] >= units[U_STEPS]:
        units[U_STALL0 + _tail_cause(units)] += 1
        return
    if units[U_RUNNING] == 0:
        cause = _waits_for(bits, index, units, queues)
        if cause >= 0:
            units[U_STALL0 + cause] += 1
            return
        units[U_RUNNING], units[U_LEFT], units[U_PROGRESS] = 1, units[U_TILE], 0
        steps[S_ARRAY_START, units[U_STEP]] = units[U_CLOCK]
        flow[F_READ:F_SIZE] = 0.0
    if units[U_LEFT] > 0:
        units[U_LEFT] -= 1
        units[U_STALL0 + CAUSE_OVERHEAD] += 1
    elif work[units[U_STEP], W_ARRAY] == 0:
        # Plain movement: nothing to compute, but a clock to see that.
        units[U_STALL0 + CAUSE_OVERHEAD] += 1
    elif _port_serves(work, units, flow):
        units[U_PROGRESS] += 1
        units[U_COMPUTE] += 1
    else:
        units[U_STALL0 + CAUSE_SRAM] += 1
    if units[U_LEFT] == 0 and units[U_PROGRESS] >= work[units[U_STEP], W_ARRAY]:
        _finish(bits, work, units, steps)


@part
def _waits_for(bits: Ints, index: Index, units: Ints, queues: Ints) -> int:
    """Return why the next step cannot start at this clock, or -1."""
    step = units[U_STEP]
    for which in range(LOADS):
        tile = index[AT, 0, which, step]
        if tile < 0 or queues[0, which, Q_DONE] > tile:
            continue
        if bits.shape[0] == 1:
            return CAUSE_DRAM
        outer = index[AT, 1, which, step]
        return CAUSE_SRAM if outer < 0 or queues[1, which, Q_DONE] > outer else CAUSE_DRAM
    return CAUSE_VECTOR if units[U_FINISHED] - units[U_VECTOR] >= units[U_RESULTS] else -1


@part
def _tail_cause(units: Ints) -> int:
    if units[U_CLOCK] < units[U_ARRAY_END] + units[U_DRAIN]:
        return CAUSE_FILL
    return CAUSE_VECTOR if units[U_VECTOR] < units[U_OUTPUTS] else CAUSE_DRAM


@part
def _port_serves(work: Ints, units: Ints, flow: Floats) -> bool:
    """Give the array what DMA leaves of the port; return whether that is enough to go on."""
    step = units[U_STEP]
    own = float(max(1, work[step, W_ARRAY]))
    due = float(units[U_PROGRESS] + 1) / own
    if units[U_GROUPS] == 1:
        return _served(units, flow, 0, work[step, W_READ] * due, work[step, W_WRITTEN] * due)
    first, second, results, written = unit_bits(work[step])
    served = _served(units, flow, 0, first * due, 0.0)
    served &= _served(units, flow, 1, second * due, 0.0)
    return served & _served(units, flow, 2, results * due, written * due)


@part
def _served(units: Ints, flow: Floats, group: int, need_read: float, need_written: float) -> bool:
    """The same for one group of banks, with what the array needs by the end of this clock.

    Interleaved banks lose what is left of a clock. A tensor's own do not: as much as they deliver
    in a clock waits at the edge of the array for the next one.
    """
    rate = flow[F_PORT + group]
    dma_read, dma_written = units[U_PORT_READ + group], units[U_PORT_WRITTEN + group]
    read, written = max(0.0, rate - dma_read), max(0.0, rate - dma_written)
    own = units[U_GROUPS] > 1
    ahead = rate if own else 0.0
    if units[U_PORTS] == 1:
        room = max(0.0, rate - dma_read - dma_written)
        if own:
            # One port serves both in any order: they share a credit.
            need_read, need_written = need_read + need_written, 0.0
            read, written = room, 0.0
        else:
            read = min(room, max(0.0, need_read - flow[F_READ + group]))
            written = room - read
    flow[F_READ + group] = min(need_read + ahead, flow[F_READ + group] + read)
    flow[F_WRITTEN + group] = min(need_written + ahead, flow[F_WRITTEN + group] + written)
    return flow[F_READ + group] >= need_read and flow[F_WRITTEN + group] >= need_written


@part
def _finish(bits: Ints, work: Ints, units: Ints, steps: Ints) -> None:
    step = units[U_STEP]
    end = units[U_CLOCK] + 1
    steps[S_ARRAY_END, step] = end
    if work[step, W_VECTOR] > 0 or bits[0, STORE, step] > 0:
        steps[S_OUTPUT, units[U_FINISHED]] = step
        steps[S_READY, units[U_FINISHED]] = end + units[U_DRAIN]
        units[U_FINISHED] += 1
    units[U_STEP] += 1
    units[U_RUNNING] = 0
    units[U_ARRAY_END] = end


@part
def vector(bits: Ints, index: Index, work: Ints, units: Ints, lanes: Ints, queues: Ints,
           steps: Ints) -> None:  # fmt: skip
    """Start the vector unit on the next finished output when everything is there."""
    if units[U_VECTOR_BUSY] == 1:
        if units[U_VECTOR_END] > units[U_CLOCK]:
            return
        units[U_VECTOR] += 1
        units[U_VECTOR_BUSY] = 0
    if units[U_VECTOR] >= units[U_FINISHED]:
        return
    step = steps[S_OUTPUT, units[U_VECTOR]]
    if steps[S_READY, units[U_VECTOR]] > units[U_CLOCK]:
        return
    before = index[AT, 0, STORE, step] - lanes[0, L_BUFFERS]
    if bits[0, STORE, step] > 0 and before >= 0 and queues[0, STORE, Q_DONE] <= before:
        return
    spent = np.int64(np.ceil(work[step, W_VECTOR] * 1e-3))
    units[U_VECTOR_BUSY] = 1
    units[U_VECTOR_END] = units[U_CLOCK] + spent
    steps[S_VECTOR_START, step] = units[U_CLOCK]
    steps[S_VECTOR_END, step] = units[U_VECTOR_END]
