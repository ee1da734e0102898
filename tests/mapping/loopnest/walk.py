"""A loop nest walked step by step: every element that crosses a boundary is counted one by one.

The readable twin of the cost model. It knows nothing of tiles that repeat, of factors, or of closed
forms: units hold sets of elements, and what is not there has to come.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from accelsim.mapping.loopnest.boundary import Boundary, boundaries
from accelsim.mapping.loopnest.layer import DIMS, Layer
from accelsim.mapping.loopnest.nest import Nest
from accelsim.spec.hierarchy import HierarchySpec

Element = tuple[int, ...]
Unit = tuple[int, ...]
#: Crossings above and below: of the main direction, and of partial sums on their way back.
Counts = tuple[int, int, int, int]
#: Counters of the loops, innermost first, and the (unit, iteration) of the units that work.
Step = tuple[tuple[int, ...], list[tuple[dict[str, int], dict[str, int]]]]


def element(layer: Layer, operand: str, at: dict[str, int]) -> Element:
    """Return which element of an operand an iteration touches."""
    relevant = layer.relevant(operand)  # type: ignore[arg-type]
    if operand != "I" or "FX" not in relevant:
        return tuple(at[dim] for dim in DIMS if dim in relevant)
    plain = [at[dim] for dim in ("B", "G", "C") if dim in relevant]
    rows, columns = layer.stride
    return (*plain, at["OY"] * rows + at["FY"], at["OX"] * columns + at["FX"])


def lanes(nest: Nest, hierarchy: HierarchySpec) -> list[dict[str, int]]:
    """Return, for every unit of the array that is used, its place along each axis."""
    sizes = [int(loops[0][1]) if loops else 1 for loops in nest.spatial]
    names = [axis.name for axis in hierarchy.axes]
    places = itertools.product(*(range(n) for n in sizes))
    return [dict(zip(names, place, strict=True)) for place in places]


def iterations(nest: Nest, layer: Layer, hierarchy: HierarchySpec) -> Iterator[Step]:
    """Yield, step by step, the loops' counters and (unit, iteration) of the units that work."""
    loops = nest.order()
    units = lanes(nest, hierarchy)
    steps = {dim: -(-layer.size(dim) // int(nest.unrolled(dim))) for dim in DIMS}
    for counters in itertools.product(*(range(int(n)) for _, n in reversed(loops))):
        inner_first = counters[::-1]
        time = dict.fromkeys(DIMS, 0)
        weight = dict.fromkeys(DIMS, 1)
        for (dim, size), counter in zip(loops, inner_first, strict=True):
            time[dim] += counter * weight[dim]
            weight[dim] *= int(size)
        if any(time[dim] >= steps[dim] for dim in DIMS):
            continue
        working = []
        for unit in units:
            at = dict(time)
            for axis, spread in zip(hierarchy.axes, nest.spatial, strict=True):
                for dim, size in spread:
                    at[dim] = time[dim] * int(size) + unit[axis.name]
            if all(at[dim] < layer.size(dim) for dim in DIMS):
                working.append((unit, at))
        yield inner_first, working


def depth_of(nest: Nest, boundary: Boundary, hierarchy: HierarchySpec) -> int:
    """Return how many loops run below a boundary."""
    level = hierarchy.levels_of(boundary.operand).index(boundary.upper)
    return sum(len(loops) for loops in nest.temporal[boundary.operand][:level])


def reach_of(nest: Nest, boundary: Boundary, layer: Layer, hierarchy: HierarchySpec) -> int:
    """Return the same with the loops right above that do not index the operand."""
    loops, depth = nest.order(), depth_of(nest, boundary, hierarchy)
    relevant = layer.relevant(boundary.operand)
    while boundary.moves and depth < len(loops) and loops[depth][0] not in relevant:
        depth += 1
    return depth


def walk(
    nest: Nest, layer: Layer, hierarchy: HierarchySpec, *, by_content: bool = False
) -> dict[Boundary, Counts]:
    """Return what crosses every boundary, in elements.

    Args:
        nest: the mapping.
        layer: what runs.
        hierarchy: where.
        by_content: a unit keeps what it holds when exactly the same comes next, whatever the loops
            are; else it keeps it during the loops right above that do not index it. Both are one
            where loops divide what they run over; a last tile of one element may stay longer.
    """
    steps = list(iterations(nest, layer, hierarchy))
    found = {}
    for boundary in boundaries(hierarchy, layer):
        depth = (
            depth_of(nest, boundary, hierarchy) if by_content
            else reach_of(nest, boundary, layer, hierarchy)
        )  # fmt: skip
        found[boundary] = _crossings(boundary, steps, depth, layer, hierarchy, by_content)
    return found


def _crossings(
    boundary: Boundary,
    steps: list[Step],
    depth: int,
    layer: Layer,
    hierarchy: HierarchySpec,
    by_content: bool,
) -> Counts:
    below = (
        [axis.name for axis in hierarchy.axes] if boundary.lower is None
        else hierarchy.memories[boundary.lower].per
    )  # fmt: skip
    above = hierarchy.memories[boundary.upper].per
    visits = _visits(boundary, steps, depth, layer, below)
    up = back_up = low = back_low = 0
    held: dict[Unit, frozenset[Element]] = {}
    known_above: set[tuple[Unit, Element]] = set()
    known_below: set[tuple[Unit, Element]] = set()
    for tiles in visits:
        crossing: Counter[tuple[Unit, Element]] = Counter()
        for unit, tile in tiles.items():
            if by_content and boundary.moves and held.get(unit) == tile:
                continue
            held[unit] = tile
            upper = tuple(place for name, place in zip(below, unit, strict=True) if name in above)
            for one in tile:
                crossing[upper, one] += 1
                low += 1
                back_low += (unit, one) in known_below
                known_below.add((unit, one))
        for key in crossing:
            up += 1
            back_up += key in known_above
            known_above.add(key)
    if boundary.operand != "O":
        back_up = back_low = 0
    return up, back_up, low, back_low


def _visits(
    boundary: Boundary, steps: list[Step], depth: int, layer: Layer, below: Sequence[str]
) -> Iterator[dict[Unit, frozenset[Element]]]:
    """Yield, for every run of the loops inside a boundary, the tile of each unit below it."""
    for _, run in itertools.groupby(steps, key=lambda step: step[0][depth:]):
        tiles: dict[Unit, set[Element]] = {}
        for _, working in run:
            for unit, at in working:
                key = tuple(unit[name] for name in below)
                tiles.setdefault(key, set()).add(element(layer, boundary.operand, at))
        yield {unit: frozenset(tile) for unit, tile in tiles.items()}
