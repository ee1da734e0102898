"""Boundaries of a hierarchy: where operands cross, what that costs, and which ports it occupies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from accelsim.jit import Floats, Ints
from accelsim.mapping.loopnest.layer import DIMS, Layer
from accelsim.spec.hierarchy import OPERANDS, HierarchySpec, Movement, Operand, PortSpec, movement

#: A loop on an axis and the units that it is spread over, per axis; "" and 1 for none.
Unrolling = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Boundary:
    """One operand's way between a level and what lies below it.

    Attributes:
        operand: which.
        lower: index of the memory below; None for the multipliers.
        upper: index of the memory above.
        moves: whether a mapping chooses the tile here; else it is one element per multiplier.
    """

    operand: Operand
    lower: int | None
    upper: int
    moves: bool


@dataclass(frozen=True, slots=True)
class Charges:
    """What a bit costs that crosses a boundary.

    Attributes:
        above: of the four directions (see ``UP`` of the kernels): memory, movement, reads.
        energy_pj: float[4], per charged bit.
    """

    ports: tuple[tuple[int, Movement, bool] | None, ...]
    energy_pj: tuple[float, ...]


def boundaries(hierarchy: HierarchySpec, layer: Layer) -> tuple[Boundary, ...]:
    """Return all boundaries, operand by operand, from the array outward.

    Operands without bits (a pool's constants) have none.
    """
    found = []
    for operand in OPERANDS:
        if not layer.bits[operand]:
            continue
        below: int | None = None
        for upper in hierarchy.levels_of(operand):
            held = hierarchy.hold_operands and operand != "O"
            found.append(Boundary(operand, below, upper, below is not None or held))
            below = upper
    return tuple(found)


@lru_cache(maxsize=256)
def charges(hierarchy: HierarchySpec, boundary: Boundary) -> Charges:
    """Return ports and energies of a boundary's four directions."""
    operand = boundary.operand
    outward = operand == "O"
    below = movement(operand, below=True)
    above = movement(operand, below=False)
    ports: list[tuple[int, Movement, bool] | None] = [(boundary.upper, below, not outward)]
    ports.append((boundary.upper, below, True) if outward else None)
    lower = boundary.lower
    ports.append((lower, above, outward) if lower is not None else None)
    ports.append((lower, above, False) if outward and lower is not None else None)
    energies = []
    for place in ports:
        if place is None:
            energies.append(0.0)
            continue
        memory, (index, name, reads) = hierarchy.memories[place[0]], place
        pj = memory.read_pj if reads else memory.write_pj
        energies.append(pj / hierarchy.memories[index].port(name, reads).bits)
    return Charges(tuple(ports), tuple(energies))


def port_list(hierarchy: HierarchySpec) -> tuple[tuple[int, int], ...]:
    """Return all ports as (memory, number)."""
    return tuple(
        (m, p) for m, level in enumerate(hierarchy.memories) for p in range(len(level.ports))
    )


def port_of(hierarchy: HierarchySpec, place: tuple[int, Movement, bool]) -> PortSpec:
    """Return the port of a direction."""
    memory, name, reads = place
    return hierarchy.memories[memory].port(name, reads)


def bounds_array(hierarchy: HierarchySpec, layer: Layer, listed: Sequence[Boundary]) -> Ints:
    """Return the boundaries as kernels take them; see ``OPERAND`` there."""
    rows = []
    for boundary in listed:
        charged = [
            1 if place is None else port_of(hierarchy, place).charged_bits
            for place in charges(hierarchy, boundary).ports
        ]
        # Without a level below nothing is charged there; what comes back uses its own port.
        final = layer.final_bits if boundary.operand == "O" else layer.bits[boundary.operand]
        rows.append(
            [
                OPERANDS.index(boundary.operand),
                layer.bits[boundary.operand],
                final,
                *charged,
                int(boundary.lower is None),
            ]
        )
    return np.array(rows, np.int64)


def lanes_array(hierarchy: HierarchySpec, listed: Sequence[Boundary], unrolling: Unrolling) -> Ints:
    """Return int64[n, 2, 8]: copies of what is above and below along each loop."""
    lanes = np.ones((len(listed), 2, len(DIMS)), np.int64)
    for number, boundary in enumerate(listed):
        upper = hierarchy.memories[boundary.upper].per
        lower = None if boundary.lower is None else hierarchy.memories[boundary.lower].per
        for axis, (dim, units) in zip(hierarchy.axes, unrolling, strict=True):
            if not dim:
                continue
            if axis.name in upper:
                lanes[number, 0, DIMS.index(dim)] *= units
            if lower is None or axis.name in lower:
                lanes[number, 1, DIMS.index(dim)] *= units
    return lanes


@dataclass(frozen=True, slots=True)
class PortUse:
    """A direction of a boundary at a port.

    Attributes:
        port: its place in ``port_list``.
        boundary: its number.
        direction: of the four.
        bits: that the port moves in a cycle.
        axes: along which there are several such ports.
    """

    port: int
    boundary: int
    direction: int
    bits: int
    axes: tuple[int, ...]


def port_uses(hierarchy: HierarchySpec, listed: Sequence[Boundary]) -> tuple[PortUse, ...]:
    """Return what boundaries do with ports."""
    ports, found = port_list(hierarchy), []
    for number, boundary in enumerate(listed):
        for direction, place in enumerate(charges(hierarchy, boundary).ports):
            if place is None:
                continue
            memory = hierarchy.memories[place[0]]
            index = memory.port_index(place[1], place[2])
            axes = tuple(i for i, axis in enumerate(hierarchy.axes) if axis.name in memory.per)
            row, bits = ports.index((place[0], index)), memory.ports[index].bits
            found.append(PortUse(row, number, direction, bits, axes))
    return tuple(found)


def busy_weights(uses: Sequence[PortUse], size: tuple[int, int], unrolling: Unrolling) -> Floats:
    """Return float64[ports, n, 4]: cycles of a port per charged bit of all units together."""
    weights = np.zeros((*size, 4))
    for use in uses:
        units = prod(unrolling[axis][1] for axis in use.axes)
        weights[use.port, use.boundary, use.direction] += 1.0 / (use.bits * units)
    return weights


def energy_weights(hierarchy: HierarchySpec, listed: Sequence[Boundary]) -> Floats:
    """Return float64[n, 4]: pJ per charged bit."""
    return np.array([charges(hierarchy, boundary).energy_pj for boundary in listed])
