"""The search as callers use it: layer, hierarchy and objective in, mapping and gap out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import prod
from typing import Any, Literal

from accelsim.ids import content_id
from accelsim.mapping import store
from accelsim.mapping.loopnest.cost import Cost, cost, roofline_cycles
from accelsim.mapping.loopnest.frame import KPath
from accelsim.mapping.loopnest.layer import DIMS, Layer
from accelsim.mapping.loopnest.nest import Loop, Nest
from accelsim.mapping.loopnest.objective import (
    Outcome,
    Point,
    least_edp,
    least_energy,
    least_latency,
    pareto,
)
from accelsim.mapping.loopnest.search import TIE, spaces
from accelsim.mapping.loopnest.space import Chain, Space
from accelsim.spec.hierarchy import OPERANDS, HierarchySpec, Operand

Objective = Literal["energy", "latency", "edp"]
OBJECTIVES: tuple[Objective, ...] = ("energy", "latency", "edp")
_SEARCHES = {"energy": least_energy, "latency": least_latency, "edp": least_edp}
#: Changes whenever the same inputs may give another mapping: results on disk are looked up by it.
VERSION = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A mapping that a search found.

    Attributes:
        nest: the mapping.
        cost: what it costs.
        objective: what was made small.
        value: of the objective: pJ, cycles, or pJ cycles.
        bound: no mapping of the space has a value below it.
        nodes: of the search that were solved.
        roofline_cycles: the least latency of any mapping at all.
    """

    nest: Nest
    cost: Cost
    objective: Objective
    value: float
    bound: float
    nodes: int
    roofline_cycles: float

    @property
    def gap(self) -> float:
        """How far the value may be from the best of the space, as a fraction."""
        return max(0.0, self.value / self.bound - 1.0) if self.bound > 0 else 0.0


#: What a kept result must hold.
_KEPT = ("spatial", "temporal", "bound", "nodes")


def search(
    layer: Layer,
    hierarchy: HierarchySpec,
    objective: Objective = "energy",
    *,
    gap: float = 0.0,
    k_path: KPath | None = None,
) -> Found:
    """Find the best mapping of a layer. What was found once is kept, in memory and on disk.

    Args:
        layer: what runs.
        hierarchy: where.
        objective: ``energy``, ``latency`` or ``edp`` (energy times latency).
        gap: how far from the proven bound is good enough, as a fraction.
        k_path: how sums over C may be cut, where the bits of results must not change.

    Raises:
        MappingError: nothing fits: the message names level, operands and bytes over.
    """
    path = k_path or KPath()
    key = _key(layer, hierarchy, objective, gap, path)
    kept = store.get(key, _KEPT)
    if kept is None:
        outcome = _SEARCHES[objective](spaces(layer, hierarchy, path), gap)
        kept = _to_data(outcome)
        store.put(key, kept)
    return _found(kept, layer, hierarchy, objective)


def front(
    layer: Layer, hierarchy: HierarchySpec, *, k_path: KPath | None = None
) -> tuple[Point, ...]:
    """Return mappings of which none is both slower and hungrier than another, fastest first.

    Raises:
        MappingError: nothing fits.
    """
    return pareto(spaces(layer, hierarchy, k_path))


def _key(layer: Layer, hierarchy: HierarchySpec, objective: str, gap: float, path: KPath) -> str:
    return content_id(
        {
            "version": VERSION,
            "layer": layer.content(),
            "hierarchy": hierarchy.model_dump(mode="json", exclude={"source", "note", "estimated"}),
            "objective": objective,
            "gap": gap,
            "k_path": asdict(path),
        },
        32,
    )


def _to_data(outcome: Outcome) -> dict[str, Any]:
    nest = nest_of(outcome.point.space, outcome.point.chain)
    return {
        "spatial": [[list(loop) for loop in axis] for axis in nest.spatial],
        "temporal": {
            operand: [[list(loop) for loop in level] for level in levels]
            for operand, levels in nest.temporal.items()
        },
        "bound": float(outcome.bound),
        "nodes": outcome.nodes,
    }


def _loops(listed: Any) -> tuple[Loop, ...]:
    return tuple((str(dim), size) for dim, size in listed)


def _found(
    data: Mapping[str, Any], layer: Layer, hierarchy: HierarchySpec, objective: Objective
) -> Found:
    temporal: dict[Operand, tuple[tuple[Loop, ...], ...]] = {
        operand: tuple(_loops(level) for level in data["temporal"][operand]) for operand in OPERANDS
    }
    nest = Nest(tuple(_loops(axis) for axis in data["spatial"]), temporal)
    costed = cost(nest, layer, hierarchy)
    value = {
        "energy": costed.energy_pj,
        "latency": float(costed.latency_cycles),
        "edp": costed.energy_pj * costed.latency_cycles,
    }[objective]
    # Sums in another order differ in their last digit.
    bound = float(data["bound"])
    return Found(
        nest,
        costed,
        objective,
        value,
        value if value <= bound * (1.0 + TIE) else bound,
        int(data["nodes"]),
        roofline_cycles(layer, hierarchy),
    )


def nest_of(space: Space, chain: Chain) -> Nest:
    """Write a chain of tiles as loops: between two tiles of the chain, one loop per dimension."""
    loops: list[Loop] = []
    ends: dict[int, int] = {}
    inner = (1,) * len(DIMS)
    steps = list(chain)
    for boundary, point in [*steps, (-1, space.lattice.points - 1)]:
        outer = space.lattice.tile(point)
        for dim, small, large in zip(DIMS, inner, outer, strict=True):
            if large > small:
                loops.append((dim, -(-large // small)))
        inner = outer
        ends[boundary] = len(loops)
    temporal: dict[Operand, tuple[tuple[Loop, ...], ...]] = {}
    for operand in OPERANDS:
        cuts = [
            ends.get(i, 0) for i, b in enumerate(space.all)
            if b.operand == operand and b.lower is not None
        ]  # fmt: skip
        levels = len(space.hierarchy.levels_of(operand))
        cuts += [0] * (levels - 1 - len(cuts))
        edges = [0, *cuts, len(loops)]
        temporal[operand] = tuple(tuple(loops[a:b]) for a, b in pairwise(edges))
    spatial = tuple(((dim, units),) if dim else () for dim, units in space.unrolling)
    return Nest(spatial, temporal)


def spread(nest: Nest) -> int:
    """Units that a mapping uses."""
    return round(prod(size for axis in nest.spatial for _, size in axis))
