"""The clock of the chip at the fidelity ``cycle``."""

from __future__ import annotations

from accelsim.jit import Floats, Index, Ints, kernel, part
from accelsim.sim._core.cycle_dma import deliver, issue, send
from accelsim.sim._core.cycle_state import (
    Q_COUNT,
    Q_DONE,
    U_CLOCK,
    U_END,
    U_OUTPUTS,
    U_OVERHEAD,
    U_PORT_READ,
    U_STALL0,
    U_STEP,
    U_STEPS,
    U_VECTOR,
)
from accelsim.sim._core.cycle_units import array, vector
from accelsim.sim._core.engine import CAUSE_OVERHEAD
from accelsim.sim._core.queues import STORE


@part
def _done(units: Ints, queues: Ints) -> bool:
    """Whether every step, every output and every store is done."""
    if units[U_STEP] < units[U_STEPS] or units[U_VECTOR] < units[U_OUTPUTS]:
        return False
    for link in range(queues.shape[0]):
        if queues[link, STORE, Q_DONE] < queues[link, STORE, Q_COUNT]:
            return False
    return True


@kernel
def run(
    until: int,
    bits: Ints,
    index: Index,
    work: Ints,
    units: Ints,
    flow: Floats,
    lanes: Ints,
    queues: Ints,
    tiles: Ints,
    state: tuple[Ints, Ints],
) -> bool:
    """Run the chip until a clock; return whether it was done before.

    Arrays are those of ``cycle_state``; ``state`` holds ``steps`` and ``requests``. What the memory
    answers before ``until`` must be in ``requests``.
    """
    steps, requests = state
    while units[U_CLOCK] < until:
        units[U_PORT_READ:] = 0
        if units[U_CLOCK] < units[U_OVERHEAD]:
            units[U_STALL0 + CAUSE_OVERHEAD] += 1
            units[U_CLOCK] += 1
            continue
        deliver(bits, index, units, lanes, queues, tiles, requests)
        vector(bits, index, work, units, lanes, queues, steps)
        if _done(units, queues):
            units[U_END] = units[U_CLOCK]
            return True
        for back in range(bits.shape[0]):
            link = bits.shape[0] - 1 - back
            issue(bits, index, units, lanes, queues, tiles, steps, link)
            send(bits, index, units, flow, lanes, queues, tiles, requests, link)
        array(bits, index, work, units, flow, queues, steps)
        units[U_CLOCK] += 1
    return False
