"""One tile of a plan: its bits per operand, and what it costs array and nearest level."""

from __future__ import annotations

import numpy as np

from accelsim.jit import Ints, leaf, part
from accelsim.mapping._core.array import (
    ceil_div,
    k_folds,
    operand_passes,
    tile_cycles,
)
from accelsim.mapping._core.layout import (
    C_ACC_BITS,
    C_COLS,
    C_COUNT,
    IS,
    OS,
    P_A_BITS,
    P_A_ELEMENT_BITS,
    P_ACC_BITS,
    P_B,
    P_CONV,
    P_IN_H,
    P_IN_ROW_BITS,
    P_K,
    P_KERNEL_H,
    P_M,
    P_N,
    P_O_BITS,
    P_OUT_H,
    P_OUT_W,
    P_STRIDE_H,
    P_TAPS,
    P_W_BATCHED,
    P_W_BITS,
    P_X_BITS,
    S_DATAFLOW,
    S_SPLIT_B,
    S_SPLIT_M,
    S_SPLIT_N,
)

_EXACT = 2**62


@part
def share(bits: int, part: int, whole: int) -> int:
    """Bits of ``part`` elements out of ``whole``, rounded up."""
    if part >= whole:
        return bits
    each, rest = bits // whole, bits % whole
    if rest == 0:
        return each * part
    if rest < _EXACT // part:
        return each * part + ceil_div(rest * part, whole)
    # Only metadata leaves a rest; of operands this large a bit more or less does not matter.
    return each * part + np.int64(np.ceil(float(rest) * (float(part) / float(whole))))


@leaf
def a_tile_bits(problem: Ints, b: int, m: int, k: int) -> int:
    """Bits of the first operand's tile; a convolution loads whole input rows with their halo."""
    if problem[P_CONV] == 0:
        return share(problem[P_A_BITS], b * m * k, problem[P_B] * problem[P_M] * problem[P_K])
    if b >= problem[P_B] and m >= problem[P_M] and k >= problem[P_K]:
        return problem[P_A_BITS]
    out_rows = ceil_div(m, problem[P_OUT_W])
    images = max(1, ceil_div(out_rows, problem[P_OUT_H]))
    rows = out_rows if images == 1 else problem[P_OUT_H]
    reach = max(problem[P_KERNEL_H], problem[P_STRIDE_H])  # rows that stride skips are moved too
    in_rows = min(problem[P_IN_H], (rows - 1) * problem[P_STRIDE_H] + reach)
    channels = ceil_div(k, problem[P_TAPS])
    return b * images * in_rows * channels * problem[P_IN_ROW_BITS]


@leaf
def w_tile_bits(problem: Ints, b: int, n: int, k: int) -> int:
    """Bits of the second operand's tile."""
    if problem[P_W_BATCHED] == 1:
        return share(problem[P_W_BITS], b * n * k, problem[P_B] * problem[P_N] * problem[P_K])
    return share(problem[P_W_BITS], n * k, problem[P_N] * problem[P_K])


@part
def output_share(problem: Ints, bits: int, b: int, m: int, n: int) -> int:
    """The part of an output tile of bits that belong to the whole output."""
    return share(bits, b * m * n, problem[P_B] * problem[P_M] * problem[P_N])


@part
def out_tile_bits(problem: Ints, b: int, m: int, n: int) -> int:
    """Bits of the finished output tile."""
    return output_share(problem, problem[P_O_BITS], b, m, n)


@part
def epilogue_tile_bits(problem: Ints, b: int, m: int, n: int) -> int:
    """Bits that the fused epilogue reads for an output tile."""
    return output_share(problem, problem[P_X_BITS], b, m, n)


@leaf
def array_share(choice: Ints, b: int, m: int, n: int) -> tuple[int, int, int]:
    """The part of a tile that one array works on: batch entries, rows, columns."""
    return (
        ceil_div(b, choice[S_SPLIT_B]),
        ceil_div(m, choice[S_SPLIT_M]),
        ceil_div(n, choice[S_SPLIT_N]),
    )


@part
def array_cycles(problem: Ints, machine: Ints, choice: Ints, b: int, m: int, n: int, k: int) -> int:
    """Cycles for which the arrays are occupied by a tile; they work side by side."""
    own_b, own_m, own_n = array_share(choice, b, m, n)
    return own_b * tile_cycles(problem, machine, choice[S_DATAFLOW], own_m, own_n, k)


@part
def sums_stay(problem: Ints, machine: Ints, choice: Ints, b: int, m: int, n: int) -> bool:
    """Whether partial sums of a whole tile stay in accumulator memory between steps along K."""
    return b * m * n * problem[P_ACC_BITS] <= machine[C_ACC_BITS] * machine[C_COUNT]


@part
def fold_sums_stay(problem: Ints, machine: Ints, choice: Ints, m: int, n: int) -> bool:
    """Whether partial sums of one fold's columns stay in accumulator memory between folds of K."""
    _, own_m, own_n = array_share(choice, 1, m, n)
    held = own_n if choice[S_DATAFLOW] == IS else own_m
    return held * machine[C_COLS] * problem[P_ACC_BITS] <= machine[C_ACC_BITS]


@part
def port_bits(
    problem: Ints, machine: Ints, choice: Ints, b: int, m: int, n: int, k: int
) -> tuple[int, int, int, int]:
    """Bits of a tile at the nearest level: both operands and partial sums read, sums written."""
    _, own_m, own_n = array_share(choice, b, m, n)
    passes_a, passes_w = operand_passes(machine, choice[S_DATAFLOW], own_m, own_n)
    # im2col happens at the port: every tap is read, whatever the halo that was loaded.
    if problem[P_CONV] == 0:
        a_bits = a_tile_bits(problem, b, m, k)
    else:
        a_bits = b * m * k * problem[P_A_ELEMENT_BITS]
    moved = np.int64(0)
    sums = b * m * n * problem[P_ACC_BITS]
    folds = k_folds(problem, machine, choice[S_DATAFLOW], k)
    if choice[S_DATAFLOW] != OS and not fold_sums_stay(problem, machine, choice, m, n):
        moved += sums * (folds - 1)
    if k < problem[P_K] and not sums_stay(problem, machine, choice, b, m, n):
        moved += sums
    return a_bits * passes_a, w_tile_bits(problem, b, n, k) * passes_w, moved, moved


@part
def accumulator_bits(
    problem: Ints, machine: Ints, choice: Ints, b: int, m: int, n: int, k: int, first: bool
) -> int:
    """Bits that a tile moves in and out of accumulator memory; 0 where there is none.

    Every fold along K writes its sums and reads those before it; ``first`` is the first tile along
    K, which finds none.
    """
    if machine[C_ACC_BITS] == 0:
        return 0
    stays = k >= problem[P_K] or sums_stay(problem, machine, choice, b, m, n)
    sums = b * m * n * problem[P_ACC_BITS]
    if choice[S_DATAFLOW] == OS:
        # Sums of a fold stay in the array; between tiles along K they wait in the memory.
        return sums * (1 if first else 2) if stays and k < problem[P_K] else 0
    if not fold_sums_stay(problem, machine, choice, m, n):
        return 0
    folds = k_folds(problem, machine, choice[S_DATAFLOW], k)
    return sums * (2 * folds - (1 if first or not stays else 0))
