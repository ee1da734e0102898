"""Readable twins of the mapping kernels: plain Python, written by another route."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

ORDERS = ("mnk", "nmk", "mkn", "kmn", "nkm", "knm")


@dataclass(frozen=True)
class Problem:
    """A batch of matrix products; bits per element."""

    b: int
    m: int
    n: int
    k: int
    a: int = 8
    w: int = 8
    o: int = 8
    sums: int = 32
    w_batched: bool = False


@dataclass(frozen=True)
class Tile:
    """Tile sizes of one level and the order of its loops."""

    b: int
    m: int
    n: int
    k: int
    order: int = 0


def fold_count(m: int, n: int, k: int, rows: int, columns: int, dataflow: str) -> int:
    """Passes of the array, counted by cutting the stationary matrix into pieces."""
    across = {"os": (m, n), "ws": (k, n), "is": (k, m)}[dataflow]
    return len(list(itertools.product(range(0, across[0], rows), range(0, across[1], columns))))


def cycles_without_overlap(m: int, n: int, k: int, rows: int, columns: int, dataflow: str) -> int:
    """Cycles when every fold loads, fills, streams and drains by itself."""
    stream = {"os": k, "ws": m, "is": n}[dataflow]
    load = 0 if dataflow == "os" else rows
    skew_in, skew_out = rows - 1, columns - 1
    folds = fold_count(m, n, k, rows, columns, dataflow)
    return folds * (load + stream + skew_in + skew_out)


Extent = dict[str, tuple[int, int]]


def walk(problem: Problem, levels: list[Tile]) -> Iterator[list[Extent]]:
    """Yield, for every innermost tile in order, (start, end) per dimension of every level's tile.

    ``levels`` are given from the nearest outward; so are the extents.
    """
    whole = {d: (0, getattr(problem, d)) for d in "bmnk"}

    def inside(level: int, around: Extent) -> Iterator[list[Extent]]:
        if level < 0:
            yield []
            return
        tile = levels[level]
        names = "b" + ORDERS[tile.order]
        ranges = [range(*around[d], getattr(tile, d)) for d in names]
        for starts in itertools.product(*ranges):
            here = {
                d: (s, min(s + getattr(tile, d), around[d][1]))
                for d, s in zip(names, starts, strict=True)
            }
            for deeper in inside(level - 1, here):
                yield [*deeper, here]

    yield from inside(len(levels) - 1, whole)


def size(extent: Extent, dims: str) -> int:
    """Elements of a tile along some dimensions."""
    return math.prod(extent[d][1] - extent[d][0] for d in dims)


def loads(problem: Problem, levels: list[Tile]) -> list[list[tuple[int, int, int, int]]]:
    """Bits of A, W and partial sums loaded, and of outputs stored, per level and step.

    A finished output of the nearest level passes through all levels at once; partial sums leave a
    level when its tile is left.
    """
    steps = list(walk(problem, levels))
    w_dims = "bnk" if problem.w_batched else "nk"
    found = []
    for level in range(len(levels)):
        rows = []
        for i, step in enumerate(steps):
            here = step[level]
            before = steps[i - 1][level] if i else None
            a = size(here, "bmk") * problem.a if _new(here, before, "bmk") else 0
            w = size(here, w_dims) * problem.w if _new(here, before, w_dims) else 0
            fresh = _new(here, before, "bmn")
            c = size(here, "bmn") * problem.sums if fresh and step[0]["k"][0] > 0 else 0
            after = steps[i + 1] if i + 1 < len(steps) else None
            rows.append((a, w, c, _stored(problem, step, after, level)))
        found.append(rows)
    return found


def _stored(problem: Problem, step: list[Extent], after: list[Extent] | None, level: int) -> int:
    if step[0]["k"][1] == problem.k:
        left = after is None or _new(step[0], after[0], "bmn")
        return size(step[0], "bmn") * problem.o if left else 0
    left = after is None or _new(step[level], after[level], "bmn")
    return size(step[level], "bmn") * problem.sums if left else 0


def _new(here: Extent, other: Extent | None, dims: str) -> bool:
    return other is None or any(here[d] != other[d] for d in dims)
