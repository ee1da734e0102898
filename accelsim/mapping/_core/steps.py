"""A plan as a sequence of tile steps: what each one loads over every link, computes and stores."""

from __future__ import annotations

import numpy as np

from accelsim.jit import Floats, Ints, kernel, leaf, part
from accelsim.mapping._core.array import ceil_div
from accelsim.mapping._core.banks import bank_ps
from accelsim.mapping._core.cost import concerns, crossing_bits, loop_dim, stays, tile_size
from accelsim.mapping._core.layout import (
    C_LEVELS,
    DIMS,
    OP_A,
    OP_C,
    OP_W,
    OPERANDS,
    P_ACC_BITS,
    P_B,
    P_VECTOR_MILLICYCLES,
    B,
    K,
    M,
    N,
)
from accelsim.mapping._core.tile import (
    a_tile_bits,
    accumulator_bits,
    array_cycles,
    epilogue_tile_bits,
    out_tile_bits,
    output_share,
    port_bits,
    share,
    sums_stay,
    w_tile_bits,
)

# Columns of ``work``: array cycles, bits read and written at the nearest level's port, vector
# work in 1/1000 cycle, bits moved in accumulator memory; then what of the bits read is of the first
# and of the second operand. The rest of them, and all that is written, is of results.
W_ARRAY, W_READ, W_WRITTEN, W_VECTOR, W_SUMS, W_READ_A, W_READ_W, W_SIZE = 0, 1, 2, 3, 4, 5, 6, 7


@leaf
def unit_bits(work: Ints) -> tuple[int, int, int, int]:
    """A step's bits at the nearest level's port: both operands, results read, results written."""
    first, second = work[W_READ_A], work[W_READ_W]
    return first, second, work[W_READ] - first - second, work[W_WRITTEN]


@leaf
def unit_port_ps(work: Ints, levels: Ints, rates: Floats, found: Floats) -> None:
    """Write the picoseconds of the nearest level's port for every step, DMA left out."""
    none = np.int64(0)
    for step in range(work.shape[0]):
        found[step] = bank_ps(levels, rates, unit_bits(work[step]), (none, none, none, none))


@leaf
def count_steps(problem: Ints, machine: Ints, choice: Ints) -> int:
    """Tiles of the nearest level."""
    steps = np.int64(1)
    for dim in range(DIMS):
        steps *= ceil_div(problem[P_B + dim], tile_size(problem, machine, choice, 0, dim))
    return steps


@part
def place(
    problem: Ints, machine: Ints, choice: Ints, index: Ints, offset: Ints, extent: Ints, level: int
) -> None:
    """Recompute offsets and extents of ``level`` and of all levels inside it."""
    for inside in range(level + 1):
        at = level - inside
        for position in range(DIMS):
            dim = loop_dim(choice, at, position)
            size = tile_size(problem, machine, choice, at, dim)
            start = index[at, position] * size
            offset[at, dim] = offset[at + 1, dim] + start
            extent[at, dim] = min(size, extent[at + 1, dim] - start)


@part
def advance(
    problem: Ints, machine: Ints, choice: Ints, index: Ints, offset: Ints, extent: Ints
) -> int:
    """Step the innermost loop that can; return the outermost level that moved, or -1 at the end."""
    for level in range(machine[C_LEVELS]):
        for back in range(DIMS):
            position = DIMS - 1 - back
            dim = loop_dim(choice, level, position)
            size = tile_size(problem, machine, choice, level, dim)
            if (index[level, position] + 1) * size < extent[level + 1, dim]:
                index[level, position] += 1
                place(problem, machine, choice, index, offset, extent, level)
                return level
            index[level, position] = 0
    return -1


@part
def _moved(problem: Ints, operand: int, offset: Ints, last: Ints) -> bool:
    for dim in range(DIMS):  # noqa: SIM110 (any() over a generator does not compile)
        if concerns(problem, operand, dim) and offset[dim] != last[dim]:
            return True
    return False


@part
def _operand_bits(problem: Ints, operand: int, extent: Ints) -> int:
    if operand == OP_A:
        return a_tile_bits(problem, extent[B], extent[M], extent[K])
    return w_tile_bits(problem, extent[B], extent[N], extent[K])


@part
def _remember(offset: Ints, last: Ints) -> None:
    for dim in range(DIMS):
        last[dim] = offset[dim]


