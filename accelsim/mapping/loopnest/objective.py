"""Objectives beyond energy: latency, energy-delay product, and the Pareto front.

A latency is the longest of several ways (the array's, each port's), so it is no sum over
boundaries. Every port's cycles are: mixtures of energy and one port's cycles are searched exactly,
each gives a mapping, and together with what bounds a latency from below they prove a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from accelsim.errors import MappingError
from accelsim.jit import Floats
from accelsim.mapping.loopnest.cost import latency_of
from accelsim.mapping.loopnest.search import TIE, Best, branch_and_bound, energy_weights
from accelsim.mapping.loopnest.space import Chain, Space

#: How much a port's cycles weigh against energy, relative to their values.
LADDER = (0.3, 3.0, 100.0)


@dataclass(frozen=True, slots=True)
class Point:
    """A mapping and what it costs."""

    space: Space
    chain: Chain
    energy_pj: float
    latency_cycles: int

    @property
    def edp(self) -> float:
        """Energy times latency, in pJ cycles."""
        return self.energy_pj * self.latency_cycles


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best mapping for an objective, the bound on all of them, and nodes solved."""

    point: Point
    value: float
    bound: float
    nodes: int


@dataclass(slots=True)
class _Corner:
    """Bounds of one unrolling: energy, latency, and lines ``energy + weight * latency >= sum``."""

    space: Space
    energy_pj: float
    cycles: float
    lines: list[tuple[float, float]]

    @property
    def edp(self) -> float:
        """The least product within the bounds."""
        return _least_product(self.energy_pj, self.cycles, self.lines)


def least_energy(listed: Sequence[Space], gap: float) -> Outcome:
    """Return the mapping of least energy; of equal ones the fastest."""
    best = branch_and_bound(listed, energy_weights, gap=gap)
    return Outcome(_point(best), best.value, best.bound, best.nodes)


def least_latency(listed: Sequence[Space], gap: float) -> Outcome:
    """Return the fastest mapping; of equal ones that of least energy that was found."""
    corners = sorted((_corner(s) for s in listed), key=lambda c: (c.cycles, c.energy_pj))
    best: Point | None = None
    nodes = 0
    bound = inf
    for corner in corners:
        if best is not None and corner.cycles > best.latency_cycles * (1.0 - gap):
            bound = min(bound, corner.cycles)
            break
        if best is not None and not _may_improve(corner, best):
            continue
        _tighten(corner)
        for point, used in _candidates(corner):
            nodes += used
            if best is None or _key(point) < _key(best):
                best = point
        bound = min(bound, corner.cycles)
    if best is None:
        raise _nothing(listed)
    return Outcome(best, best.latency_cycles, min(bound, best.latency_cycles), nodes)


def _may_improve(corner: _Corner, best: Point) -> bool:
    ahead = corner.cycles < best.latency_cycles
    return ahead or corner.energy_pj < best.energy_pj * (1.0 - TIE)


def _key(point: Point) -> tuple[int, float]:
    return point.latency_cycles, point.energy_pj


def least_edp(listed: Sequence[Space], gap: float) -> Outcome:
    """Return the mapping of the least energy-delay product."""
    corners = sorted((_corner(space) for space in listed), key=lambda c: c.edp)
    best: Point | None = None
    nodes = 0
    bound = inf
    for corner in corners:
        if best is not None and corner.edp >= best.edp * (1.0 - gap):
            bound = min(bound, corner.edp)
            break
        _tighten(corner)
        for point, used in _candidates(corner):
            nodes += used
            if best is None or point.edp < best.edp:
                best = point
        bound = min(bound, corner.edp)
    if best is None:
        raise _nothing(listed)
    return Outcome(best, best.edp, min(bound, best.edp), nodes)


def pareto(listed: Sequence[Space]) -> tuple[Point, ...]:
    """Return the front of energy and latency that the mixtures find, fastest first."""
    corners = sorted((_corner(space) for space in listed), key=lambda c: c.edp)
    found: list[Point] = []
    for corner in corners:
        if any(
            p.energy_pj <= corner.energy_pj and p.latency_cycles <= corner.cycles for p in found
        ):
            continue
        _tighten(corner)
        found = _front([*found, *(point for point, _ in _candidates(corner))])
    if not found:
        raise _nothing(listed)
    return tuple(found)


