"""All mappings of a layer with one unrolling over the array, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import inf, prod

import numpy as np

from accelsim.jit import Floats, Ints
from accelsim.mapping.loopnest._core.chain import cheapest
from accelsim.mapping.loopnest._core.tables import (
    HELD,
    HELD_TWICE,
    N_TABLES,
    UNITS,
    UP,
    fill,
)
from accelsim.mapping.loopnest.boundary import (
    Unrolling,
    busy_weights,
    lanes_array,
    port_list,
)
from accelsim.mapping.loopnest.frame import Frame
from accelsim.mapping.loopnest.lattice import Lattice, lattice, lattice_of
from accelsim.mapping.loopnest.layer import DIMS, Layer

#: Numbers of the dynamic programming's table, at most: 400 MB.
MOST_ENTRIES = 50_000_000
#: A boundary and the index of its tile, from the array outward.
Chain = tuple[tuple[int, int], ...]


class Space:
    """Tables of one unrolling.

    Args:
        frame: layer and hierarchy.
        unrolling: a loop and a number of units per axis.
        tiles: tile sizes; by default all of ``lattice``.
        rows: boundaries as kernels take them; by default the frame's.
    """

    def __init__(
        self,
        frame: Frame,
        unrolling: Unrolling,
        tiles: Lattice | None = None,
        rows: Ints | None = None,
    ) -> None:
        self.frame, self.unrolling = frame, unrolling
        self._rows = frame.rows if rows is None else rows
        self.layer, self.hierarchy = frame.layer, frame.hierarchy
        self.all, self.moving, self.groups = frame.boundaries, frame.moving, frame.groups
        self.energy = frame.energy
        self.units = tuple(prod(n for d, n in unrolling if d == dim) for dim in DIMS)
        self.steps = tuple(
            -(-self.layer.size(dim) // n) for dim, n in zip(DIMS, self.units, strict=True)
        )
        self._given = tiles

    @cached_property
    def lattice(self) -> Lattice:
        """The tiles."""
        if self._given is not None:
            return self._given
        states = int(np.prod(self.frame.depths + 1))
        tiles = lattice(self.steps, max(256, MOST_ENTRIES // states))
        chunk = self.frame.k_path.chunk
        return tiles if chunk is None else self._with_chunk(tiles, chunk)

    def _with_chunk(self, tiles: Lattice, chunk: int) -> Lattice:
        """Add the tile size of C that sums so many products, where it is not there."""
        c = DIMS.index("C")
        wanted = min(-(-chunk // self.units[c]), self.steps[c])
        sizes = [
            tuple(int(v) for v in row[:n]) for row, n in zip(tiles.values, tiles.shape, strict=True)
        ]
        sizes[c] = tuple(sorted({*sizes[c], wanted}))
        return lattice_of(tuple(sizes))

    @cached_property
    def ends(self) -> Space:
        """The same with the smallest and the largest tiles alone: quick to bound."""
        return Space(self.frame, self.unrolling, self._two_sizes)

    @cached_property
    def unrounded(self) -> Space:
        """The same without rounding accesses up: never above what is charged."""
        rows = self.frame.unrounded
        if rows is self.frame.rows:
            return self.ends
        return Space(self.frame, self.unrolling, self._two_sizes, rows)

    @cached_property
    def _two_sizes(self) -> Lattice:
        return lattice_of(tuple((1, whole) if whole > 1 else (1,) for whole in self.steps))

    @cached_property
    def tables(self) -> Floats:
        """float64[6, boundaries, P]: see ``fill``. Made when they are first asked for."""
        tables: Floats = np.zeros((N_TABLES, len(self.all), self.lattice.points))
        fill(
            _dims(self.layer, self.units, self.steps, self.lattice),
            self.lattice.values,
            self.frame.relevant,
            self.frame.conv,
            self._rows,
            lanes_array(self.hierarchy, self.all, self.unrolling),
            tables,
        )
        if self.frame.k_path.chunk is not None and self._given is None:
            self._only_chunks(self.frame.k_path.chunk, tables)
        return tables

    def _only_chunks(self, chunk: int, tables: Floats) -> None:
        """Let partial sums leave their innermost level after exactly this many products."""
        first = next(
            (i for i, b in enumerate(self.all) if b.operand == "O" and b.lower is not None), None
        )
        if first is None:
            return
        c = DIMS.index("C")
        index = np.unravel_index(np.arange(self.lattice.points), tuple(self.lattice.shape))[c]
        inside = np.minimum(self.lattice.values[c][index] * self.units[c], self.layer.size("C"))
        wanted = min(chunk, self.layer.size("C"))
        tables[HELD : HELD_TWICE + 1, first, inside != wanted] = inf

    @cached_property
    def compute_cycles(self) -> int:
        """Cycles of the array without a stall."""
        return prod(self.steps)

    @cached_property
    def busy(self) -> Floats:
        """float64[ports, boundaries, 4]: cycles per charged bit."""
        size = len(port_list(self.hierarchy)), len(self.all)
        return busy_weights(self.frame.port_uses, size, self.unrolling)

    @cached_property
    def edge_cycles(self) -> tuple[float, float]:
        """Cycles before the first products (their operands arrive) and after the last ones."""
        return _edges(self if self._given else self.ends)

    @cached_property
    def skew_cycles(self) -> int:
        """Cycles that values take to the last unit of systolic axes."""
        return sum(
            units - 1
            for axis, (_, units) in zip(self.hierarchy.axes, self.unrolling, strict=True)
            if axis.systolic
        )

    def fixed(self, weights: Floats) -> float:
        """Cost of what no mapping changes: outputs at the multipliers, operands not held there."""
        tables = (self if self._given else self.ends).tables
        return float(
            sum(
                weights[i] @ tables[:4, i, 0]
                for i, boundary in enumerate(self.all)
                if not boundary.moves
            )
        )

    def floor(self, weights: Floats) -> float:
        """Return a bound that is quick to make: as if the largest tiles fitted everywhere.

        The largest tile crosses least often, but its accesses may be rounded up by more.
        """
        tables = self.unrounded.tables
        return self.fixed(weights) + float(sum(weights[i] @ tables[:4, i, -1] for i in self.moving))

    def least(self, weights: Floats) -> float:
        """Return a bound on all mappings: each boundary at its cheapest tile that fits alone."""
        total = self.fixed(weights)
        for row, prices in enumerate(self.cost(weights)):
            i = self.moving[row]
            fits = prices[self.tables[HELD, i] <= self.limit(i)]
            total += float(fits.min()) if fits.size else inf
        return total

    def limit(self, boundary: int) -> float:
        """Bits that a tile below a boundary may take if it is alone there."""
        lower = self.all[boundary].lower
        # A multiplier holds one element; the tables have that as nothing.
        return 0.0 if lower is None else self.hierarchy.memories[lower].capacity_bits

    def cost(self, weights: Floats) -> Floats:
        """Return float64[moving, P]: cost of every tile at every boundary.

        Args:
            weights: float64[boundaries, 4], cost per charged bit.
        """
        moving = list(self.moving)
        prices: Floats = np.einsum("nd,dnp->np", weights[moving], self.tables[:4, moving])
        return prices

    def cheapest(self, prices: Floats) -> tuple[float, Chain]:
        """Return the cheapest chain; infinite where there is none.

        Args:
            prices: of ``cost``, infinite where a tile must not be.
        """
        value, chain = self._chain(prices, self.frame.depths)
        return value, tuple((self.moving[row], int(p)) for row, p in chain)

    def coupled(self, prices: Floats, operands: Sequence[int]) -> float:
        """Bound all chains: some operands in one order of loops, the others each by itself.

        Args:
            prices: as for ``cheapest``.
            operands: those that share an order, by their place in ``OPERANDS``.
        """
        depths = self.frame.depths
        shared = np.zeros_like(depths)
        shared[list(operands)] = depths[list(operands)]
        together = np.repeat(shared > 0, depths)
        value, _ = self._chain(prices[together], shared)
        return value + float(prices[~together].min(axis=1).sum())

    def _chain(self, prices: Floats, depths: Ints) -> tuple[float, Ints]:
        """Return the cost of the cheapest chain, and its boundaries and tiles."""
        states = int(np.prod(depths + 1))
        best = self.frame.workspace(states * self.lattice.points)
        chain = np.zeros((len(prices), 2), np.int64)
        tiles = self.lattice
        value = cheapest(
            prices,
            depths,
            tiles.shape,
            tiles.covers,
            tiles.below,
            best.reshape(-1, states),
            chain,
        )
        return float(value), chain

    @property
    def table_bytes(self) -> int:
        """Size of the tables."""
        return 8 * N_TABLES * len(self.all) * self.lattice.points

    def held(self, twice: bool) -> Floats:
        """Return float64[boundaries, P]: bits that a tile takes in one unit below.

        Args:
            twice: whether tiles that change take their room twice; levels that keep half of theirs
                free for the next tile anyway have been charged already.
        """
        once: Floats = self.tables[HELD]
        if not twice:
            return once
        held: Floats = self.tables[HELD_TWICE].copy()
        for i, boundary in enumerate(self.all):
            lower = boundary.lower
            if lower is not None and self.hierarchy.memories[lower].double_buffered:
                held[i] = once[i]
        return held

    def release(self) -> None:
        """Drop the tables; they are made again when they are asked for."""
        self.__dict__.pop("tables", None)

    def total(self, weights: Floats, chain: Chain) -> float:
        """Return the cost of a chain, fixed part included."""
        return self.fixed(weights) + float(
            sum(weights[i] @ self.tables[:4, i, p] for i, p in chain)
        )

    def bits(self, boundary: int, chain: Chain) -> Floats:
        """Return the charged bits of a boundary in a chain, per direction."""
        point = dict(chain).get(boundary, 0)
        return self.tables[:4, boundary, point]


def _dims(layer: Layer, units: Sequence[int], steps: Sequence[int], tiles: Lattice) -> Ints:
    columns = [[layer.size(dim) for dim in DIMS], list(steps), list(units), list(tiles.shape)]
    table = np.array(columns, np.int64).T.copy()
    # Units that find nothing to do are not counted.
    table[:, UNITS] = np.minimum(table[:, UNITS], table[:, 0])
    return table


def _edges(space: Space) -> tuple[float, float]:
    """Cycles that the first operands take to the array, and the last outputs to the outermost.

    With tiles of one step everything crosses in every step, so a step's share of the tables' totals
    is the piece that one step of the array needs.
    """
    fill_each: dict[str, float] = {}
    top = drain = 0.0
    for i, boundary in enumerate(space.all):
        cycles = float((space.busy[:, i, 0] * space.tables[UP, i, 0]).max()) / space.compute_cycles
        if boundary.operand == "O":
            drain += cycles if boundary.lower is not None else 0.0
        elif boundary.upper == len(space.hierarchy.memories) - 1:
            top += cycles
        else:
            before = fill_each.get(boundary.operand, 0.0)
            fill_each[boundary.operand] = before + cycles
    return top + max(fill_each.values(), default=0.0), drain
