"""A given mapping beside what a search finds, as objects and as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import FileError, MappingError, Mistake
from accelsim.mapping.loopnest import zigzag
from accelsim.mapping.loopnest.cost import Cost, check_sizes, cost, cost_of, placed, roofline_cycles
from accelsim.mapping.loopnest.nest import Nest
from accelsim.mapping.loopnest.plan import Found, Objective, front, search
from accelsim.mapping.loopnest.read import Case, read_case


@dataclass(frozen=True, slots=True)
class Replayed:
    """What ``accelsim replay mapping`` prints.

    Attributes:
        case: layer, hierarchy, mapping.
        given: cost of the given mapping; None where there is none.
        over: why the given mapping does not fit a level; None where it does.
        zigzag_pj: its energy as zigzag counts, where it is given in zigzag's strings.
        found: what the search gives.
        front: energy and latency of the Pareto front; empty where it was not asked for.
    """

    case: Case
    given: Cost | None
    over: str | None
    zigzag_pj: float | None
    found: Found
    front: tuple[tuple[float, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        layer, spec = self.case.layer, self.case.hierarchy
        given = None
        if self.given is not None and self.case.nest is not None:
            given = {
                **_mapping_dict(self.case.nest, self),
                **_cost_dict(self.given),
                "does_not_fit": self.over,
                "zigzag_energy_pj": self.zigzag_pj,
            }
        return {
            "schema_version": 1,
            "layer": layer.name,
            "sizes": {dim: size for dim, size in layer.sizes.items()},
            "macs": layer.macs,
            "hierarchy": spec.name,
            "roofline_cycles": math.ceil(roofline_cycles(layer, spec) - 1e-6),
            "mapping": given,
            "search": {
                "objective": self.found.objective,
                **_mapping_dict(self.found.nest, self),
                **_cost_dict(self.found.cost),
                "bound": self.found.bound,
                "gap": self.found.gap,
                "nodes": self.found.nodes,
            },
            "pareto": [{"energy_pj": e, "latency_cycles": c} for e, c in self.front],
        }


def _mapping_dict(nest: Nest, of: Replayed) -> dict[str, Any]:
    spec = of.case.hierarchy
    return {
        "spatial": {
            axis.name: [list(loop) for loop in loops]
            for axis, loops in zip(spec.axes, nest.spatial, strict=True)
        },
        "temporal": {
            operand: {
                spec.memories[index].name: [list(loop) for loop in loops]
                for index, loops in zip(spec.levels_of(operand), levels, strict=True)
            }
            for operand, levels in nest.temporal.items()
        },
    }


def _cost_dict(costed: Cost) -> dict[str, Any]:
    latency = costed.latency
    return {
        "energy_pj": costed.energy_pj,
        "mac_energy_pj": costed.mac_energy_pj,
        "levels": [
            {
                "level": part.level, "operand": part.operand, "read_bits": part.read_bits,
                "written_bits": part.written_bits, "energy_pj": part.energy_pj,
            }
            for part in costed.traffic
        ],
        "latency_cycles": costed.latency_cycles,
        "latency": {
            "compute": latency.compute, "stall": latency.stall, "fill": latency.fill,
            "drain": latency.drain, "skew": latency.skew, "busiest_port": latency.port,
            "busiest_level": latency.port_name, "bound_by": latency.bound_by,
        },
    }  # fmt: skip


def replay(
    path: Path,
    shown: str,
    *,
    hierarchy: str | None = None,
    objective: Objective | None = None,
    pareto: bool = False,
) -> Replayed:
    """Cost the mapping of a file and search for a better one.

    Args:
        path: the file.
        shown: its name in messages.
        hierarchy: a name or path that takes the place of the file's.
        objective: takes the place of the file's.
        pareto: whether the front of energy and latency is searched too.

    Raises:
        FileError: the file holds mistakes, all with lines; or nothing fits.
        InputError: the hierarchy cannot be loaded.
    """
    case = read_case(path, shown, hierarchy)
    given, over = _given(case)
    zigzag_pj = None
    if case.strings and case.nest is not None:
        zigzag_pj = zigzag.energy_pj(case.nest, case.layer, case.hierarchy)
    try:
        found = search(case.layer, case.hierarchy, objective or case.objective)
        points = front(case.layer, case.hierarchy) if pareto else ()
    except MappingError as error:
        raise FileError([Mistake(case.where, "", str(error))]) from None
    return Replayed(
        case, given, over, zigzag_pj, found, tuple((p.energy_pj, p.latency_cycles) for p in points)
    )


def _given(case: Case) -> tuple[Cost | None, str | None]:
    """Return the cost of a given mapping, and why it does not fit.

    A mapping by hand that does not fit is a mistake. One of another tool is costed all the same:
    zigzag counts outputs by their final width where ours are still partial sums.
    """
    if case.nest is None:
        return None, None
    try:
        if not case.strings:
            return cost(case.nest, case.layer, case.hierarchy), None
        space, chain = placed(case.nest, case.layer, case.hierarchy)
    except MappingError as error:
        raise FileError([Mistake(case.where, "mapping", str(error))]) from None
    try:
        check_sizes(space, chain)
    except MappingError as error:
        return cost_of(space, chain), str(error)
    return cost_of(space, chain), None
