"""Grouped sums: FP4 in groups of 16, which are summed exactly before their scales are applied.

The group-scaled fused dot-product-add of NVIDIA's Blackwell, for MXFP4 and NVFP4 (arXiv 2511.10909;
mmasim 2.1.1). A chunk is four groups and the accumulator, each a term: ``p_g = sum a b`` is exact,
its exponent is that of its scales alone. Terms are cut to the largest exponent and summed as those
of aligned sums. A group counts with the exponent of zero where all its products are zero or a scale
is, not where its sum cancels. K is filled up with zeros to a multiple of the chunk.

Sums of groups are those of INT8 products: FP4 numbers are halves of integers up to 12.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.exact import term
from accelsim_kernels.dot.groups import (
    BELOW,
    EXPONENT,
    FACTS,
    GROUPS,
    NOT_A_NUMBER,
    PLACES,
    SIGNIFICAND,
    end_groups,
)
from accelsim_kernels.dot.operands import as_bytes, facts, lines, take_codes
from accelsim_kernels.dot.rounds import BLOCK, KEPT, ODD, ZERO, F
from accelsim_kernels.dot.settle import settled
from accelsim_kernels.dot.units import Path, Product
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import leaf, part, rows_in_threads
from accelsim_kernels.tile import COLUMNS, ROWS, dot4_tile, dot4_tile_vnni, has_vnni

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

GROUP = 16
_DEPTH = GROUPS * GROUP
_WORDS = _DEPTH // 4
_TILE = ROWS * COLUMNS
#: Rows and chunks that are laid out together.
_BLOCK_ROWS, _BLOCK_CHUNKS = 384, 8
_LEAST_ROWS = 24
#: What makes a number of the left operand unsigned.
_OFFSET = 12
#: Places of the rules that others are not given: whether scales are UE4M3, and the path.
_UNSIGNED, _VNNI = 9, 10
#: Twice the numbers of FP4.
_TWICE = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int32)

#: Bytes of an operand, its scales, facts ``[8]`` of its format.
Operand = tuple[UInt8, UInt8, Int64]
#: Of a block of rows: words ``[chunks, tiles, 16, 6]``, facts ``[chunks, tiles, 6, 4, 3]``,
#: scratch.
Block = tuple[Int32, Int32, Int32]
#: Of a chunk of columns: words ``[16, 64]``, what sums begin with ``[4, 64]``, facts
#: ``[4, 3, 64]``, scratch.
Columns = tuple[Int32, Int32, Int32, Int32]

#: Of a tile: sums of groups ``[4, 384]``, exponents ``[384]``, ones ``[64]``.
Scratch = tuple[Int32, Int32, Float32]


@part
def _scale(code: np.uint8, unsigned: int) -> tuple[int, int]:
    """Return exponent and significand, in eighths, of a scale; a NaN has significand -1."""
    if unsigned == 0:  # E8M0
        return np.int64(code) - 127, -1 if code == 255 else 8
    magnitude = np.int64(code) & 127  # UE4M3
    field = magnitude >> 3
    if magnitude == 127:
        return 8, -1
    return max(field, 1) - 7, magnitude - ((max(field, 1) - 1) << 3)


@part
def _group(
    operand: Operand, row: int, start: int, block: int, unsigned: int, codes: Int32, fact: Int32
) -> None:
    """Read 16 codes of a row as twice their numbers, and what is known of them."""
    given, scales, known = operand
    take_codes(given, known, row, start, codes)
    places = np.int32(0)
    for k in range(GROUP):
        codes[k] = _TWICE[codes[k]]
        places |= np.int32(codes[k] != 0) << np.int32(k)
    exponent, significand = np.int64(0), np.int64(0)
    if row < given.shape[0] and start < known[7]:
        exponent, significand = _scale(scales[row, start // block], unsigned)
    if significand == 0:
        places = np.int32(0)
    if significand < 0:
        places |= np.int32(NOT_A_NUMBER)
    fact[EXPONENT], fact[PLACES] = exponent, places
    fact[SIGNIFICAND] = np.int32(bits_of(np.float32(significand)))


@leaf
def _lay_rows(operand: Operand, row: int, start: int, rules: Int64, rows: Block) -> None:
    """Lay out a block of rows, four unsigned bytes to a word."""
    words, known, codes = rows
    for c in range(words.shape[0]):
        for i in range(words.shape[1] * ROWS):
            tile, line = i // ROWS, i % ROWS
            for g in range(GROUPS):
                at = start + c * _DEPTH + g * GROUP
                _group(
                    operand,
                    row + i,
                    at,
                    rules[BLOCK],
                    rules[_UNSIGNED],
                    codes,
                    known[c, tile, line, g],
                )
                for word in range(4):
                    packed = np.int32(0)
                    for byte in range(4):
                        number = codes[4 * word + byte] + np.int32(_OFFSET)
                        packed |= number << np.int32(8 * byte)
                    words[c, tile, 4 * g + word, line] = packed


@part
def _lay_columns(operand: Operand, left: int, start: int, rules: Int64, right: Columns) -> None:
    """Lay out one chunk of 64 columns, four signed bytes to a word."""
    words, begin, known, codes = right
    fact = codes[GROUP:]
    for j in range(COLUMNS):
        for g in range(GROUPS):
            _group(
                operand, left + j, start + g * GROUP, rules[BLOCK], rules[_UNSIGNED], codes, fact
            )
            for i in range(FACTS):
                known[g, i, j] = fact[i]
            total = np.int32(0)
            for word in range(4):
                packed = np.int32(0)
                for byte in range(4):
                    number = codes[4 * word + byte]
                    total += number
                    packed |= (number & np.int32(255)) << np.int32(8 * byte)
                words[4 * g + word, j] = packed
            begin[g, j] = -np.int32(_OFFSET) * total


@part
def _exact(
    place: int, sums: Int32, rows: Int32, columns: Int32, rules: Int64, c: np.float32
) -> np.float32:
    """Return one accumulator in integers.

    Args:
        place: of the element in a tile ``[6, 64]``.
        sums: of groups ``[4, 384]``.
        rows: facts ``[6, 4, 3]``.
        columns: facts ``[4, 3, 64]``.
        rules: see ``rounds``.
        c: the accumulator before.
    """
    i, j = place // COLUMNS, place % COLUMNS
    strange = c != c
    for g in range(GROUPS):
        strange |= ((rows[i, g, PLACES] | columns[g, PLACES, j]) & np.int32(NOT_A_NUMBER)) != 0
    if strange:
        return float_of(np.uint32(0x7FFFFFFF))
    if abs(c) == np.inf:
        return c
    magnitude = np.int64(bits_of(c)) & np.int64(0x7FFFFFFF)
    field = max(magnitude >> np.int64(23), np.int64(1))
    significand = magnitude - ((field - np.int64(1)) << np.int64(23))
    highest = field - np.int64(127) if magnitude else rules[ZERO]
    for g in range(GROUPS):
        if rows[i, g, PLACES] & columns[g, PLACES, j]:
            exponent = np.int64(rows[i, g, EXPONENT] + columns[g, EXPONENT, j])
            highest = max(highest, exponent)
    kept = rules[F] - highest
    total = term(-significand if c < 0 else significand, kept + field - np.int64(150))
    for g in range(GROUPS):
        scale = np.int64(float_of(np.uint32(rows[i, g, SIGNIFICAND])))
        scale *= np.int64(float_of(np.uint32(columns[g, SIGNIFICAND, j])))
        exponent = np.int64(rows[i, g, EXPONENT] + columns[g, EXPONENT, j])
        total += term(np.int64(sums[g, place]) * scale, kept + exponent - np.int64(BELOW))
    return settled(total, -kept, rules[KEPT], np.int64(0))


@part
def _tiles(
    rows: Block, number: int, right: Columns, rules: Int64, state: Float32, tile: Scratch
) -> None:
    """Take all rows of a block through one chunk of 64 columns."""
    words, known, _ = rows
    sums, ends, ones = tile
    flat_words, flat_columns = words[number].reshape(-1), right[0].reshape(-1)
    flat_known, flat_facts = known[number].reshape(-1), right[2].reshape(-1)
    for i in range(words.shape[1]):
        c = state[i * _TILE : (i + 1) * _TILE]
        for g in range(GROUPS):
            at, column = (i * _WORDS + 4 * g) * ROWS, 4 * g * COLUMNS
            if rules[_VNNI]:
                dot4_tile_vnni(sums[g], right[1][g], ones, flat_words, at, flat_columns, column, 4)
            else:
                dot4_tile(sums[g], right[1][g], ones, flat_words, at, flat_columns, column, 4)
        size = ROWS * GROUPS * FACTS
        facts_of_rows = flat_known[i * size : (i + 1) * size]
        if end_groups(sums.reshape(-1), c, facts_of_rows, flat_facts, rules, ends):
            for place in range(_TILE):
                if ends[place] > ODD // 2:
                    c[place] = _exact(place, sums, known[number, i], right[2], rules, c[place])


@leaf
def _panels(
    rows: Block, operand: Operand, place: tuple[int, int, int], rules: Int64, right: Columns,
    state: Float32, tile: Scratch, out: Float32,
) -> None:  # fmt: skip
    """Take a block of rows through a range of K, 64 columns after 64."""
    row, start, last = place
    given, _, known = operand
    stop = min(known[7], start + rows[0].shape[0] * _DEPTH)
    for left in range(0, given.shape[0], COLUMNS):
        count, width = min(state.shape[0], last - row), min(COLUMNS, given.shape[0] - left)
        for i in range(state.shape[0]):
            for j in range(COLUMNS):
                state[i, j] = out[row + i, left + j] if i < count and j < width else 0
        for c in range((stop - start + _DEPTH - 1) // _DEPTH):
            _lay_columns(operand, left, start + c * _DEPTH, rules, right)
            _tiles(rows, c, right, rules, state.reshape(-1), tile)
        for i in range(count):
            for j in range(width):
                out[row + i, left + j] = state[i, j]


def _grouped(
    left: Operand, right: Operand, rules: Int64, out: Float32, first: int, last: int
) -> None:
    """Compute rows of a product in scratch of their own."""
    depth, scratch = int(left[2][7]), np.empty(GROUP + FACTS, np.int32)
    chunks = min(_BLOCK_CHUNKS, -(-depth // _DEPTH))
    tiles = min(_BLOCK_ROWS // ROWS, -(-(last - first) // ROWS))
    rows = (
        lines(np.int32, chunks, tiles, _WORDS, ROWS),
        np.empty((chunks, tiles, ROWS, GROUPS, FACTS), np.int32), scratch,
    )  # fmt: skip
    columns = (
        lines(np.int32, _WORDS, COLUMNS), lines(np.int32, GROUPS, COLUMNS),
        lines(np.int32, GROUPS, FACTS, COLUMNS), scratch,
    )  # fmt: skip
    tile = (
        lines(np.int32, GROUPS, _TILE), lines(np.int32, _TILE), np.ones(COLUMNS, np.float32),
    )  # fmt: skip
    state = lines(np.float32, tiles * ROWS, COLUMNS)
    for row in range(first, last, tiles * ROWS):
        for start in range(0, depth, chunks * _DEPTH):
            _lay_rows(left, row, start, rules, rows)
            _panels(rows, right, (row, start, last), rules, columns, state, tile, out)


def run_grouped(product: Product, path: Path = "auto") -> None:
    """Compute a product of the unit ``grouped``; see ``Product``.

    Args:
        product: the operands; their formats are FP4.
        path: ``portable``, or whichever is faster here; the bits are the same.

    Raises:
        ValueError: an arithmetic of other groups or chunks, or without scales.
    """
    made = product.arithmetic
    scales = product.a_scales, product.b_scales
    fits = (made.group, made.chunk) == (GROUP, _DEPTH) and made.block and made.block % GROUP == 0
    if not fits or any(given is None for given in scales):
        raise ValueError(
            f"{made.name} has groups of {made.group}, chunks of {made.chunk}, blocks of "
            f"{made.block}; groups of {GROUP}, chunks of {_DEPTH}, scaled blocks are possible"
        )
    if {product.a_format.name, product.b_format.name} != {"fp4_e2m1"}:
        raise ValueError(f"{made.name} takes fp4_e2m1 alone")
    sides = (product.a, product.a_packed), (product.b, product.b_packed)
    known = [facts(product.a_format, 0 if packed else 1, product.depth) for _, packed in sides]
    left, right = (
        (as_bytes(codes), scale, fact)
        for (codes, _), scale, fact in zip(sides, scales, known, strict=True)
    )
    rules = np.array(
        [
            made.fraction_bits, made.kept_bits, 0, made.zero_exponent, 0, _DEPTH, 0, 0,
            made.block, made.scale != "e8m0", int(path != "portable" and has_vnni()),
        ],
        np.int64,
    )  # fmt: skip
    out = product.out.view(np.float32)
    rows_in_threads(
        lambda first, last: _grouped(left, right, rules, out, first, last),
        len(out), _LEAST_ROWS,
    )  # fmt: skip
