"""Products of integer codes: exact sums in int32, and sums of scaled groups.

Activations travel as int8, weights as int8 or as packed int4. The inner loop multiplies unsigned by
signed bytes, as VPDPBUSD does, so 128 is added to the activations, and every sum begins with -128
times the sum of its column of weights. Integer sums are exact: no order matters, and the portable
loop gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import matrix
from accelsim_kernels.jit import inner, kernel, leaf, part, rows_in_threads, threads
from accelsim_kernels.tile import (
    COLUMNS,
    ROWS,
    dot4_group,
    dot4_group_vnni,
    dot4_more,
    dot4_more_vnni,
    dot4_tile,
    dot4_tile_vnni,
    has_vnni,
    stream_row,
)

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]
UInt32 = npt.NDArray[np.uint32]
Float32 = npt.NDArray[np.float32]
Path = Literal["auto", "vnni", "portable"]

#: Longest K whose sums cannot leave int32: ``K * 128 * 128 < 2^31``.
LONGEST = 2**31 // (128 * 128) - 1
#: What makes a signed byte unsigned.
_OFFSET = 128
_SIGNS = np.uint32(0x80808080)
_LINE = 64
#: Bytes of a result from which on it is written past the caches.
_STREAMED = 1 << 20
#: Rows whose codes are laid out together: weights are read from memory once for all of them.
BLOCK = 384
#: Words of K whose weights, 32 KiB to a panel, stay in the first cache while the rows pass.
_PART = 128
#: Least rows of a thread.
_LEAST = 64
#: Multiplications that are worth a thread, 0.6 ms: handing work over was measured at 0.1 to 0.3 ms.
_WORTH = 1 << 27
_LOW, _HIGH = -8, 7


@part
def pack_rows(words: UInt32, first: int, packed: Int32) -> None:
    """Lay out 6 rows of 4 codes a word as ``[k/4][6]``, every code made unsigned."""
    rows = min(ROWS, words.shape[0] - first)
    if rows == ROWS:  # a count that the compiler knows: it keeps the six rows side by side
        for step in range(words.shape[1]):
            for i in range(ROWS):
                packed[step * ROWS + i] = np.int32(words[first + i, step] ^ _SIGNS)
        return
    for i in range(rows):
        for step in range(words.shape[1]):
            packed[step * ROWS + i] = np.int32(words[first + i, step] ^ _SIGNS)


@part
def _pack_panel(b: Int8, column: int, start: int, stop: int, packed: Int8, bias: Int32) -> None:
    """Lay out K from ``start`` to ``stop`` of 64 columns as ``[k/4][64][4]``, with their sums."""
    n = b.shape[0]
    for j in range(COLUMNS):
        total = np.int32(0)
        for step in range((stop - start + 3) // 4):
            for byte in range(4):
                k = start + 4 * step + byte
                code = np.int8(0)
                if column + j < n and k < stop:
                    code = b[column + j, k]
                packed[(step * COLUMNS + j) * 4 + byte] = code
                total += np.int32(code)
        bias[j] = -total * np.int32(_OFFSET)


@kernel
def _pack_columns(b: Int8, panels: Int8, bias: Int32) -> None:
    for panel in range(panels.shape[0]):
        _pack_panel(b, panel * COLUMNS, 0, b.shape[1], panels[panel], bias[panel])


@leaf
def _pack_nibbles(codes: Int8, zeros: Int8, group: int, panels: UInt8, terms: Int32) -> None:
    """Lay out every group of 64 columns as ``[k/8][64][4]`` bytes of two codes, with its terms.

    The low halves are the first four codes of eight, the high halves the other four. Terms are the
    sums of codes without their zero points, also of those that fill the group up, and these points.
    """
    n, depth = codes.shape
    for panel in range(panels.shape[0]):
        for number in range(panels.shape[1]):
            start, stop = number * group, min(depth, (number + 1) * group)
            for j in range(COLUMNS):
                column, total = panel * COLUMNS + j, np.int32(0)
                zero = np.int32(zeros[column, number]) if column < n else np.int32(0)
                for place in range((group + 7) // 8 * 4):
                    byte = np.uint8(0)
                    for half in range(2):
                        k = start + place // 4 * 8 + half * 4 + place % 4
                        total -= zero
                        if column < n and k < stop:
                            total += np.int32(codes[column, k])
                            nibble = np.uint8(codes[column, k]) & np.uint8(15)
                            byte |= nibble << np.uint8(4 * half)
                    panels[panel, number, (place // 4 * COLUMNS + j) * 4 + place % 4] = byte
                terms[panel, number, 0, j], terms[panel, number, 1, j] = total, zero


@part
def _unpack_nibbles(packed: UInt8, zeros: Int32, codes: Int8) -> None:
    """Undo the halves: ``[k/4][64][4]`` codes, as the inner loop reads them, less zero points."""
    width = COLUMNS * 4
    for eight in range(packed.shape[0] // width):
        for i in range(width):
            byte = packed[eight * width + i]
            low = np.int8((byte & np.uint8(15)) ^ np.uint8(8)) - np.int8(8)
            high = np.int8((byte >> np.uint8(4)) ^ np.uint8(8)) - np.int8(8)
            codes[2 * eight * width + i] = np.int8(low)
            codes[(2 * eight + 1) * width + i] = np.int8(high)
    for j in range(COLUMNS):
        if zeros[j] != 0:
            for step in range(codes.size // width):
                for byte in range(4):
                    codes[step * width + 4 * j + byte] -= np.int8(zeros[j])


@inner
def _tile8(
    sums: Int32, bias: Int32, ones: Float32, left: Int32, at: int, flat: Int32, place: int,
    steps: int, vnni: bool,
) -> None:  # fmt: skip
    """Add a part of K to a tile of sums; the first part begins with the bias."""
    if vnni:
        if at:
            dot4_more_vnni(sums, bias, ones, left, at, flat, place, steps)
        else:
            dot4_tile_vnni(sums, bias, ones, left, at, flat, place, steps)
    elif at:
        dot4_more(sums, bias, ones, left, at, flat, place, steps)
    else:
        dot4_tile(sums, bias, ones, left, at, flat, place, steps)


@part
def sums8(
    rows: Int32, count: int, flat: Int32, panel: int, bias: Int32, ones: Float32, vnni: bool,
    sums: Int32,
) -> None:  # fmt: skip
    """Sum all of K of tiles of rows ``[tile, 6 k/4]`` with one panel, into ``[tile, 6, 64]``."""
    steps = rows.shape[1] // ROWS
    for start in range(0, steps, _PART):
        run, at = min(_PART, steps - start), (panel * steps + start) * COLUMNS
        for tile in range(count):
            _tile8(sums[tile], bias, ones, rows[tile], start * ROWS, flat, at, run, vnni)


@part
def _copy_out(sums: Int32, edge: int, streamed: bool, out: Int32) -> None:
    """Copy the sums ``[tile, 6, 64]`` of a panel to their columns."""
    columns, flat, rows = out.shape[1], out.reshape(-1), sums.reshape(-1)
    for i in range(out.shape[0]):
        if edge + COLUMNS > columns:
            for j in range(columns - edge):
                out[i, edge + j] = rows[i * COLUMNS + j]
        elif streamed:
            stream_row(flat, i * columns + edge, rows, i * COLUMNS)
        else:
            for j in range(COLUMNS):
                out[i, edge + j] = rows[i * COLUMNS + j]


@kernel
def _product8(
    words: UInt32, panels: Int8, bias: Int32, vnni: bool, streamed: bool, out: Int32, first: int,
    last: int, low: int, high: int,
) -> None:  # fmt: skip
    steps, flat = words.shape[1], panels.reshape(-1).view(np.int32)
    tiles = min(BLOCK, last - first + ROWS - 1) // ROWS
    rows = np.zeros((tiles, steps * ROWS), np.int32)
    sums = np.empty((tiles, ROWS, COLUMNS), np.int32)
    ones = np.ones(COLUMNS, np.float32)
    for block in range(first, last, BLOCK):
        count = min(tiles, (last - block + ROWS - 1) // ROWS)
        for tile in range(count):
            pack_rows(words, block + tile * ROWS, rows[tile])
        for panel in range(low, high):
            sums8(rows, count, flat, panel, bias[panel], ones, vnni, sums)
            _copy_out(sums, panel * COLUMNS, streamed, out[block : min(last, block + BLOCK)])


@part
def _group4(
    rows: Int32, weights: Int32, start: Int32, scale: Float32, vnni: bool, acc: Float32
) -> None:
    """Add a group of K, scaled, to tiles ``[tile, 6, 64]`` of rows ``[tile, 6 k/4]``."""
    steps = rows.shape[1] // ROWS
    for tile in range(rows.shape[0]):
        if vnni:
            dot4_group_vnni(acc[tile], start, scale, rows[tile], 0, weights, 0, steps)
        else:
            dot4_group(acc[tile], start, scale, rows[tile], 0, weights, 0, steps)


@kernel
def _product4(
    words: UInt32, packed: UInt8, terms: Int32, scales: Float32, vnni: bool, out: Float32,
    first: int, last: int, low: int, high: int,
) -> None:  # fmt: skip
    groups, steps = words.shape[1], words.shape[2]
    count = (last - first + ROWS - 1) // ROWS
    rows = np.zeros((groups, count, steps * ROWS), np.int32)
    for number in range(groups):
        for tile in range(count):
            pack_rows(words[:, number], first + tile * ROWS, rows[number, tile])
    codes = np.empty(steps * COLUMNS * 4, np.int8)
    weights = codes.view(np.int32)
    acc = np.empty((count, ROWS, COLUMNS), np.float32)
    cells = acc.reshape(count * ROWS, COLUMNS)
    for panel in range(low, high):
        acc[:] = np.float32(0)
        for number in range(groups):
            _unpack_nibbles(packed[panel, number], terms[panel, number, 1], codes)
            start, scale = terms[panel, number, 0], scales[panel, number]
            _group4(rows[number], weights, start, scale, vnni, acc)
        edge = panel * COLUMNS
        width = min(COLUMNS, out.shape[1] - edge)
        # Assigned as a slice, Numba would compile its error message too, for some seconds.
        for i in range(last - first):
            for j in range(width):
                out[first + i, edge + j] = cells[i, j]


def words_of(codes: Int8, group: int, multiple: int, fill: int = 0) -> UInt32:
    """Return codes ``[m, k]`` as words of four ``[m, groups, words]``, groups filled up."""
    m, k = codes.shape
    count, padded = -(-k // group), -(-group // multiple) * multiple
    if padded == group and count * group == k:
        return codes.reshape(m, count, group).view(np.uint32)
    filled = np.full((m, count * group), fill, np.int8)
    filled[:, :k] = codes
    wide = np.full((m, count, padded), fill, np.int8)
    wide[:, :, :group] = filled.reshape(m, count, group)
    return wide.view(np.uint32)


def lines_of(*shape: int) -> Int8:
    """Return room for codes that begins with a cache line, so that no load crosses two of them."""
    size = math.prod(shape)
    room = np.empty(size + _LINE, np.int8)
    first = -room.ctypes.data % _LINE
    return room[first : first + size].reshape(shape)


def uses_vnni(path: Path) -> bool:
    """Return whether a path uses VPDPBUSD."""
    if path not in ("auto", "vnni", "portable"):
        raise ValueError(f"path is {path!r}; auto, vnni and portable are allowed")
    if path == "vnni" and not has_vnni():
        raise ValueError("path is 'vnni', which this processor does not have; use auto")
    return path != "portable" and has_vnni()


def in_threads(run: Callable[[int, int, int, int], object], m: int, panels: int, k: int) -> None:
    """Call ``run(first row, last row, first panel, last panel)`` over parts of a product.

    Few rows, as in decoding, leave the columns to be shared out.
    """
    row, panel = panels * COLUMNS * k, -(-m // ROWS) * ROWS * COLUMNS * k
    if m >= threads() * _LEAST:
        least = max(_LEAST, -(-_WORTH // row))
        rows_in_threads(lambda first, last: run(first, last, 0, panels), m, least)
    else:
        rows_in_threads(lambda low, high: run(0, m, low, high), panels, -(-_WORTH // panel))


@dataclass(frozen=True)
class PackedInt8:
    """A right operand of int8 codes ``[n, k]`` laid out for ``matmul_int8``."""

    panels: Int8
    bias: Int32
    n: int
    k: int

    @classmethod
    def of(cls, b: npt.ArrayLike) -> PackedInt8:
        """Lay out ``[n, k]`` codes.

        Raises:
            ValueError: not a matrix of int8, or a K whose sums could leave int32.
        """
        codes = matrix("b", b, np.int8)
        n, k = codes.shape
        if k > LONGEST:
            raise ValueError(f"b has K={k}; sums stay in int32 up to K={LONGEST}")
        count = -(-n // COLUMNS)
        panels = lines_of(count, -(-k // 4) * COLUMNS * 4)
        bias = np.empty((count, COLUMNS), np.int32)
        _pack_columns(codes, panels, bias)
        return cls(panels, bias, n, k)


def matmul_int8(a: npt.ArrayLike, b: npt.ArrayLike | PackedInt8, path: Path = "auto") -> Int32:
    """Return the exact int32 sums ``[m, n]`` of ``a[m, k] b[n, k]``.

    Args:
        a: int8 codes.
        b: int8 codes, or codes laid out before.
        path: ``vnni``, ``portable``, or whichever is faster here; the bits are the same.

    Raises:
        ValueError: not matrices of int8, different K, or a K whose sums could leave int32.
    """
    rows = matrix("a", a, np.int8)
    right = b if isinstance(b, PackedInt8) else PackedInt8.of(b)
    if rows.shape[1] != right.k:
        raise ValueError(f"a has K={rows.shape[1]}, b has K={right.k}: they do not multiply")
    vnni = uses_vnni(path)
    if not rows.size or not right.n:
        return np.zeros((rows.shape[0], right.n), np.int32)
    out = lines_of(len(rows), 4 * right.n).view(np.int32)
    streamed = right.n % (_LINE // 4) == 0 and out.nbytes >= _STREAMED
    words = words_of(rows, right.k, 4)[:, 0]
    in_threads(
        lambda *part: _product8(words, right.panels, right.bias, vnni, streamed, out, *part),
        len(rows), len(right.panels), right.k,
    )  # fmt: skip
    return out


def pack_int4(codes: npt.ArrayLike) -> UInt8:
    """Return int4 codes ``[n, k]`` two per byte ``[n, ceil(k / 2)]``, the even one in the low half.

    Raises:
        ValueError: not a matrix of int8, or a code outside [-8, 7].
    """
    given = matrix("codes", codes, np.int8)
    wrong = np.argwhere((given < _LOW) | (given > _HIGH))
    if wrong.size:
        row, column = wrong[0]
        raise ValueError(
            f"codes[{row}, {column}] is {given[row, column]}; int4 holds {_LOW} to {_HIGH}"
        )
    nibbles = (given & 15).astype(np.uint8)
    if nibbles.shape[1] % 2:
        nibbles = np.pad(nibbles, ((0, 0), (0, 1)))
    return nibbles[:, ::2] | (nibbles[:, 1::2] << 4)


def unpack_int4(packed: npt.ArrayLike, k: int) -> Int8:
    """Return the codes ``[n, k]`` of ``pack_int4``.

    Raises:
        ValueError: not a matrix of uint8, or another K.
    """
    given = matrix("packed", packed, np.uint8)
    if given.shape[1] != -(-k // 2):
        raise ValueError(f"packed has {given.shape[1]} bytes per row, K={k} needs {-(-k // 2)}")
    codes = np.empty((given.shape[0], 2 * given.shape[1]), np.int8)
    codes[:, ::2], codes[:, 1::2] = given & 15, given >> 4
    return np.ascontiguousarray(((codes ^ 8) - 8)[:, :k])


@dataclass(frozen=True)
class PackedInt4:
    """A right operand of int4 codes in groups along K, two codes to a byte, as the kernel reads it.

    Attributes:
        panels: ``[panel, group, bytes]``.
        terms: sums of a group's codes and their zero points: ``[panel, group, 2, 64]``.
        n, k, group: sizes.
    """

    panels: UInt8
    terms: Int32
    n: int
    k: int
    group: int

    @classmethod
    def of(
        cls, packed: npt.ArrayLike, k: int, group: int, zeros: npt.ArrayLike | None = None
    ) -> PackedInt4:
        """Lay out ``[n, ceil(k / 2)]`` packed codes.

        Args:
            packed: the codes.
            k: how many there are in a row.
            group: codes that share a scale and a zero point.
            zeros: int8 zero points ``[n, ceil(k / group)]``, -8 to 7; None: 0.

        Raises:
            ValueError: not a matrix of uint8, another K, zero points that do not fit, or a group
                whose sums could leave int32.
        """
        codes = unpack_int4(packed, k)
        if not 1 <= group <= LONGEST:
            raise ValueError(f"group is {group}; 1 to {LONGEST} is allowed")
        shape = (-(-len(codes) // COLUMNS), -(-k // group))
        panels = np.empty((*shape, -(-group // 8) * 4 * COLUMNS), np.uint8)
        terms = np.empty((*shape, 2, COLUMNS), np.int32)
        wanted = (len(codes), shape[1])
        points = np.zeros(wanted, np.int8) if zeros is None else matrix("zeros", zeros, np.int8)
        if points.shape != wanted or ((points < _LOW) | (points > _HIGH)).any():
            raise ValueError(
                f"zeros has the shape {points.shape}; {wanted} of {_LOW} to {_HIGH} is needed"
            )
        _pack_nibbles(codes, points, group, panels, terms)
        return cls(panels, terms, len(codes), k, group)


def _scale_panels(scales: npt.ArrayLike, right: PackedInt4) -> Float32:
    """Return ``[n, groups]`` scales as ``[panel, group, 64]``."""
    given = matrix("scales", scales, np.float32)
    wanted = (right.n, right.panels.shape[1])
    if given.shape != wanted:
        raise ValueError(f"scales has the shape {given.shape}, {wanted} is needed")
    panels = np.zeros((right.panels.shape[0] * COLUMNS, wanted[1]), np.float32)
    panels[: right.n] = given
    shaped = panels.reshape(len(right.panels), COLUMNS, wanted[1]).transpose(0, 2, 1)
    return np.ascontiguousarray(shaped)


def matmul_int4(
    a: npt.ArrayLike,
    b: npt.ArrayLike | PackedInt4,
    scales: npt.ArrayLike,
    group: int,
    path: Path = "auto",
    a_zero: int = 0,
) -> Float32:
    """Return ``[m, n]`` float32 sums of int8 activations and packed int4 weights in groups.

    For every group of K an exact integer sum s of ``(a - a_zero)(b - zero)``, then
    ``acc = fma(float32(s), scale, acc)`` in binary32, groups ascending, acc beginning at +0.

    Args:
        a: int8 codes ``[m, k]``.
        b: packed codes ``[n, ceil(k / 2)]``, or codes laid out before, with zero points.
        scales: float32 ``[n, ceil(k / group)]``.
        group: codes that share a scale; the last group may be shorter.
        path: ``vnni``, ``portable``, or whichever is faster here; the bits are the same.
        a_zero: zero point of the activations, -128 to 127.

    Raises:
        ValueError: shapes, types, a zero point or a group that do not fit.
    """
    if not -_OFFSET <= a_zero < _OFFSET:
        raise ValueError(f"a_zero is {a_zero}; {-_OFFSET} to {_OFFSET - 1} is allowed")
    rows = matrix("a", a, np.int8)
    right = b if isinstance(b, PackedInt4) else PackedInt4.of(b, rows.shape[1], group)
    if (right.k, right.group) != (rows.shape[1], group):
        raise ValueError(
            f"a has K={rows.shape[1]} and group is {group}; b has K={right.k}, group {right.group}"
        )
    panels = _scale_panels(scales, right)
    out = np.zeros((rows.shape[0], right.n), np.float32)
    vnni = uses_vnni(path)
    if out.size and right.k:
        words = words_of(rows, group, 8, a_zero)
        # Activations are unsigned, and what fills a group up is their zero point.
        factors = np.array([[-_OFFSET - a_zero], [1]], np.int32)
        terms = right.terms * factors
        in_threads(
            lambda *part: _product4(words, right.panels, terms, panels, vnni, out, *part),
            len(rows), len(right.panels), right.k,
        )  # fmt: skip
    return out
