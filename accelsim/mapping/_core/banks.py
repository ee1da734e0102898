"""Banks of on-chip levels: what they hold, and how long they are busy.

Interleaved banks are one port for all. Else both operands and results have banks of their own, of
which each has its share of the level's size and of its bandwidth.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Ints, leaf, part
from accelsim.mapping._core.layout import (
    BANK_GROUPS,
    INTERLEAVED,
    L_APART,
    L_BANKING,
    L_BITS,
    L_PORTS,
    L_TENSOR0,
    OP_A,
    OP_C,
    OP_W,
    PER_BUFFER,
    R_LINK0,
    R_LINK_BANKS0,
    R_PORT0,
    R_PORT_BANKS0,
)


@leaf
def holds(levels: Ints, level: int, first: int, second: int, results: int) -> bool:
    """Whether tensors fit a level: together, or each into the banks that it has."""
    if levels[level, L_BANKING] == INTERLEAVED:
        return first + second + results <= levels[level, L_BITS]
    operands = first <= levels[level, L_TENSOR0] and second <= levels[level, L_TENSOR0 + 1]
    return operands and results <= levels[level, L_TENSOR0 + 2]


@part
def port_ps(levels: Ints, rates: Floats, read: float, written: float) -> float:
    """Picoseconds of the nearest level's port or ports, all banks together."""
    return np.ceil(_together(levels, read, written) * rates[R_PORT0])


@part
def _together(levels: Ints, read: float, written: float) -> float:
    """Bits that pass one after the other: all of them, or with two ports one direction."""
    return max(read, written) if levels[0, L_PORTS] == 2 else read + written


@leaf
def bank_ps(
    levels: Ints, rates: Floats, unit: tuple[int, int, int, int], dma: tuple[int, int, int, int]
) -> float:
    """Picoseconds of the nearest level's busiest banks.

    ``unit`` are bits that array and vector unit read of both operands and of results, and that they
    write; ``dma`` are bits that come for both operands and for results, and that leave.
    """
    read_a, read_w, read_results, written = unit
    in_a, in_w, in_results, out = dma
    if levels[0, L_BANKING] == INTERLEAVED:
        read = read_a + read_w + read_results + out
        return port_ps(levels, rates, read, written + in_a + in_w + in_results)
    first = _group_bits(levels, read_a, np.int64(0), in_a, np.int64(0))
    second = _group_bits(levels, read_w, np.int64(0), in_w, np.int64(0))
    results = _group_bits(levels, read_results, written, in_results, out)
    slowest = max(first * rates[R_PORT_BANKS0], second * rates[R_PORT_BANKS0 + 1])
    return np.ceil(max(slowest, results * rates[R_PORT_BANKS0 + 2]))


@part
def _group_bits(levels: Ints, read: int, written: int, came: int, left: int) -> int:
    """Bits that the banks of one tensor pass one after the other; DMA's, and those of the units.

    Where each buffer has banks of its own, DMA and units work on different ones.
    """
    if levels[0, L_BANKING] == PER_BUFFER:
        return max(_together(levels, read, written), _together(levels, left, came))
    return _together(levels, read + left, written + came)


@part
def link_banks(rates: Floats, link: int, group: int) -> float:
    """Picoseconds per bit of a tensor's banks at the ends of a link; 0 where they are shared."""
    return rates[R_LINK_BANKS0 + BANK_GROUPS * link + group]


@leaf
def moving_ps(
    levels: Ints, rates: Floats, link: int, queues: tuple[int, int, int, int], wasted: int
) -> float:
    """Time of a link for what crosses it per queue, or of the busiest banks at its ends."""
    first, second, sums, stored = queues
    bits = float(first + second + sums + stored + wasted)
    return max(bits * rates[R_LINK0 + link], banks_ps(levels, rates, link, queues))


@leaf
def banks_ps(levels: Ints, rates: Floats, link: int, queues: tuple[int, int, int, int]) -> float:
    """Time of the busiest tensor's banks at the ends of a link; 0 where they are shared."""
    first, second, sums, stored = queues
    results = max(sums, stored) if levels[link, L_APART] == 1 else sums + stored
    return max(
        first * link_banks(rates, link, OP_A),
        second * link_banks(rates, link, OP_W),
        results * link_banks(rates, link, OP_C),
    )