@part
def _load_step(
    problem: Ints, machine: Ints, step: int, offset: Ints, extent: Ints, last: Ints, loads: Ints
) -> None:
    """Record what must be loaded before ``step``, for every link."""
    for level in range(machine[C_LEVELS]):
        for operand in (OP_A, OP_W):
            if stays(problem, machine, level, operand):
                continue
            if step == 0 or _moved(problem, operand, offset[level], last[level, operand]):
                loads[level, operand, step] = _operand_bits(problem, operand, extent[level])
                _remember(offset[level], last[level, operand])
        if step == 0 or _moved(problem, OP_C, offset[level], last[level, OP_C]):
            if offset[0, K] > 0:
                sums = extent[level, B] * extent[level, M] * extent[level, N]
                loads[level, OP_C, step] = sums * problem[P_ACC_BITS]
            _remember(offset[level], last[level, OP_C])


@part
def _finish_output(
    problem: Ints,
    machine: Ints,
    moved: bool,
    offset: Ints,
    before: Ints,
    extent: Ints,
    stores: Ints,
) -> None:
    """Record the stores of output tiles that a step leaves behind (all of them at the end).

    Finished outputs pass through all levels at once; partial sums leave a level with its tile.
    """
    for level in range(stores.shape[0]):
        if moved and not _moved(problem, OP_C, offset[level], before[level]):
            continue
        if before[0, K] + extent[0, K] < problem[P_B + K]:
            sums = extent[level, B] * extent[level, M] * extent[level, N]
            stores[level] = sums * problem[P_ACC_BITS]
        elif level == 0:
            for link in range(stores.shape[0]):
                bits = crossing_bits(problem, machine, link)[1]
                stores[link] = output_share(problem, bits, extent[0, B], extent[0, M], extent[0, N])


@part
def _work_step(
    problem: Ints, machine: Ints, choice: Ints, extent: Ints, start: int, work: Ints
) -> None:
    """Array, port and accumulator work of a tile that starts at ``start`` along K."""
    b, m, n, k = extent[B], extent[M], extent[N], extent[K]
    first, second, sums, written = port_bits(problem, machine, choice, b, m, n, k)
    work[W_ARRAY] = array_cycles(problem, machine, choice, b, m, n, k)
    work[W_READ], work[W_WRITTEN] = first + second + sums, written
    work[W_READ_A], work[W_READ_W] = first, second
    work[W_SUMS] = accumulator_bits(problem, machine, choice, b, m, n, k, start == 0)
    if start + k >= problem[P_B + K]:
        outputs = problem[P_B] * problem[P_B + M] * problem[P_B + N]
        work[W_VECTOR] = share(problem[P_VECTOR_MILLICYCLES], b * m * n, outputs)
        work[W_READ] += epilogue_tile_bits(problem, b, m, n)
        work[W_WRITTEN] += out_tile_bits(problem, b, m, n)


@kernel
def gemm_steps(
    problem: Ints, machine: Ints, choice: Ints, loads: Ints, stores: Ints, work: Ints
) -> None:
    """Fill the step arrays of a batch of matrix products.

    ``loads`` is int64 ``[levels, 3, steps]``, bits loaded over a link before a step; ``stores``
    int64 ``[levels, steps]``, bits stored over it after the step; ``work`` int64 ``[steps,
    W_SIZE]``. All are zero at first. The other vectors are those of ``layout``.
    """
    used = machine[C_LEVELS]
    index = np.zeros((used, DIMS), np.int64)
    offset = np.zeros((used + 1, DIMS), np.int64)
    extent = np.zeros((used + 1, DIMS), np.int64)
    extent[used] = problem[P_B : P_B + DIMS]
    place(problem, machine, choice, index, offset, extent, used - 1)
    last = np.zeros((used, OPERANDS, DIMS), np.int64)
    flushed = np.zeros(used, np.int64)
    for step in range(work.shape[0]):
        _load_step(problem, machine, step, offset, extent, last, loads)
        _work_step(problem, machine, choice, extent[0], offset[0, K], work[step])
        stays = sums_stay(problem, machine, choice, extent[0, B], extent[0, M], extent[0, N])
        if stays:
            work[step, W_READ] += loads[0, OP_C, step]
        last_k = offset[0, K] + extent[0, K] >= problem[P_B + K]
        if last_k:
            for level in range(used):
                bits = crossing_bits(problem, machine, level)[0]
                loads[level, OP_C, step] += output_share(
                    problem, bits, extent[0, B], extent[0, M], extent[0, N]
                )
        before, before_extent = offset.copy(), extent.copy()
        moved = advance(problem, machine, choice, index, offset, extent)
        flushed[:] = 0
        _finish_output(problem, machine, moved >= 0, offset, before, before_extent, flushed)
        if stays and not last_k:
            work[step, W_WRITTEN] += flushed[0]
        # Assigned as a slice, Numba would compile its error message too, for some seconds.
        for level in range(flushed.size):
            stores[level, step] = flushed[level]
