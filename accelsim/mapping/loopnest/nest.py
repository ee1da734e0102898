"""A mapping: loops unrolled over the array, loops in time, and where each operand is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from accelsim.errors import MappingError
from accelsim.mapping.loopnest.layer import DIMS, Layer
from accelsim.spec.hierarchy import OPERANDS, HierarchySpec, Operand

#: A loop and how often it runs (how many units it is spread over; a fraction is an average).
Loop = tuple[str, float]


@dataclass(frozen=True, slots=True)
class Nest:
    """A mapping as other tools write it.

    Attributes:
        spatial: per axis of the array the loops that are unrolled on it.
        temporal: per operand a list per level that holds it, from the array outward, of the loops
            that run inside this level, innermost first. All operands list the same loops in the
            same order and cut them differently: placement is uneven.
    """

    spatial: tuple[tuple[Loop, ...], ...]
    temporal: Mapping[Operand, tuple[tuple[Loop, ...], ...]]

    def order(self) -> tuple[Loop, ...]:
        """The loops in time, innermost first."""
        return tuple(loop for level in self.temporal["O"] for loop in level)

    def unrolled(self, dim: str) -> float:
        """Units that a loop is spread over."""
        return prod(size for axis in self.spatial for name, size in axis if name == dim)


def check(nest: Nest, layer: Layer, hierarchy: HierarchySpec) -> None:
    """Check that a mapping covers its layer and is one order of loops for all operands.

    Raises:
        MappingError: it does not.
    """
    for axis, loops in zip(hierarchy.axes, nest.spatial, strict=True):
        used = prod(size for _, size in loops)
        if used > axis.size * (1 + 1e-9):
            raise MappingError(
                f"{layer.name}: axis {axis.name} has {axis.size} units, the mapping uses {used:g}"
            )
    for operand in OPERANDS:
        given, held = len(nest.temporal[operand]), len(hierarchy.levels_of(operand))
        if given != held:
            names = ", ".join(hierarchy.memories[i].name for i in hierarchy.levels_of(operand))
            raise MappingError(
                f"{layer.name}: {operand} has loops for {given} levels, {hierarchy.name} holds it "
                f"in {held}: {names}"
            )
    for operand in OPERANDS:
        own = [loop for level in nest.temporal[operand] for loop in level if loop[1] != 1]
        if own != [loop for loop in nest.order() if loop[1] != 1]:
            raise MappingError(
                f"{layer.name}: {operand} and O run different loops, or in different order: "
                f"{_shown(own)} and {_shown(nest.order())}"
            )
    for dim in DIMS:
        covered = nest.unrolled(dim) * prod(size for name, size in nest.order() if name == dim)
        if covered < layer.size(dim) * (1 - 1e-6):
            raise MappingError(
                f"{layer.name}: the mapping runs {covered:g} iterations of {dim}, "
                f"the layer has {layer.size(dim)}"
            )


def _shown(loops: Sequence[Loop]) -> str:
    return "[" + ", ".join(f"({name}, {size:g})" for name, size in loops) + "]"
