"""N:M sparsity: of every M weights along K, N are kept.

The kept values of a row stand one after the other; their places, ``ceil(log2 M)`` bits each and
ascending within a group, fill bytes from the lowest bits on. Values are moved as bits: any format
of 8, 16 or 32 bits will do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.fused import bits_of
from accelsim_kernels.jit import inner, leaf, rows_in_threads

Bits = npt.NDArray[Any]
Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

#: Largest M: a group's kept places are the bits of one number.
MOST = 32
#: Numbers that are worth a thread.
_LEAST = 1 << 18
_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32}
_INFINITY = np.uint32(0x7F800000)


def _shape(n: int, m: int, k: int) -> int:
    """Return the bits of a place.

    Raises:
        ValueError: a pattern that is none, or K no multiple of M.
    """
    if not 1 <= n <= m <= MOST:
        raise ValueError(f"n is {n} and m is {m}; 1 <= n <= m <= {MOST} is needed")
    if k % m:
        raise ValueError(f"K is {k}; a multiple of {m} is needed")
    return max((m - 1).bit_length(), 1)


def _bits(name: str, value: npt.ArrayLike) -> Bits:
    """Return the bits of a matrix of any type of 1, 2 or 4 bytes."""
    given = np.asarray(value)
    if given.ndim != 2 or given.dtype.itemsize not in _BITS or given.dtype.kind not in "iufV":
        raise ValueError(
            f"{name} is {given.dtype} of the shape {given.shape}; a matrix of 8, 16 or 32 bits is "
            "needed"
        )
    return np.require(given, requirements=["C", "W"]).view(_BITS[given.dtype.itemsize])


@inner
def _largest(scores: Float32, start: int, n: int, m: int) -> np.uint32:
    """Return the places of the n largest of m; of equal ones the lower comes first."""
    found = np.uint32(0)
    for i in range(m):
        larger = 0
        for j in range(m):
            other, mine = scores[start + j], scores[start + i]
            larger += other > mine or (other == mine and j < i)
        if larger < n:
            found |= np.uint32(1) << np.uint32(i)
    return found


@leaf
def _keep(scores: Float32, n: int, m: int, keep: Bool) -> None:
    for row in range(scores.shape[0]):
        for start in range(0, scores.shape[1], m):
            found = _largest(scores[row], start, n, m)
            for i in range(m):
                keep[row, start + i] = (found >> np.uint32(i)) & np.uint32(1)


def keep_nm(scores: npt.ArrayLike, n: int, m: int) -> Bool:
    """Return which of ``[rows, k]`` are kept: the n largest scores of every m along K.

    Of equal scores the one with the lower index is kept. Magnitudes are the scores of magnitude
    pruning; any other, such as ``|w| * norm(x)``, may be given.

    Raises:
        ValueError: not a matrix of numbers, a NaN, or a pattern that does not fit.
    """
    given = np.asarray(scores)
    if given.ndim != 2 or given.dtype.kind not in "iuf":
        raise ValueError(f"scores is {given.dtype} of the shape {given.shape}; a matrix of numbers "
                         "is needed")  # fmt: skip
    wide = np.require(given, np.float64 if given.dtype.itemsize > 2 else np.float32, ["C", "W"])
    _shape(n, m, wide.shape[1])
    wrong = np.argwhere(np.isnan(wide))
    if wrong.size:
        raise ValueError(f"scores[{wrong[0][0]}, {wrong[0][1]}] is NaN, which has no order")
    keep = np.empty(wide.shape, np.bool_)
    _keep(wide, n, m, keep)
    return keep


@inner
def _chosen(kept: Bits, start: int, n: int, m: int) -> np.uint32:
    """Return the n places of a group to keep, the lowest free ones last; 0: there are more."""
    found, count = np.uint32(0), 0
    for i in range(m):
        if kept[start + i] != 0:
            found |= np.uint32(1) << np.uint32(i)
            count += 1
    if count > n:
        return np.uint32(0)
    for i in range(m):
        one = np.uint32(1) << np.uint32(i)
        if count < n and found & one == 0:
            found |= one
            count += 1
    return found


@leaf
def _compress(
    codes: Bits, kept: Bits, n: int, m: int, width: int, values: Bits, places: UInt8
) -> int:
    """Return -1, or the number of the first group in which more than n are kept."""
    groups = codes.shape[1] // m
    for row in range(codes.shape[0]):
        for group in range(groups):
            found = _chosen(kept[row], group * m, n, m)
            if found == 0:
                return row * groups + group
            at = group * n
            for i in range(m):
                if (found >> np.uint32(i)) & np.uint32(1):
                    values[row, at] = codes[row, group * m + i]
                    for bit in range(width):
                        place = at * width + bit
                        set_ = np.uint8((i >> bit) & 1) << np.uint8(place & 7)
                        places[row, place >> 3] |= set_
                    at += 1
    return -1


def compress_nm(
    codes: npt.ArrayLike, n: int, m: int, keep: npt.ArrayLike | None = None
) -> tuple[Bits, UInt8]:
    """Return the kept values ``[rows, k n / m]`` and their places ``[rows, bytes]``.

    Args:
        codes: ``[rows, k]`` of 8, 16 or 32 bits.
        n: values kept of a group; with fewer, the lowest free places are kept too.
        m: size of a group.
        keep: which are kept; None: all whose bits, without a float's sign, are not zero.

    Raises:
        ValueError: types, shapes or a pattern that do not fit, or a group that keeps more.
    """
    given = np.asarray(codes)
    dense = _bits("codes", given)
    rows, k = dense.shape
    width = _shape(n, m, k)
    chosen = dense
    if keep is not None:
        chosen = np.require(np.asarray(keep, np.bool_), requirements=["C", "W"]).view(np.uint8)
        if chosen.shape != dense.shape:
            raise ValueError(f"keep has the shape {chosen.shape}, {dense.shape} is needed")
    elif given.dtype.kind == "f":
        chosen = dense & dense.dtype.type(np.iinfo(dense.dtype).max >> 1)
    values = np.empty((rows, k // m * n), dense.dtype)
    places = np.zeros((rows, -(-values.shape[1] * width // 8)), np.uint8)
    wrong = _compress(dense, chosen, n, m, width, values, places)
    if wrong >= 0:
        row, group = divmod(wrong, k // m)
        raise ValueError(f"codes[{row}, {m * group}:{m * group + m}] keeps more than {n} values: "
                         f"it is not {n}:{m}")  # fmt: skip
    return values.view(given.dtype), places


@leaf
def _expand(values: Bits, places: UInt8, n: int, m: int, width: int, codes: Bits) -> int:
    """Return -1, or the number of the first group whose places do not ascend below m."""
    groups = codes.shape[1] // m
    for row in range(codes.shape[0]):
        for group in range(groups):
            before = -1
            for at in range(group * n, group * n + n):
                place = 0
                for bit in range(width):
                    where = at * width + bit
                    place |= ((places[row, where >> 3] >> np.uint8(where & 7)) & 1) << bit
                if place <= before or place >= m:
                    return row * groups + group
                codes[row, group * m + place] = values[row, at]
                before = place
    return -1


def expand_nm(
    values: npt.ArrayLike, places: npt.ArrayLike, n: int, m: int, first: int = 0,
    last: int | None = None,
) -> Bits:  # fmt: skip
    """Return the dense rows ``first`` to ``last`` of compressed ones, zeros where none is kept.

    A product in any arithmetic can take its weights so, a tile of rows at a time: the order along
    K is that of the dense product with zeros.

    Raises:
        ValueError: types, shapes or a pattern that do not fit, or places that do not ascend.
    """
    given, found = np.asarray(values), np.asarray(places)
    kept = _bits("values", given)
    if not 1 <= n <= m <= MOST or kept.shape[1] % n:
        raise ValueError(f"values has {kept.shape[1]} in a row, for {n}:{m}")
    k = kept.shape[1] // n * m
    width = _shape(n, m, k)
    size = -(-kept.shape[1] * width // 8)
    if found.dtype != np.uint8 or found.shape != (len(kept), size):
        raise ValueError(f"places is {found.dtype} of the shape {found.shape}, uint8 "
                         f"{(len(kept), size)} is needed")  # fmt: skip
    part = slice(first, len(kept) if last is None else last)
    rows, bits = kept[part], np.require(found[part], requirements=["C", "W"])
    codes = np.zeros((len(rows), k), kept.dtype)
    wrong = _expand(rows, bits, n, m, width, codes)
    if wrong >= 0:
        row, group = divmod(wrong, k // m)
        raise ValueError(f"places of row {first + row}, columns {m * group} to {m * group + m - 1},"
                         f" do not ascend below {m}")  # fmt: skip
    return codes.view(given.dtype)


@inner
def two_of_four(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32) -> tuple[int, int]:
    """Return the places of the two largest, ascending; of equal ones the lower counts more."""
    ab, ac, ad = np.int32(b > a), np.int32(c > a), np.int32(d > a)
    bc, bd, cd = np.int32(c > b), np.int32(d > b), np.int32(d > c)
    keep_a = np.int32(ab + ac + ad < 2)
    keep_b = np.int32(1 - ab + bc + bd < 2)
    keep_c = np.int32(2 - ac - bc + cd < 2)
    first = np.int32(0) if keep_a else np.int32(2) - keep_b
    second = np.int32(1) if keep_a & keep_b else np.int32(3) - (keep_c & (keep_a | keep_b))
    return first, second


@leaf
def _prune_24(w: Float32, values: Float32, places: UInt8) -> int:
    """Return -1, or the first row with a NaN."""
    for row in range(w.shape[0]):
        largest = np.uint32(0)
        for byte in range(w.shape[1] // 16):
            packed = 0
            for four in range(4):
                at = 16 * byte + 4 * four
                a, b = bits_of(abs(w[row, at])), bits_of(abs(w[row, at + 1]))
                c, d = bits_of(abs(w[row, at + 2])), bits_of(abs(w[row, at + 3]))
                first, second = two_of_four(a, b, c, d)
                largest = max(largest, max(max(a, b), max(c, d)))
                values[row, 8 * byte + 2 * four] = w[row, at + first]
                values[row, 8 * byte + 2 * four + 1] = w[row, at + second]
                packed |= (first | (second << 2)) << (4 * four)
            places[row, 2 * byte] = np.uint8(packed & 255)
            places[row, 2 * byte + 1] = np.uint8(packed >> 8)
        if largest > _INFINITY:
            return row
    return -1


def prune_compress_2to4(w: npt.ArrayLike) -> tuple[Float32, UInt8]:
    """Return the kept values ``[rows, k/2]`` and places ``[rows, k/8]`` of 2:4 by magnitude.

    One pass: as ``compress_nm`` with what ``keep_nm`` keeps of the magnitudes.

    Raises:
        ValueError: not a matrix of float32, K no multiple of 16, or a NaN.
    """
    given = np.asarray(w)
    if given.dtype != np.float32 or given.ndim != 2 or given.shape[1] % 16:
        raise ValueError(f"w is {given.dtype} of the shape {given.shape}; a matrix of float32 with "
                         "K a multiple of 16 is needed")  # fmt: skip
    dense = np.require(given, requirements=["C", "W"])
    rows, k = dense.shape
    values, places = np.empty((rows, k // 2), np.float32), np.empty((rows, k // 8), np.uint8)
    wrong = []

    def run(first: int, last: int) -> None:
        part = slice(first, last)
        found = _prune_24(dense[part], values[part], places[part])
        wrong.extend([first + found] if found >= 0 else [])

    if dense.size:
        rows_in_threads(run, rows, -(-_LEAST // k))
    if wrong:
        raise ValueError(f"w has a NaN in row {min(wrong)}, which has no magnitude")
    return values, places
