"""2:4 structured sparsity: of every four weights along K at most two are not zero.

Two kept values and their places, two bits each, stand for four weights; the places are stored four
to a byte, the first in the lowest bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import matrix
from accelsim_kernels.fused import bits_of
from accelsim_kernels.integer import Int32, PackedInt8, Path, matmul_int8
from accelsim_kernels.jit import leaf
from accelsim_kernels.nm import two_of_four

Int8 = npt.NDArray[np.int8]
UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

#: Weights that are looked at together, and those of them that are kept.
FOUR, KEPT = 4, 2


def _fours(name: str, k: int, of: int) -> None:
    if k % of:
        raise ValueError(f"{name} has K={k}; a multiple of {of} is needed")


@leaf
def _prune(w: Float32, keep: Bool) -> None:
    for row in range(w.shape[0]):
        for start in range(0, w.shape[1], FOUR):
            a, b = bits_of(abs(w[row, start])), bits_of(abs(w[row, start + 1]))
            c, d = bits_of(abs(w[row, start + 2])), bits_of(abs(w[row, start + 3]))
            first, second = two_of_four(a, b, c, d)
            for i in range(FOUR):
                keep[row, start + i] = i in (first, second)


def prune_2to4(w: npt.ArrayLike) -> Bool:
    """Return which weights ``[n, k]`` are kept: the two largest magnitudes of every four along K.

    Of equal magnitudes the one with the lower index is kept.

    Raises:
        ValueError: not a matrix of float32, K no multiple of 4, or a NaN.
    """
    rows = matrix("w", w, np.float32)
    _fours("w", rows.shape[1], FOUR)
    wrong = np.argwhere(np.isnan(rows))
    if wrong.size:
        raise ValueError(f"w[{wrong[0][0]}, {wrong[0][1]}] is NaN, which has no magnitude")
    keep = np.empty(rows.shape, np.bool_)
    _prune(rows, keep)
    return keep


@leaf
def _compress(codes: Int8, values: Int8, indices: UInt8) -> int:
    """Return -1, or the number of the first four with more than two codes that are not zero."""
    rows, k = codes.shape
    for row in range(rows):
        for four in range(k // FOUR):
            first, second, found = -1, -1, 0
            for i in range(FOUR):
                if codes[row, four * FOUR + i] != 0:
                    found += 1
                    if first < 0:
                        first = i
                    else:
                        second = i
            if found > KEPT:
                return row * (k // FOUR) + four
            if second < 0:  # fill with the lowest free places, in ascending order
                free = 1 if first == 0 else 0
                if first < 0:
                    first, second = 0, 1
                else:
                    first, second = min(first, free), max(first, free)
            values[row, 2 * four] = codes[row, four * FOUR + first]
            values[row, 2 * four + 1] = codes[row, four * FOUR + second]
            pair = np.uint8(first | (second << 2))
            if four & 1:
                indices[row, four >> 1] |= np.uint8(pair << np.uint8(4))
            else:
                indices[row, four >> 1] = pair
    return -1


def compress_2to4(codes: npt.ArrayLike) -> tuple[Int8, UInt8]:
    """Return the kept codes ``[n, k/2]`` and their places ``[n, k/8]`` of int8 codes ``[n, k]``.

    Raises:
        ValueError: not a matrix of int8, K no multiple of 8, or a four with more than two codes
            that are not zero.
    """
    given = matrix("codes", codes, np.int8)
    rows, k = given.shape
    _fours("codes", k, 2 * FOUR)
    values = np.empty((rows, k // 2), np.int8)
    indices = np.empty((rows, k // 8), np.uint8)
    wrong = _compress(given, values, indices)
    if wrong >= 0:
        row, four = divmod(wrong, k // FOUR)
        raise ValueError(
            f"codes[{row}, {FOUR * four}:{FOUR * four + FOUR}] holds more than {KEPT} codes that "
            "are not zero: it is not 2:4"
        )
    return values, indices


@leaf
def _decompress(values: Int8, indices: UInt8, codes: Int8) -> int:
    """Return -1, or the number of the first four whose two places do not ascend."""
    for row in range(codes.shape[0]):
        for four in range(codes.shape[1] // FOUR):
            pair = indices[row, four >> 1] >> np.uint8(4 * (four & 1))
            if (pair & np.uint8(3)) >= ((pair >> np.uint8(2)) & np.uint8(3)):
                return row * (codes.shape[1] // FOUR) + four
            for i in range(KEPT):
                place = (pair >> np.uint8(2 * i)) & np.uint8(3)
                codes[row, four * FOUR + place] = values[row, 2 * four + i]
    return -1


def decompress_2to4(values: npt.ArrayLike, indices: npt.ArrayLike) -> Int8:
    """Return the codes ``[n, k]`` of kept codes ``[n, k/2]`` and their places ``[n, k/8]``.

    Raises:
        ValueError: shapes or types that do not belong together, or two places of a four that do
            not ascend.
    """
    kept, places = matrix("values", values, np.int8), matrix("indices", indices, np.uint8)
    _fours("values", kept.shape[1], FOUR)
    if places.shape != (kept.shape[0], kept.shape[1] // 4):
        raise ValueError(
            f"indices has the shape {places.shape}, {(kept.shape[0], kept.shape[1] // 4)} is needed"
        )
    codes = np.zeros((kept.shape[0], 2 * kept.shape[1]), np.int8)
    wrong = _decompress(kept, places, codes)
    if wrong >= 0:
        row, four = divmod(wrong, codes.shape[1] // FOUR)
        raise ValueError(
            f"indices of row {row}, columns {FOUR * four} to {FOUR * four + FOUR - 1}, do not "
            "ascend: a four keeps two places, the lower one first"
        )
    return codes


def pack_2to4(values: npt.ArrayLike, indices: npt.ArrayLike) -> PackedInt8:
    """Lay out kept codes ``[n, k/2]`` and their places ``[n, k/8]`` for ``matmul_2to4``.

    Raises:
        ValueError: as ``decompress_2to4``.
    """
    return PackedInt8.of(decompress_2to4(values, indices))


def matmul_2to4(
    a: npt.ArrayLike,
    values: npt.ArrayLike | PackedInt8,
    indices: npt.ArrayLike | None = None,
    path: Path = "auto",
) -> Int32:
    """Return the exact int32 sums ``[m, n]`` of int8 activations and compressed weights.

    Args:
        a: int8 codes ``[m, k]``.
        values: kept codes ``[n, k/2]``, or what ``pack_2to4`` laid out before.
        indices: places ``[n, k/8]`` of the kept codes; None beside a packed operand alone.
        path: as for ``matmul_int8``.

    Raises:
        ValueError: as ``decompress_2to4`` and ``matmul_int8``.
    """
    if isinstance(values, PackedInt8):
        if indices is not None:
            raise ValueError("indices are given beside packed values, which hold theirs; use None")
        return matmul_int8(a, values, path)
    if indices is None:
        raise ValueError("indices is None; values that are not packed need uint8 places [n, k/8]")
    return matmul_int8(a, pack_2to4(values, indices), path)
