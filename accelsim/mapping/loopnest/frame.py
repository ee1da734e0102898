"""What all mappings of a layer on a hierarchy have in common, and the ways to use its array."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod

import numpy as np

from accelsim.jit import Floats, Ints
from accelsim.mapping.loopnest._core.tables import BACK_LOW_CHARGED, UP_CHARGED
from accelsim.mapping.loopnest.boundary import (
    Boundary,
    PortUse,
    Unrolling,
    boundaries,
    bounds_array,
    energy_weights,
    port_uses,
)
from accelsim.mapping.loopnest.lattice import divisors
from accelsim.mapping.loopnest.layer import DIMS, Layer
from accelsim.spec.hierarchy import OPERANDS, HierarchySpec


@dataclass(frozen=True, slots=True)
class KPath:
    """What the bits of a result depend on: how the sum over C is cut.

    Attributes:
        units: units of the array that C is spread over; None: any.
        chunk: products summed in the innermost level of outputs before sums leave it; None: any.
    """

    units: int | None = None
    chunk: int | None = None


def unrollings(layer: Layer, hierarchy: HierarchySpec, k_path: KPath) -> list[Unrolling]:
    """Return the ways to spread loops over the array: one loop per axis, no loop twice.

    A loop is spread over divisors of its length, or over the whole axis (the last round then
    leaves units idle).
    """
    found: dict[Unrolling, None] = {}
    per_axis = [list(_axis_choices(layer, axis.dims, axis.size)) for axis in hierarchy.axes]
    for choice in itertools.product(*per_axis):
        dims = [dim for dim, _ in choice if dim]
        if len(set(dims)) < len(dims):
            continue
        spread = prod(units for dim, units in choice if dim == "C")
        if k_path.units is None or spread == k_path.units:
            found[choice] = None
    return list(found)


def _axis_choices(layer: Layer, dims: Sequence[str], size: int) -> Iterator[tuple[str, int]]:
    yield ("", 1)
    for dim in dims or DIMS:
        length = layer.size(dim)
        for units in {*divisors(length), min(length, size)}:
            if 1 < units <= size:
                yield (dim, units)


@dataclass(frozen=True, eq=False)
class Frame:
    """What all unrollings of a layer on a hierarchy have in common.

    Args:
        layer: what runs.
        hierarchy: where.
        k_path: how sums over C may be cut.
    """

    layer: Layer
    hierarchy: HierarchySpec
    k_path: KPath = KPath()

    @cached_property
    def boundaries(self) -> tuple[Boundary, ...]:
        """All of them, operand by operand, from the array outward."""
        return boundaries(self.hierarchy, self.layer)

    @cached_property
    def moving(self) -> tuple[int, ...]:
        """Indices of the boundaries that a mapping chooses tiles for."""
        return tuple(i for i, b in enumerate(self.boundaries) if b.moves)

    @cached_property
    def rows(self) -> Ints:
        """The boundaries as kernels take them."""
        return bounds_array(self.hierarchy, self.layer, self.boundaries)

    @cached_property
    def unrounded(self) -> Ints:
        """``rows`` with accesses charged by the bit; ``rows`` itself where they already are."""
        charged = slice(UP_CHARGED, BACK_LOW_CHARGED + 1)
        if (self.rows[:, charged] == 1).all():
            return self.rows
        rows = self.rows.copy()
        rows[:, charged] = 1
        return rows

    @cached_property
    def relevant(self) -> Ints:
        """Which loops index which operand, as kernels take it."""
        return _relevant(self.layer)

    @cached_property
    def conv(self) -> Ints:
        """Strides and stored extents."""
        return _conv(self.layer)

    @cached_property
    def energy(self) -> Floats:
        """float64[boundaries, 4]: pJ per charged bit."""
        return energy_weights(self.hierarchy, self.boundaries)

    @cached_property
    def port_uses(self) -> tuple[PortUse, ...]:
        """What the boundaries do with ports."""
        return port_uses(self.hierarchy, self.boundaries)

    @cached_property
    def depths(self) -> Ints:
        """int64[3]: boundaries per operand that a mapping chooses tiles for."""
        listed = [self.boundaries[i].operand for i in self.moving]
        return np.array([listed.count(operand) for operand in OPERANDS], np.int64)

    def workspace(self, size: int) -> Floats:
        """Return memory that all unrollings use in turn: fresh pages cost more than the search."""
        kept: Floats | None = self.__dict__.get("_workspace")
        if kept is None or kept.size < size:
            kept = np.empty(size)
            self.__dict__["_workspace"] = kept
        return kept[:size]

    @cached_property
    def groups(self) -> dict[int, tuple[int, ...]]:
        """Boundaries whose tiles lie in the same memory of limited size."""
        found: dict[int, tuple[int, ...]] = {}
        for i in self.moving:
            lower = self.boundaries[i].lower
            if lower is not None and self.hierarchy.memories[lower].capacity_bits < inf:
                found[lower] = (*found.get(lower, ()), i)
        return found


def _relevant(layer: Layer) -> Ints:
    table = np.zeros((len(OPERANDS), len(DIMS)), np.int64)
    for row, operand in enumerate(OPERANDS):
        for column, dim in enumerate(DIMS):
            table[row, column] = dim in layer.relevant(operand)
        if layer.slides(operand):
            table[row, DIMS.index("OY") : DIMS.index("FX") + 1] = 2
    return table


def _conv(layer: Layer) -> Ints:
    return np.array(
        [[layer.stride[i], layer.input_extent(axis)] for i, axis in enumerate("YX")], np.int64
    )
