"""Aligned sums: the products of a chunk and the accumulator, cut to a common exponent.

The truncated fused dot-product-add of NVIDIA's tensor cores (arXiv 2511.10909; mmasim 2.1.1). For
every chunk of K, with F fraction bits: ``e = max`` of the exponents of all terms, the accumulator
among them; every term is cut toward zero to a multiple of ``2^(e - F)``; the exact sum is rounded
once and is the accumulator of the next chunk. K is filled up with zeros to a multiple of the chunk,
which changes nothing: an accumulator never counts with less than the exponent of zero.

A tile is two rows by 64 columns. Of every chunk, first the exponents are compared in bytes, then
the terms are added in int32, then accumulators are made in vectors. What vectors cannot do (NaN,
infinity, exponents far apart) they leave to ``exact``, element by element.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arithmetic import Arithmetic
from accelsim_kernels.dot.exact import exact_chunk, explain
from accelsim_kernels.dot.lanes import COLUMNS, ROWS, cut_sums, highest, narrow_sums
from accelsim_kernels.dot.operands import (
    add_scales,
    as_bytes,
    facts,
    lay_columns,
    lay_rows,
    lines,
    split_columns,
    split_rows,
)
from accelsim_kernels.dot.rounds import (
    BLOCK,
    CHUNK,
    FIRST_FLOOR,
    FLOOR,
    HALF,
    NARROW,
    ODD,
    begin_cut,
    begin_narrow,
    end_narrow,
    end_narrow_half,
    end_one,
    end_one_half,
    end_two,
    end_two_half,
)
from accelsim_kernels.dot.settle import half_of, of_half
from accelsim_kernels.dot.units import Path, Product
from accelsim_kernels.jit import leaf, part, rows_in_threads
from accelsim_kernels.tile import has_vnni

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
#: Bytes of both operands, facts of their formats ``[2, 8]``, their scales.
Operands = tuple[UInt8, UInt8, Int64, UInt8, UInt8]
#: Numbers, exponents, marks and signs of a block of rows ``[chunks, pairs, chunk, 2]``.
Block = tuple[Float32, Int32, Int32, Int32]
#: The same of one chunk, flat; of columns.
Laid = tuple[Float32, Int32, Int32, Int32]
LaidColumns = tuple[Float32, Int8, Int32, Int32]
#: Of a tile: exponents of products, scale, sums, common exponents, lines of operands.
Scratch = tuple[Int8, Float32, Int32, Int32, Int32]

_TILE = ROWS * COLUMNS
#: Rows and K that are laid out together.
_BLOCK_ROWS, _BLOCK_K = 512, 256
#: Products whose int32 sum cannot wrap: with F = 25 each is below 2^27.
_RUN = 16
#: Rows that are worth a thread.
_LEAST_ROWS = 16


@part
def _load(out: UInt8, row: int, last: int, left: int, state: Float32, half: int) -> None:
    """Read accumulators of a block of rows and 64 columns ``[rows, 64]``; missing ones are zero."""
    count = min(state.shape[0], last - row)
    width = min(COLUMNS, out.shape[1] // (2 if half else 4) - left)
    if count < state.shape[0] or width < COLUMNS:
        for i in range(state.shape[0]):
            for j in range(COLUMNS):
                state[i, j] = np.float32(0)
    if half:
        halves = out.view(np.uint16)
        for i in range(count):
            for j in range(width):
                state[i, j] = of_half(np.uint32(halves[row + i, left + j]))
    else:
        words = out.view(np.float32)
        for i in range(count):
            for j in range(width):
                state[i, j] = words[row + i, left + j]


@part
def _store(out: UInt8, row: int, last: int, left: int, state: Float32, half: int) -> None:
    """Write accumulators; those of missing rows and columns are left out."""
    count = min(state.shape[0], last - row)
    if half:
        halves = out.view(np.uint16)
        for i in range(count):
            for j in range(min(COLUMNS, halves.shape[1] - left)):
                halves[row + i, left + j] = np.uint16(half_of(state[i, j]))
    else:
        words = out.view(np.float32)
        for i in range(count):
            for j in range(min(COLUMNS, words.shape[1] - left)):
                words[row + i, left + j] = state[i, j]


@part
def _odd_ones(
    c: Float32, ends: Int32, operands: Operands, place: tuple[int, int, int], rules: Int64,
    lines: Int32,
) -> None:  # fmt: skip
    """Make the accumulators of a tile that vectors cannot make."""
    a, b, known, row_scales, column_scales = operands
    row, left, start = place
    block = start // rules[BLOCK] if rules[BLOCK] else 0
    floor = rules[FLOOR] if start else rules[FIRST_FLOOR]
    for i in range(_TILE):
        x, y = row + i // COLUMNS, left + i % COLUMNS
        if ends[i] > ODD // 2 and x < a.shape[0] and y < b.shape[0]:
            extra, before = np.int64(0), c[i]
            if rules[BLOCK]:
                alpha, beta = row_scales[x, block], column_scales[y, block]
                extra = np.int64(alpha) + np.int64(beta) - np.int64(254)
                if max(alpha, beta) == 255:
                    before = np.float32(np.nan)
            explain(a, known[0], x, start, lines[0])
            explain(b, known[1], y, start, lines[1])
            drop = known[0, 2] + known[1, 2]
            c[i] = exact_chunk(lines[0], lines[1], extra, drop, rules, floor, before)


@part
def _sums(
    rows: Laid, right: LaidColumns, at: int, rules: Int64, scale: Float32, sums: Int32
) -> None:
    """Add up the terms of a tile over one chunk, by runs ``[runs, 128]``."""
    chunk = rules[CHUNK]
    if rules[NARROW]:
        narrow_sums(sums, scale, rows[0], rows[3], right[0], right[3], at, 0, chunk)
        return
    cut_sums(sums, scale, rows[0], right[0], at, 0, min(_RUN, chunk))
    if chunk > _RUN:
        second, from_a, from_b = sums[_TILE:], at + _RUN * ROWS, _RUN * COLUMNS
        cut_sums(second, scale, rows[0], right[0], from_a, from_b, chunk - _RUN)


@part
def _end(sums: Int32, c: Float32, rules: Int64, ends: Int32) -> int:
    """Turn the sums of a tile into accumulators, and return whether some are odd."""
    if rules[NARROW]:
        if rules[HALF]:
            return end_narrow_half(sums, c, rules, ends)
        return end_narrow(sums, c, rules, ends)
    if rules[CHUNK] > _RUN:
        if rules[HALF]:
            return end_two_half(sums, c, rules, ends)
        return end_two(sums, c, rules, ends)
    if rules[HALF]:
        return end_one_half(sums, c, rules, ends)
    return end_one(sums, c, rules, ends)


@part
def _pairs(
    rows: Laid, right: LaidColumns, operands: Operands, place: tuple[int, int, int],
    rules: Int64, state: Float32, tile: Scratch,
) -> None:  # fmt: skip
    """Take all rows of a block through one chunk of 64 columns."""
    top, scale, sums, ends, lines = tile
    chunk = rules[CHUNK]
    floor = rules[FLOOR] if place[2] else rules[FIRST_FLOOR]
    for pair in range(state.size // _TILE):
        at = pair * chunk * ROWS
        c = state[pair * _TILE : (pair + 1) * _TILE]
        highest(top, rows[1], right[1], at, 0, chunk)
        if rules[NARROW]:
            odd = begin_narrow(top, c, rows[2], right[2], rules, scale, ends, pair, floor)
        else:
            odd = begin_cut(top, c, rows[2], right[2], rules, scale, ends, pair, floor)
        _sums(rows, right, at, rules, scale, sums)
        odd |= _end(sums, c, rules, ends)
        if odd:
            where = (place[0] + pair * ROWS, place[1], place[2])
            _odd_ones(c, ends, operands, where, rules, lines)


@leaf
def _lay_block(
    a: UInt8, known: Int64, scales: UInt8, place: tuple[int, int], rules: Int64, taken: Int32,
    rows: Block,
) -> None:  # fmt: skip
    """Lay out a block of rows, from a row and a K on."""
    numbers, exponents, marks, sides = rows
    row, start = place
    lay_rows(a, known[0], row, start, taken, numbers, exponents, marks)
    if rules[NARROW]:
        split_rows(numbers.reshape(-1), sides.reshape(-1))
    if rules[BLOCK]:
        for c in range(numbers.shape[0]):
            block = (start + c * rules[CHUNK]) // rules[BLOCK]
            if block < scales.shape[1]:
                add_scales(marks[c].T, scales, row, block)


@leaf
def _panels(
    rows: Block, right: LaidColumns, operands: Operands, place: tuple[int, int, int],
    rules: Int64, state: Float32, tile: Scratch, taken: Int32, out: UInt8,
) -> None:  # fmt: skip
    """Take a block of rows through a range of K, 64 columns after 64."""
    row, start, last = place
    b, known, scales = operands[1], operands[2], operands[4]
    chunk, half = rules[CHUNK], rules[HALF]
    stop = min(known[1, 7], start + rows[0].shape[0] * chunk)
    for left in range(0, b.shape[0], COLUMNS):
        _load(out, row, last, left, state, half)
        for c in range((stop - start + chunk - 1) // chunk):
            at = start + c * chunk
            lay_columns(b, known[1], left, at, taken, right[0], right[1], right[2])
            if rules[BLOCK]:
                add_scales(right[2], scales, left, at // rules[BLOCK])
            if rules[NARROW]:
                split_columns(right[0], right[3])
            laid = (
                rows[0][c].reshape(-1), rows[1][c].reshape(-1), rows[2][c].reshape(-1),
                rows[3][c].reshape(-1),
            )  # fmt: skip
            _pairs(laid, right, operands, (row, left, at), rules, state.reshape(-1), tile)
        _store(out, row, last, left, state, half)


def _aligned(operands: Operands, rules: Int64, out: UInt8, first: int, last: int) -> None:
    """Compute rows of a product in scratch of their own."""
    depth, chunk = int(operands[2][0, 7]), int(rules[CHUNK])
    chunks = min(max(1, _BLOCK_K // chunk), -(-depth // chunk))
    pairs = min(_BLOCK_ROWS, last - first + 1) // ROWS
    shape = (chunks, pairs, chunk, ROWS)
    rows = (
        lines(np.float32, *shape), lines(np.int32, *shape),
        np.empty((chunks, pairs * ROWS, 2), np.int32), lines(np.int32, *shape),
    )  # fmt: skip
    right = (
        lines(np.float32, chunk * COLUMNS), lines(np.int8, chunk * COLUMNS),
        np.empty((2, COLUMNS), np.int32), lines(np.int32, 2 * chunk * COLUMNS),
    )  # fmt: skip
    tile = (
        lines(np.int8, _TILE), lines(np.float32, _TILE), lines(np.int32, 2 * _TILE),
        lines(np.int32, _TILE), np.empty((2, 3, chunk), np.int32),
    )  # fmt: skip
    state = lines(np.float32, pairs * ROWS, COLUMNS)
    taken = np.empty((COLUMNS + 1) * chunk, np.int32)
    codes = np.empty(chunks * chunk, np.int32)
    a, known, scales = operands[0], operands[2], operands[3]
    for row in range(first, last, pairs * ROWS):
        for start in range(0, depth, chunks * chunk):
            _lay_block(a, known, scales, (row, start), rules, codes, rows)
            place = (row, start, last)
            _panels(rows, right, operands, place, rules, state, tile, taken, out)


def _rules(product: Product, path: Path) -> Int64:
    """Return the arithmetic as integers, in the order of their places above."""
    made = product.arithmetic
    half = made.spill == "fp16"
    floor = -14 if half else -126
    wide = any(fmt.exponent_bits > 5 for fmt in (product.a_format, product.b_format))
    narrow = path != "portable" and has_vnni() and made.fraction_bits <= 13
    first = -14 if product.c_format.name == "fp16" else floor
    return np.array(
        [
            made.fraction_bits, made.kept_bits, half, made.zero_exponent, wide, made.chunk,
            first, floor, made.block, narrow,
        ],
        np.int64,
    )  # fmt: skip


def _check(made: Arithmetic) -> None:
    """Refuse what the vectors cannot hold.

    Raises:
        ValueError: it names the field.
    """
    least = -14 if made.spill == "fp16" else -126
    for field, low, high in (
        ("chunk", 1, 2 * _RUN), ("fraction_bits", 1, 25), ("kept_bits", 1, 23),
        ("zero_exponent", -250, least),
    ):  # fmt: skip
        found = getattr(made, field)
        if not low <= found <= high:
            raise ValueError(f"{field} is {found} in {made.name}; {low} to {high} is possible")
    nearest, half = made.rounding == "nearest_even", made.spill == "fp16"
    if made.spill not in ("fp16", "fp32") or nearest != half or made.alignment != "truncate":
        raise ValueError(
            f"{made.name} is not possible: terms are truncated, FP32 is rounded toward_zero, "
            "FP16 to nearest_even"
        )
    if made.block and (made.block % made.chunk or made.scale != "e8m0"):
        raise ValueError(
            f"block is {made.block} in {made.name}; chunks with one E8M0 scale are possible"
        )


def run_aligned(product: Product, path: Path = "auto") -> None:
    """Compute a product of the unit ``aligned``; see ``Product``.

    Raises:
        ValueError: formats that the unit does not take.
    """
    _check(product.arithmetic)
    known = np.stack(
        [
            facts(product.a_format, 0 if product.a_packed else product.a.itemsize, product.depth),
            facts(product.b_format, 0 if product.b_packed else product.b.itemsize, product.depth),
        ]
    )
    nothing = np.empty((0, 0), np.uint8)
    scales = (nothing if given is None else given for given in (product.a_scales, product.b_scales))
    operands = (as_bytes(product.a), as_bytes(product.b), known, *scales)
    rules = _rules(product, path)
    out = as_bytes(product.out)
    rows_in_threads(
        lambda first, last: _aligned(operands, rules, out, first, last),
        len(product.out), _LEAST_ROWS,
    )  # fmt: skip
