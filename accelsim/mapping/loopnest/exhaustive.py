"""The whole space of one unrolling, mapping by mapping; only small layers allow it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from accelsim.jit import Floats, Ints
from accelsim.mapping.loopnest._core.exhaustive import every_mapping, multiples
from accelsim.mapping.loopnest._core.tables import HELD
from accelsim.mapping.loopnest.space import Space


@dataclass(frozen=True, slots=True)
class Census:
    """All mappings of an unrolling.

    Attributes:
        energy_pj: the least.
        port_cycles: the least load of the busiest port.
        fitting: mappings whose tiles fit.
        costed: mappings in all; orders that lead to the same tiles count once each.
    """

    energy_pj: float
    port_cycles: float
    fitting: int
    costed: int


def orders(space: Space) -> Iterator[tuple[int, ...]]:
    """Yield the orders in which boundaries may follow one another along a chain."""
    labels = [space.all[i].operand for i in space.moving]
    for order in itertools.permutations(range(len(labels))):
        place = {row: k for k, row in enumerate(order)}
        pairs = itertools.combinations(range(len(labels)), 2)
        if all(place[a] < place[b] for a, b in pairs if labels[a] == labels[b]):
            yield order


def tables(space: Space) -> tuple[Floats, Floats, Ints]:
    """Return tables, room and memories as ``every_mapping`` takes them."""
    moving = list(space.moving)
    # Ports that carry nothing of this layer are left out.
    ports = [space.cost(weights) for weights in space.busy if weights.any()]
    stacked = np.stack([space.cost(space.energy), space.tables[HELD][moving], *ports])
    room = np.array([level.capacity_bits for level in space.hierarchy.memories])
    lower = [space.all[i].lower for i in moving]
    return (
        np.ascontiguousarray(stacked.transpose(1, 2, 0)),
        room,
        np.array([-1 if m is None else m for m in lower], np.int64),
    )


def count(space: Space) -> Census:
    """Cost every mapping of an unrolling."""
    stacked, room, memories = tables(space)
    tiles = space.lattice
    starts = np.zeros(tiles.points + 1, np.int64)
    total = multiples(tiles.shape, tiles.below, starts, np.zeros(0, np.int64))
    listed = np.zeros(total, np.int64)
    multiples(tiles.shape, tiles.below, starts, listed)
    out = np.array([np.inf, np.inf, 0.0, 0.0])
    for order in orders(space):
        row = np.array(order, np.int64)
        every_mapping(row, stacked, room, memories, starts, listed, out)
    constant = space.fixed(space.energy) + space.layer.macs * space.hierarchy.mac_pj
    return Census(float(out[0] + constant), float(out[1]), int(out[2]), int(out[3]))
