"""The nearest level's port in the tile engine: how long a step holds the array."""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Index, Ints, part
from accelsim.mapping._core.banks import bank_ps
from accelsim.mapping._core.layout import INTERLEAVED, L_BANKING, L_PORTS, PER_BUFFER
from accelsim.mapping._core.steps import unit_bits
from accelsim.sim._core.queues import AT, BANKS, FIRST, LANE_BUFFERS, LINK, LOADS, QUEUES, STORE


@part
def held_ps(
    step: int,
    own: int,
    bits: Ints,
    index: Index,
    work: Ints,
    lane: Ints,
    rate: Floats,
    levels: Ints,
    rates: Floats,
) -> int:
    """For how long a step holds the array: its own time, or that of the nearest level's port."""
    unit = unit_bits(work[step])
    if levels[0, L_BANKING] == INTERLEAVED:
        # What DMA takes is spread over all banks and over the step.
        dma = (bits[0, 0, step], bits[0, 1, step], bits[0, 2, step], bits[0, STORE, step])
        return max(own, np.int64(bank_ps(levels, rates, unit, dma)))
    none = np.int64(0)
    alone = max(own, np.int64(bank_ps(levels, rates, unit, (none, none, none, none))))
    if levels[0, L_BANKING] == PER_BUFFER or alone == 0:
        return alone
    held = float(alone)
    for which in range(QUEUES):
        moved = _meanwhile(step, which, bits, index, lane)
        if moved > 0:
            used = _used_bits(which, unit, levels) * rate[BANKS, 0, which] / float(alone)
            held += _lost(float(alone), used, float(moved), rate[:, 0, which])
    return np.int64(np.ceil(held))


@part
def _meanwhile(step: int, which: int, bits: Ints, index: Index, lane: Ints) -> int:
    """Bits that a queue of the nearest link moves during a step.

    A buffer that a new tile leaves free is filled; what the step before finished is stored.
    """
    if which == STORE:
        return bits[0, STORE, step - 1] if step > 0 else np.int64(0)
    tile = np.int64(index[AT, 0, which, step])
    if tile < 0 or index[FIRST, 0, which, tile] != step or lane[0, LANE_BUFFERS] == 1:
        return np.int64(0)
    ahead = tile + lane[0, LANE_BUFFERS] - 1
    if ahead > index[AT, 0, which, bits.shape[2] - 1]:
        return np.int64(0)
    return bits[0, which, index[FIRST, 0, which, ahead]]


@part
def _used_bits(which: int, unit: tuple[int, int, int, int], levels: Ints) -> float:
    """Bits of array and vector unit through the port that a queue of the DMA goes through too."""
    first, second, results, written = unit
    if levels[0, L_PORTS] == 2:
        loaded = written if which == LOADS - 1 else np.int64(0)
        return float(results if which == STORE else loaded)
    if which == 0:
        return float(first)
    return float(second if which == 1 else results + written)


@part
def _lost(alone: float, used: float, moved: float, rate: Floats) -> float:
    """Time that an array step of ``alone`` ps loses to DMA, which goes first in a tensor's banks.

    While ``moved`` bits pass, the array has the part of the banks that they leave and needs
    ``used`` of them.
    """
    each = max(rate[LINK], rate[BANKS])
    left = 1.0 - rate[BANKS] / each
    if used <= left:
        return 0.0
    lost = moved * each * (1.0 - left / used)
    return min(lost, alone * (used / left - 1.0)) if left > 0.0 else lost
