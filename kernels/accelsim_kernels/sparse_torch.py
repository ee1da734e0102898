"""2:4 as torch's semi-structured tensors hold it, in the layout of CUTLASS.

Words of 4 fours for 16-bit values and of 8 fours for 8-bit values, four bits to a four, are
swizzled for the tensor core's loads and stored column by column, two columns interleaved
(torch/sparse/_semi_structured_conversions.py; CUTLASS, host_reorder.h, ColumnMajorInterleaved).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.jit import leaf

Bits = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

#: Bytes of a value → type of a word of places, rows that are swizzled together, and their stride.
_WORDS: dict[int, tuple[Any, int, int]] = {1: (np.int32, 16, 2), 2: (np.int16, 32, 4)}
_UNSIGNED = {1: np.uint8, 2: np.uint16}


def _nibble(kept: int) -> int:
    """Return the two places of a four of which some are not zero, as the compressor picks them.

    With fewer than two, places that hold zeros count as kept: the last ones but for a lone first or
    second value, which is joined by the third.
    """
    first, second, last = kept & 1, kept >> 1 & 1, kept >> 3 & 1
    none = not first and not second
    low = 0 if first else 1 if second else 2
    high = (first and second) or none or last
    return low | (int(bool(high)) | int(not second or not first) << 1) << 2


_NIBBLES = np.array([_nibble(kept) for kept in range(16)], np.int64)


@leaf
def _semi(dense: Bits, magnitude: int, nibbles: Int64, values: Bits, words: Int64) -> int:
    """Return -1, or the number of the first four with more than two that are not zero."""
    fours = dense.shape[1] // 4
    each = fours // words.shape[1]
    for row in range(dense.shape[0]):
        for four in range(fours):
            kept, count = 0, 0
            for i in range(4):
                there = np.int64(dense[row, 4 * four + i] & magnitude != 0)
                kept |= there << i
                count += there
            if count > 2:
                return row * fours + four
            nibble = nibbles[kept]
            values[row, 2 * four] = dense[row, 4 * four + (nibble & 3)]
            values[row, 2 * four + 1] = dense[row, 4 * four + (nibble >> 2)]
            words[row, four // each] |= nibble << (4 * (four % each))
    return -1


def reordered(rows: int, columns: int, size: int) -> Int64:
    """Return where each word of places ``[rows, columns]`` goes in the flat reordered tensor.

    Args:
        rows: a multiple of 16 for values of one byte, of 32 for two.
        columns: words in a row, an even number.
        size: bytes of a value.

    Raises:
        ValueError: sizes that do not fit.
    """
    if size not in _WORDS:
        raise ValueError(f"size is {size}; values of 1 or 2 bytes have a layout")
    _, group, stride = _WORDS[size]
    if rows % group or columns % 2:
        raise ValueError(f"there are {rows} rows of {columns} words; multiples of {group} and 2 "
                         "are needed")  # fmt: skip
    row, column = np.indices((rows, columns))
    row = row // group * group + row % 8 * stride + row % group // 8
    move = (row % 2 == 0) & (column % 2 == 1), (row % 2 == 1) & (column % 2 == 0)
    swap = move[0].astype(np.int64) - move[1]
    row, column = row + swap, column - swap
    return np.asarray(column // 2 * (2 * rows) + row * 2 + column % 2)


def _dense(value: npt.ArrayLike) -> tuple[Bits, int]:
    """Return a matrix as unsigned bits, and the bits that tell whether a value is zero."""
    given = np.asarray(value)
    if given.ndim != 2 or given.dtype not in (np.int8, np.float16, np.uint16):
        raise ValueError(f"dense is {given.dtype} of the shape {given.shape}; a matrix of int8, "
                         "float16, or bfloat16 as bits in uint16 is needed")  # fmt: skip
    kind = _UNSIGNED[given.dtype.itemsize]
    magnitude = 0xFF if given.dtype == np.int8 else 0x7FFF
    return np.require(given, requirements=["C", "W"]).view(kind), magnitude


def to_semi_structured(dense: npt.ArrayLike) -> tuple[Bits, Bits]:
    """Return the values ``[m, k/2]`` and the reordered places ``[m, words]`` of a 2:4 matrix.

    Args:
        dense: int8, float16, or the bits of bfloat16 in uint16, ``[m, k]``.

    Raises:
        ValueError: another type, sizes without a layout, or a four with more than two values that
            are not zero, of which torch drops some.
    """
    given = np.asarray(dense)
    bits, magnitude = _dense(given)
    rows, k = bits.shape
    kind, _, _ = _WORDS[bits.itemsize]
    fours = 2 * np.dtype(kind).itemsize
    if k % (8 * fours):
        raise ValueError(f"dense has K={k}; a multiple of {8 * fours} is needed")
    words = np.zeros((rows, k // (4 * fours)), np.int64)
    values = np.empty((rows, k // 2), bits.dtype)
    where = reordered(rows, words.shape[1], bits.itemsize)
    wrong = _semi(bits, magnitude, _NIBBLES, values, words)
    if wrong >= 0:
        row, four = divmod(wrong, k // 4)
        raise ValueError(f"dense[{row}, {4 * four}:{4 * four + 4}] holds more than 2 values that "
                         "are not zero: it is not 2:4")  # fmt: skip
    meta = np.empty(words.size, kind)
    meta[where.reshape(-1)] = words.astype(kind).reshape(-1)
    return values.view(given.dtype), meta.reshape(words.shape)


def from_semi_structured(values: npt.ArrayLike, meta: npt.ArrayLike) -> Bits:
    """Return the dense matrix ``[m, k]`` of values ``[m, k/2]`` and reordered places.

    Raises:
        ValueError: types or shapes that do not belong together.
    """
    given, found = np.asarray(values), np.asarray(meta)
    kept, _ = _dense(given)
    kind, _, _ = _WORDS[kept.itemsize]
    fours = 2 * np.dtype(kind).itemsize
    rows, k = kept.shape[0], 2 * kept.shape[1]
    if found.dtype != kind or k % (4 * fours) or found.shape != (rows, k // (4 * fours)):
        raise ValueError(f"meta is {found.dtype} of the shape {found.shape}, {np.dtype(kind)} of "
                         f"{(rows, k // (4 * fours))} is needed")  # fmt: skip
    words = found.reshape(-1)[reordered(*found.shape, kept.itemsize)].astype(np.int64)
    shifts = 4 * np.arange(fours) + np.array([[0], [2]])
    places = (words[:, :, None, None] >> shifts.T & 3).reshape(rows, k // 4, 2)
    dense = np.zeros((rows, k // 4, 4), kept.dtype)
    np.put_along_axis(dense, places, kept.reshape(rows, k // 4, 2), 2)
    return dense.reshape(rows, k).view(given.dtype)


def prune_tiles(w: npt.ArrayLike, signed: bool = False) -> Bits:
    """Return float16 or float32 ``[m, n]`` with at most two values a row and column of 4 x 4 tiles.

    From the largest down, in the order of the tile among equals, a value is kept while its row and
    its column have kept fewer than two.

    Args:
        w: the values.
        signed: values are ordered with their signs, as torch does outside CUDA
            (``_sparse_semi_structured_tile``), where a zero goes before a negative value; else
            by magnitude.

    Raises:
        ValueError: another type, sizes that are no multiple of 4, or a NaN.
    """
    given = np.asarray(w)
    if given.ndim != 2 or given.dtype not in (np.float16, np.float32) or np.isnan(given).any():
        raise ValueError(f"w is {given.dtype} of the shape {given.shape}; a matrix of float16 or "
                         "float32 without NaN is needed")  # fmt: skip
    m, n = given.shape
    if m % 4 or n % 4:
        raise ValueError(f"w has the shape {given.shape}; multiples of 4 are needed")
    tiles = given.reshape(m // 4, 4, n // 4, 4).transpose(0, 2, 1, 3).reshape(-1, 16)
    order = np.argsort(-tiles if signed else -np.abs(tiles), axis=1, kind="stable")
    each = np.arange(len(tiles))
    keep = np.zeros(tiles.shape, np.bool_)
    by_row, by_column = (np.zeros((len(tiles), 4), np.int64) for _ in range(2))
    for place in order.T:
        row, column = place // 4, place % 4
        free = (by_row[each, row] < 2) & (by_column[each, column] < 2)
        keep[each, place] = free
        by_row[each, row] += free
        by_column[each, column] += free
    pruned = np.where(keep, tiles, tiles.dtype.type(0)).reshape(m // 4, n // 4, 4, 4)
    return pruned.transpose(0, 2, 1, 3).reshape(m, n)
