"""What a mapping costs by our own counting: energy by level and operand, latency by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np

from accelsim.errors import MappingError
from accelsim.mapping.loopnest._core.tables import HELD, HELD_TWICE
from accelsim.mapping.loopnest.boundary import Unrolling, charges, port_list
from accelsim.mapping.loopnest.frame import Frame
from accelsim.mapping.loopnest.lattice import Lattice, lattice_of
from accelsim.mapping.loopnest.layer import DIMS, Layer
from accelsim.mapping.loopnest.nest import Loop, Nest, check
from accelsim.mapping.loopnest.space import Chain, Space
from accelsim.spec.hierarchy import OPERANDS, HierarchySpec, Operand, movement


@dataclass(frozen=True, slots=True)
class Traffic:
    """Energy of one operand at one level."""

    level: str
    operand: Operand
    read_bits: float
    written_bits: float
    energy_pj: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Cycles by cause; the total is the longest of the array's and the ports' way.

    Attributes:
        compute: steps of the array.
        stall: steps in which nothing computes, as a tile cannot be loaded beside the one in use.
        fill: until the first operands arrive.
        drain: after the last products.
        skew: along systolic axes.
        port: cycles of the busiest port.
        port_name: which one.
    """

    compute: int
    stall: float
    fill: float
    drain: float
    skew: int
    port: float
    port_name: str

    @property
    def cycles(self) -> int:
        """All of it, in whole cycles."""
        array = self.fill + self.compute + self.stall + self.drain
        return ceil(max(array, self.port) - 1e-6) + self.skew

    @property
    def bound_by(self) -> str:
        """``compute``, ``stall`` or the busiest port."""
        if self.port >= self.fill + self.compute + self.stall + self.drain:
            return self.port_name
        return "stall" if self.stall > self.compute else "compute"


@dataclass(frozen=True, slots=True)
class Cost:
    """Energy and latency of a mapping."""

    mac_energy_pj: float
    traffic: tuple[Traffic, ...]
    latency: Latency

    @property
    def energy_pj(self) -> float:
        """Of all levels and the multipliers."""
        return self.mac_energy_pj + sum(part.energy_pj for part in self.traffic)

    @property
    def latency_cycles(self) -> int:
        """See ``Latency``."""
        return self.latency.cycles


def cost(nest: Nest, layer: Layer, hierarchy: HierarchySpec, *, check_room: bool = True) -> Cost:
    """Cost a mapping given by hand or taken from another tool.

    Args:
        nest: the mapping.
        layer: what runs.
        hierarchy: where.
        check_room: whether tiles must fit; other tools count the room of outputs otherwise.

    Raises:
        MappingError: it does not cover the layer, or a tile does not fit its level.
    """
    check(nest, layer, hierarchy)
    space, chain = placed(nest, layer, hierarchy)
    if check_room:
        check_sizes(space, chain)
    return cost_of(space, chain)