def _front(points: Sequence[Point]) -> list[Point]:
    kept: list[Point] = []
    for point in sorted(points, key=_key):
        if not kept or point.energy_pj < kept[-1].energy_pj * (1.0 - TIE):
            kept.append(point)
    return kept


def _nothing(listed: Sequence[Space]) -> MappingError:
    from accelsim.mapping.loopnest.search import why_nothing_fits

    return MappingError(why_nothing_fits(listed, twice=False))


def _point(best: Best) -> Point:
    per_bit, constant = energy_weights(best.space)
    energy = best.space.total(per_bit, best.chain) + constant
    cycles = latency_of(best.space, best.chain).cycles
    return Point(best.space, best.chain, energy, cycles)


def _corner(space: Space) -> _Corner:
    """Bound an unrolling by what needs no tables: its array, and everything moved once."""
    per_bit, constant = energy_weights(space)
    port = max(space.floor(weights) for weights in space.busy)
    fill, drain = space.edge_cycles
    array = fill + space.compute_cycles + drain
    cycles = np.ceil(max(array, port) - 1e-6) + space.skew_cycles
    return _Corner(space, constant + space.floor(per_bit), float(cycles), [])


def _tighten(corner: _Corner) -> None:
    """Bound an unrolling by every boundary at its cheapest tile."""
    space = corner.space
    per_bit, constant = energy_weights(space)
    corner.energy_pj = max(corner.energy_pj, constant + space.least(per_bit))
    port = max(space.least(weights) for weights in space.busy)
    corner.cycles = max(corner.cycles, float(np.ceil(port - 1e-6)) + space.skew_cycles)


def _candidates(corner: _Corner) -> Iterator[tuple[Point, int]]:
    """Yield good mappings of an unrolling, energy first, latency last; tighten its bounds."""
    best = _mixed(corner.space, None, 0.0)
    if best is None:
        return
    corner.energy_pj = max(corner.energy_pj, best.bound)
    yield _point(best), best.nodes
    single = _mixed(corner.space, None, 0.0, twice=True)
    if single is None:
        return
    point = _point(single)
    yield point, single.nodes
    for rung in LADDER:
        if point.latency_cycles <= corner.cycles * (1.0 + TIE):
            return
        port = _busiest(point)
        weight = rung * point.energy_pj / point.latency_cycles
        relaxed = _mixed(corner.space, port, weight)
        if relaxed is not None:
            corner.lines.append((weight, relaxed.bound + weight * corner.space.skew_cycles))
        mixed = _mixed(corner.space, port, weight, twice=True)
        if mixed is None:
            return
        point = _point(mixed)
        yield point, mixed.nodes
    least = _mixed(corner.space, _busiest(point), inf)
    if least is not None:
        corner.cycles = max(corner.cycles, np.ceil(least.bound - 1e-6) + corner.space.skew_cycles)


def _busiest(point: Point) -> int:
    points = dict(point.chain)
    space = point.space
    loads = [
        sum(float(row[i] @ space.tables[:4, i, points.get(i, 0)]) for i in range(len(space.all)))
        for row in space.busy
    ]
    return int(np.argmax(loads))


def _mixed(space: Space, port: int | None, weight: float, *, twice: bool = False) -> Best | None:
    """Search energy plus a port's weighted cycles; an infinite weight leaves energy out."""

    def weights(of: Space) -> tuple[Floats, float]:
        per_bit, constant = energy_weights(of)
        if port is None:
            return per_bit, constant
        if weight == inf:
            return of.busy[port], 0.0
        return per_bit + weight * of.busy[port], constant

    try:
        return branch_and_bound([space], weights, twice=twice, gap=1e-6)
    except MappingError:
        return None


def _least_product(energy: float, cycles: float, lines: Sequence[tuple[float, float]]) -> float:
    """Return the least ``e * c`` with ``e >= energy``, ``c >= cycles`` and ``e + w c >= s``.

    Along every line the product is concave, so its least value lies in a corner.
    """
    places = [cycles]
    for number, (weight, total) in enumerate(lines):
        places.append((total - energy) / weight)
        for other, its in lines[:number]:
            if other != weight:
                places.append((total - its) / (weight - other))
    return min(
        place * max(energy, *(total - weight * place for weight, total in lines))
        if lines
        else place * energy
        for place in places
        if place >= cycles
    )
