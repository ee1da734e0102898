"""The clocked array: a matrix product on real registers, and the cycles that it takes.

This is the array of the ``cycle`` fidelity. It proves the closed forms of
``accelsim.mapping._core.array``: values and cycles come out of the clock alone. How the hardware
works is described in docs/clocked.md and in the kernels, ``accelsim.sim._core.clocked_os`` and
``clocked_stationary``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelsim.errors import InputError, RunError
from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping.machine import DATAFLOWS
from accelsim.sim._core import clocked_layout as cl
from accelsim.sim._core.clocked_os import clocked_os
from accelsim.sim._core.clocked_stationary import clocked_stationary
from accelsim.sim.clocked_operands import (
    BLOCK,
    ClockedArray,
    cuts,
    folds_of,
    group_steps,
    grouped_stream,
    prune_2to4,
    steps_of,
    stream_of,
)

__all__ = ["ClockedArray", "ClockedFold", "ClockedRun", "TileTimes", "clocked_gemm", "tile_times"]

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class ClockedFold:
    """One pass of an array, in cycles from the start.

    Attributes:
        load: its first stationary operand enters; output stationary: as ``start``.
        start: its first moving operand enters.
        first, last: its first and last row of results leaves.
    """

    load: int
    start: int
    first: int
    last: int


@dataclass(frozen=True)
class ClockedRun:
    """What a clocked product gave.

    Attributes:
        outputs: int64 ``[batch, m, n]``, or ``[m, n]`` for operands without batch.
        cycles: until the last result of the slowest array has left.
        occupied: for how long the slowest array is kept from the next product's operands.
        folds: per array its passes.
    """

    outputs: Ints
    cycles: int
    occupied: int
    folds: tuple[tuple[ClockedFold, ...], ...]


def clocked_gemm(a: Integers, w: Integers, array: ClockedArray) -> ClockedRun:
    """Multiply integers on clocked arrays.

    Args:
        a: activations ``[m, k]`` or ``[batch, m, k]``.
        w: weights ``[k, n]`` or ``[batch, k, n]``.
        array: the hardware. Products of operands up to 16 bits are exact: sums are int64.

    Raises:
        InputError: shapes that do not fit, an empty operand, or weights that are not 2:4.
    """
    left, right = _batched(a, "a"), _batched(w, "w")
    if left.shape[0] != right.shape[0] or left.shape[2] != right.shape[1]:
        raise InputError(f"a is {a.shape}, w is {w.shape}: batch or K differ")
    if 0 in left.shape or 0 in right.shape:
        raise InputError(f"a is {a.shape}, w is {w.shape}: an operand is empty")
    blocks, packs = steps_of(left, right, array)
    outputs = np.zeros((left.shape[0], left.shape[1], right.shape[2]), np.int64)
    results, folds = [], []
    for b in _shares(outputs.shape[0], array.split[0]):
        for m in _shares(outputs.shape[1], array.split[1]):
            for n in _shares(outputs.shape[2], array.split[2]):
                found, done, result = _one_array(blocks[b, m], packs[b, n], left.shape[2], array)
                outputs[b, m, n] = found
                results.append(result)
                folds.append(done)
    return ClockedRun(
        outputs=outputs if a.ndim == 3 or w.ndim == 3 else outputs[0],
        cycles=max(int(result[cl.R_CYCLES]) for result in results),
        occupied=max(int(result[cl.R_OCCUPIED]) for result in results),
        folds=tuple(folds),
    )


@dataclass(frozen=True, slots=True)
class TileTimes:
    """Cycles of one tile: ``occupied`` until the next may follow, ``cycles`` until it has left."""

    occupied: int
    cycles: int


def tile_times(
    problem: Ints, machine: Ints, choice: Ints, sizes: tuple[int, int, int, int]
) -> TileTimes:
    """Clock one tile of a plan with operands made for it.

    Args:
        problem: vector of the op; this and the others as ``mapping._core.layout`` describes them.
        machine: vector of the arrays.
        choice: vector of the plan.
        sizes: of the tile: batch, m, n, k.

    Raises:
        RunError: the values that left the array are not those of the product.
    """
    return _tile_times(_array_of(problem, machine, choice), sizes)


def _array_of(problem: Ints, machine: Ints, choice: Ints) -> ClockedArray:
    flow = int(choice[at.S_DATAFLOW])
    buffered = machine[at.C_OUTPUT_DB if flow == at.OS else at.C_WEIGHT_DB]
    return ClockedArray(
        rows=int(machine[at.C_ROWS]),
        columns=int(machine[at.C_COLS]),
        dataflow=DATAFLOWS[flow],
        double_buffer=bool(buffered),
        k_per_cycle=int(problem[at.P_K_PER_CYCLE]),
        cycles_per_step=int(problem[at.P_CYCLES_PER_STEP]),
        sparse=bool(problem[at.P_K_NUM] != problem[at.P_K_DEN]),
        group=int(problem[at.P_GROUP]),
        group_cycles=int(problem[at.P_GROUP_CYCLES]),
        split=(
            int(choice[at.S_SPLIT_B]), int(choice[at.S_SPLIT_M]), int(choice[at.S_SPLIT_N]),
        ),
    )  # fmt: skip


@functools.lru_cache(maxsize=4096)
def _tile_times(array: ClockedArray, sizes: tuple[int, int, int, int]) -> TileTimes:
    b, m, n, k = sizes
    random = np.random.default_rng(0)  # the same operands each time; cycles do not depend on them
    a = random.integers(-128, 128, (b, m, k))
    w = random.integers(-128, 128, (b, k, n))
    if array.sparse:
        w = prune_2to4(w, array.group)
    run = clocked_gemm(a, w, array)
    if not np.array_equal(run.outputs, a @ w):
        raise RunError(f"{array}: a tile of {sizes} gave wrong values: a defect of accelsim")
    return TileTimes(run.occupied, run.cycles)


def _batched(operand: Integers, name: str) -> Ints:
    if operand.ndim not in (2, 3) or operand.dtype.kind not in "iu":
        raise InputError(
            f"{name} is {operand.dtype} {operand.shape}; integers in 2 or 3 dimensions are needed"
        )
    found = operand.astype(np.int64)
    return found if operand.ndim == 3 else found[None]


def _shares(size: int, parts: int) -> list[slice]:
    """Cut a dimension into equal shares, the last one smaller; there may be fewer than asked."""
    each = -(-size // parts)
    return [slice(first, min(size, first + each)) for first in range(0, size, each)]


def _one_array(
    blocks: Ints, packs: Ints, k: int, array: ClockedArray
) -> tuple[Ints, tuple[ClockedFold, ...], Ints]:
    """Run one array's share; return its results, folds and R vector."""
    steps = group_steps(k, array)
    operands = (np.ascontiguousarray(blocks), np.ascontiguousarray(packs))
    shape = (blocks.shape[0], blocks.shape[1], packs.shape[1])
    if array.flow == at.OS:
        out = np.zeros(shape, np.int64)
        folds = folds_of(shape[0], cuts([shape[1]], array.rows), cuts([shape[2]], array.columns))
        stream = grouped_stream(steps, array)
    else:
        stays = array.flow == at.IS
        moving, columns = (packs, shape[1]) if stays else (blocks, shape[2])
        operands = operands[::-1] if stays else operands
        out = np.zeros((shape[0], moving.shape[1], columns), np.int64)
        folds = folds_of(shape[0], cuts(steps, array.rows), cuts([columns], array.columns))
        stream = stream_of(moving.shape[1], array)
    info = np.zeros((len(folds), cl.I_SIZE), np.int64)
    kernel = clocked_os if array.flow == at.OS else clocked_stationary
    result = kernel(_vector(array), *operands, *stream, folds, out, info)
    done = tuple(ClockedFold(*(int(cycle) for cycle in row)) for row in info)
    return out.transpose(0, 2, 1) if array.flow == at.IS else out, done, result


def _vector(array: ClockedArray) -> Ints:
    found = np.zeros(cl.Z_SIZE, np.int64)
    found[cl.Z_ROWS], found[cl.Z_COLS] = array.rows, array.columns
    found[cl.Z_LANES], found[cl.Z_WIDTH] = array.k_per_cycle, BLOCK if array.sparse else 1
    found[cl.Z_DOUBLE], found[cl.Z_BLOCKS_STAY] = array.double_buffer, array.flow == at.IS
    return found