def placed(nest: Nest, layer: Layer, hierarchy: HierarchySpec) -> tuple[Space, Chain]:
    """Return a mapping as a chain of tiles, in a space that has these tiles alone."""
    unrolling = _unrolling(nest, hierarchy)
    spread = [int(np.prod([n for d, n in unrolling if d == dim], initial=1)) for dim in DIMS]
    steps = [-(-layer.size(dim) // n) for dim, n in zip(DIMS, spread, strict=True)]
    cuts = {operand: _cuts(operand, nest, layer, hierarchy) for operand in OPERANDS}
    sizes = []
    for d, whole in enumerate(steps):
        inside = {min(cut[d], whole) for tiles in cuts.values() for cut in tiles}
        sizes.append(tuple(sorted({1, whole, *inside})))
    space = Space(Frame(layer, hierarchy), unrolling, lattice_of(tuple(sizes)))
    chain = []
    for operand in OPERANDS:
        listed = [i for i, b in enumerate(space.all) if b.operand == operand]
        for i, cut in zip(listed, cuts[operand], strict=False):
            if space.all[i].moves:
                tile = [min(n, whole) for n, whole in zip(cut, steps, strict=True)]
                chain.append((i, _point(space.lattice, tile)))
    return space, tuple(chain)


def _unrolling(nest: Nest, hierarchy: HierarchySpec) -> Unrolling:
    """Return one loop per axis in whole units; a fraction is an average over unequal rounds."""
    found: list[tuple[str, int]] = []
    for axis, loops in zip(hierarchy.axes, nest.spatial, strict=True):
        real = [(dim, ceil(units - 1e-9)) for dim, units in loops if units > 1]
        if len(real) > 1:
            raise MappingError(f"axis {axis.name} unrolls {len(real)} loops, 1 is modelled")
        found.append(real[0] if real else ("", 1))
    return tuple(found)


def _cuts(
    operand: Operand, nest: Nest, layer: Layer, hierarchy: HierarchySpec
) -> list[tuple[int, ...]]:
    """Return the tile below each boundary of an operand, in steps.

    Loops right above a boundary that do not index the operand leave its tile as it is: they count
    as inside.
    """
    relevant = layer.relevant(operand)
    levels = [list(level) for level in nest.temporal[operand]]
    flat = [loop for level in levels for loop in level]
    at = 0
    cuts = []
    for level in [[], *levels[:-1]]:
        at += len(level)
        reach = at
        while reach < len(flat) and flat[reach][0] not in relevant:
            reach += 1
        cuts.append(_tile(flat[:reach]))
    return cuts


def _tile(loops: Sequence[Loop]) -> tuple[int, ...]:
    sizes = dict.fromkeys(DIMS, 1)
    for dim, size in loops:
        sizes[dim] *= ceil(size - 1e-9)
    return tuple(sizes[dim] for dim in DIMS)


def _point(tiles: Lattice, tile: Sequence[int]) -> int:
    index = [
        int(np.searchsorted(tiles.values[d, : tiles.shape[d]], size)) for d, size in enumerate(tile)
    ]
    return int(np.ravel_multi_index(index, tuple(int(n) for n in tiles.shape)))


def check_sizes(space: Space, chain: Chain) -> None:
    """Check that all tiles fit.

    Raises:
        MappingError: one does not: the message names level, operands and bits.
    """
    points = dict(chain)
    for memory, group in space.groups.items():
        level = space.hierarchy.memories[memory]
        held = {space.all[i].operand: space.tables[HELD, i, points[i]] for i in group}
        over = sum(held.values()) - level.capacity_bits
        if over > 0:
            parts = ", ".join(f"{operand} {bits / 8:,.0f}" for operand, bits in held.items())
            raise MappingError(
                f"{space.layer.name}: {level.name} takes {level.capacity_bits / 8:,.0f} bytes of "
                f"tiles, the mapping needs {over / 8:,.0f} more ({parts})"
            )


def cost_of(space: Space, chain: Chain) -> Cost:
    """Cost a chain of tiles."""
    found: dict[tuple[int, Operand], list[float]] = {}
    for i, boundary in enumerate(space.all):
        bits = space.bits(i, chain)
        listed = charges(space.hierarchy, boundary)
        for place, amount, energy in zip(listed.ports, bits, listed.energy_pj, strict=True):
            if place is None:
                continue
            entry = found.setdefault((place[0], boundary.operand), [0.0, 0.0, 0.0])
            entry[0 if place[2] else 1] += float(amount)
            entry[2] += float(amount) * energy
    traffic = tuple(
        Traffic(space.hierarchy.memories[memory].name, operand, *entry)
        for (memory, operand), entry in sorted(found.items())
    )
    return Cost(space.layer.macs * space.hierarchy.mac_pj, traffic, latency_of(space, chain))


def latency_of(space: Space, chain: Chain) -> Latency:
    """Return the latency of a chain by cause."""
    loads = _port_cycles(space, chain)
    ports = port_list(space.hierarchy)
    busiest = int(np.argmax(loads))
    memory = space.hierarchy.memories[ports[busiest][0]]
    fill, drain = space.edge_cycles
    return Latency(
        compute=space.compute_cycles,
        stall=stall_cycles(space, chain),
        fill=fill,
        drain=drain,
        skew=space.skew_cycles,
        port=float(loads[busiest]),
        port_name=memory.name,
    )


def _port_cycles(space: Space, chain: Chain) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    points = dict(chain)
    loads = np.zeros(space.busy.shape[0])
    for i in range(len(space.all)):
        loads += space.busy[:, i] @ space.tables[:4, i, points.get(i, 0)]
    return loads


def stall_cycles(space: Space, chain: Chain) -> float:
    """Cycles of transfers that nothing can overlap: the level has no room for a second tile."""
    points = dict(chain)
    stall = 0.0
    for memory, group in space.groups.items():
        level = space.hierarchy.memories[memory]
        # Levels that keep half of their room for the next tile never wait.
        room = inf if level.double_buffered else level.capacity_bits
        held = {i: space.tables[HELD, i, points[i]] for i in group}
        for i in group:
            twice = space.tables[HELD_TWICE, i, points[i]]
            if sum(held.values()) - held[i] + twice > room:
                rows = space.busy[:, i] * space.tables[:4, i, points[i]]
                stall += float(rows.sum(axis=1).max())
    return stall


def roofline_cycles(layer: Layer, hierarchy: HierarchySpec) -> float:
    """Return the least latency of any mapping: every unit busy, or every operand moved once."""
    outermost = len(hierarchy.memories) - 1
    level = hierarchy.memories[outermost]
    loads = [0.0] * len(level.ports)
    for operand in OPERANDS:
        bits = layer.final_bits if operand == "O" else layer.bits[operand]
        if layer.bits[operand]:
            port = level.port_index(movement(operand, below=True), operand != "O")
            loads[port] += layer.elements(operand) * bits / level.ports[port].bits
    return max(layer.macs / hierarchy.units, *loads)
