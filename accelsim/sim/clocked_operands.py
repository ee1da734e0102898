"""Operands and folds of the clocked array: K cut into steps, steps into folds, both into arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.errors import InputError, UnknownNameError
from accelsim.jit import Ints
from accelsim.mapping.machine import DATAFLOWS

BLOCK, _KEPT = 4, 2  # 2:4 keeps two of four


@dataclass(frozen=True, slots=True)
class ClockedArray:
    """What the clocked hardware is built like, and what it is told about an op.

    Attributes:
        rows, columns: of PEs in one array.
        dataflow: a name of ``accelsim.mapping.machine.DATAFLOWS``.
        double_buffer: sums shift out (output stationary) or the next stationary operand loads (the
            others) while a fold runs.
        k_per_cycle: products along K that a PE adds in one step.
        cycles_per_step: cycles that a PE takes for a step.
        sparse: weights are 2:4 along K and stored as pairs of value and place.
        group: length of a scale group along K; 0: none.
        group_cycles: cycles that an output-stationary PE takes to rescale its sum after a group.
        split: over how many arrays batch, rows and columns of the result are shared out.
    """

    rows: int
    columns: int
    dataflow: str = DATAFLOWS[0]
    double_buffer: bool = False
    k_per_cycle: int = 1
    cycles_per_step: int = 1
    sparse: bool = False
    group: int = 0
    group_cycles: int = 0
    split: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        if self.dataflow not in DATAFLOWS:
            raise UnknownNameError("dataflow", self.dataflow, DATAFLOWS)
        sizes = (self.rows, self.columns, self.k_per_cycle, self.cycles_per_step, *self.split)
        if min(sizes) < 1 or min(self.group, self.group_cycles) < 0:
            raise InputError(f"{self}: sizes are at least 1, group and group_cycles at least 0")

    @property
    def flow(self) -> int:
        """The dataflow as the kernels count it."""
        return DATAFLOWS.index(self.dataflow)


def prune_2to4(w: Ints, group: int = 0) -> Ints:
    """Return weights ``[batch, k, n]`` with all but the first two of each four along K set to 0."""
    kept = w.copy()
    for first, last in _groups(w.shape[1], group):
        kept[:, first:last][:, np.arange(last - first) % BLOCK >= _KEPT] = 0
    return kept


def _groups(k: int, group: int) -> list[tuple[int, int]]:
    length = group if 0 < group < k else k
    return [(first, min(k, first + length)) for first in range(0, k, length)]


def group_steps(k: int, array: ClockedArray) -> list[int]:
    """Steps per scale group: a step adds products of one group only."""
    found = []
    for first, last in _groups(k, array.group):
        kept = -(-(last - first) // BLOCK) * _KEPT if array.sparse else last - first
        found.append(-(-kept // array.k_per_cycle))
    return found


def steps_of(a: Ints, w: Ints, array: ClockedArray) -> tuple[Ints, Ints]:
    """Return operands as the steps of K: blocks ``[batch, m, steps, lanes * width]``, packs."""
    blocks, packs = [], []
    for first, last in _groups(a.shape[2], array.group):
        own_a, own_w = a[:, :, first:last], w[:, first:last].transpose(0, 2, 1)
        values, pairs = _sparse(own_a, own_w, first) if array.sparse else _dense(own_a, own_w)
        steps = -(-pairs.shape[2] // array.k_per_cycle)
        missing = steps * array.k_per_cycle - pairs.shape[2]
        values = np.pad(values, ((0, 0), (0, 0), (0, missing), (0, 0)))
        pairs = np.pad(pairs, ((0, 0), (0, 0), (0, missing)))
        blocks.append(values.reshape(*values.shape[:2], steps, -1))
        packs.append(pairs.reshape(*pairs.shape[:2], steps, -1))
    return np.concatenate(blocks, axis=2), np.concatenate(packs, axis=2)


def _dense(a: Ints, w: Ints) -> tuple[Ints, Ints]:
    return a[..., None], w * BLOCK


def _sparse(a: Ints, w: Ints, first: int) -> tuple[Ints, Ints]:
    """Return per kept place its block of activations, and its weight with the place in it."""
    rest = -a.shape[2] % BLOCK
    values = np.pad(a, ((0, 0), (0, 0), (0, rest))).reshape(*a.shape[:2], -1, BLOCK)
    weights = np.pad(w, ((0, 0), (0, 0), (0, rest))).reshape(*w.shape[:2], -1, BLOCK)
    wrong = np.argwhere((weights != 0).sum(axis=3) > _KEPT)
    if wrong.size:
        batch, n, block = (int(i) for i in wrong[0])
        raise InputError(
            f"w is not 2:4: column {n} of batch {batch} has more than two weights in the four from "
            f"K {first + BLOCK * block} on"
        )
    # Stable: weights that are not zero come first, in their order.
    places = np.argsort(weights == 0, axis=3, kind="stable")[..., :_KEPT]
    kept = np.take_along_axis(weights, places, axis=3) * BLOCK + places
    return np.repeat(values, _KEPT, axis=2), kept.reshape(*w.shape[:2], -1)


def cuts(parts: list[int], side: int) -> list[tuple[int, int]]:
    """Cut a dimension, given in parts that may not share a fold, into first index and count."""
    found, begin = [], 0
    for part in parts:
        found += [(begin + i, min(side, part - i)) for i in range(0, part, side)]
        begin += part
    return found


def folds_of(batch: int, rows: list[tuple[int, int]], cols: list[tuple[int, int]]) -> Ints:
    """Return the folds; those along the rows are the inner loop."""
    return np.array([(b, *row, *col) for b in range(batch) for col in cols for row in rows])


def stream_of(length: int, array: ClockedArray) -> tuple[Ints, Ints]:
    """What is on the edge per cycle: every row stays for the cycles of a step."""
    slow = array.cycles_per_step
    multiply = np.arange(slow * length) % slow == slow - 1
    return np.repeat(np.arange(length), slow), multiply.astype(np.int64)


def grouped_stream(steps: list[int], array: ClockedArray) -> tuple[Ints, Ints]:
    """As ``stream_of``; after the last step of a scale group come the cycles of its rescale."""
    pause = array.group_cycles if array.group else 0
    feed, commits = [], []
    begin = 0
    for count in steps:
        index, multiply = stream_of(count, array)
        feed += [index + begin, np.full(pause, -1)]
        commits += [multiply, np.zeros(pause, np.int64)]
        begin += count
    return np.concatenate(feed), np.concatenate(commits)
