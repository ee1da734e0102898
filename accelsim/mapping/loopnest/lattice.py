"""Tile sizes of a loop, and which of them divide which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from accelsim.jit import Ints
from accelsim.mapping.loopnest.layer import DIMS

#: A loop whose length has fewer divisors is also cut as if it were up to this much longer.
FEW, PADDING = 6, 1.125
#: Tile sizes of a loop, at most; the least useful (neighbours that lie close) are left out.
MOST_SIZES = 40
#: Tiles of a lattice, at most.
MOST_POINTS = 1 << 20


def divisors(number: int) -> list[int]:
    """Return the divisors of a number, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def padded(length: int) -> int:
    """Return the length within ``PADDING`` that has most divisors; the shortest of equals."""
    if len(divisors(length)) >= FEW:
        return length
    # Of long loops, only lengths that are multiples of something are worth a look.
    step = 1 << max(0, length.bit_length() - 9)
    longer = range(length + -length % step, int(length * PADDING) + 1, step)
    best: int = max((length, *longer), key=lambda n: (len(divisors(n)), -n))
    return best


@lru_cache(maxsize=4096)
def tile_sizes(length: int, most: int = MOST_SIZES) -> tuple[int, ...]:
    """Return the tile sizes of a loop: divisors of its length and of its padded length.

    A tile that does not divide the loop leaves a smaller last tile; nothing is computed or moved
    for the rest of it.

    Args:
        length: of the loop, in steps.
        most: sizes, at most; those with the closest neighbours are left out first.
    """
    exact = divisors(length)
    longer = [d for d in divisors(padded(length)) if d < length]
    found = sorted({*exact, *longer})
    while len(found) > max(2, most):
        inner = range(1, len(found) - 1)
        found.pop(min(inner, key=lambda i: found[i + 1] / found[i - 1]))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Lattice:
    """Tile sizes of all loops as kernels take them.

    Attributes:
        shape: int64[8], tile sizes per loop.
        values: int64[8, V].
        covers: int64[8, V, M], the largest sizes that divide one; -1 where there are no more.
        below: int64[8, V, V], whether the first divides the second.
    """

    shape: Ints
    values: Ints
    covers: Ints
    below: Ints

    @property
    def points(self) -> int:
        """Tiles."""
        return int(np.prod(self.shape))

    def tile(self, point: int) -> tuple[int, ...]:
        """Return the tile of an index, in steps per loop."""
        index = np.unravel_index(point, tuple(int(n) for n in self.shape))
        return tuple(int(self.values[d, i]) for d, i in enumerate(index))


@lru_cache(maxsize=4096)
def _order(
    sizes: tuple[int, ...],
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Return (covers, below) of a list of sizes; the last one is divided by all of them."""
    last = len(sizes) - 1
    below = tuple(tuple(int(j == last or b % a == 0) for j, b in enumerate(sizes)) for a in sizes)
    covers = []
    for j in range(len(sizes)):
        under = [i for i in range(j) if below[i][j]]
        covers.append(tuple(i for i in under if not any(below[i][k] for k in under if k != i)))
    return tuple(covers), below


@lru_cache(maxsize=512)
def lattice(steps: tuple[int, ...], points: int = MOST_POINTS) -> Lattice:
    """Return the lattice of a layer's loops.

    Args:
        steps: length of each loop of ``DIMS`` in time.
        points: tiles, at most; the longest lists of sizes are thinned out first.
    """
    most = MOST_SIZES
    sizes = [tile_sizes(length) for length in steps]
    while prod(len(s) for s in sizes) > points and most > 2:
        most = max(len(s) for s in sizes) - 1
        sizes = [tile_sizes(length, most) for length in steps]
    return lattice_of(tuple(sizes))


@lru_cache(maxsize=4096)
def lattice_of(sizes: tuple[tuple[int, ...], ...]) -> Lattice:
    """Return the lattice of given tile sizes, each ascending and ending with its whole loop."""
    widest = max(len(s) for s in sizes)
    orders = [_order(s) for s in sizes]
    most = max(1, *(len(c) for covers, _ in orders for c in covers))
    values = np.ones((len(DIMS), widest), np.int64)
    covers = np.full((len(DIMS), widest, most), -1, np.int64)
    below = np.zeros((len(DIMS), widest, widest), np.int64)
    for d, (size, (cover, under)) in enumerate(zip(sizes, orders, strict=True)):
        values[d, : len(size)] = size
        for v, listed in enumerate(cover):
            covers[d, v, : len(listed)] = listed
        below[d, : len(size), : len(size)] = under
    shape = np.array([len(s) for s in sizes], np.int64)
    return Lattice(shape, values, covers, below)
