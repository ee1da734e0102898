"""Layers of integer codes: sums with zero points and bias, requantized where they are made.

``sum (a - z_a)(b - z_b) = sum ab - z_a sum b - z_b sum a + K z_a z_b``: what belongs to a column is
what its sums begin with, what belongs to a row is taken off before the sums are requantized.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix, vector
from accelsim_kernels.integer import (
    BLOCK,
    Int8,
    Int32,
    PackedInt8,
    Path,
    UInt32,
    in_threads,
    matmul_int8,
    pack_rows,
    sums8,
    uses_vnni,
    words_of,
)
from accelsim_kernels.jit import kernel, leaf, part, rows_in_threads
from accelsim_kernels.requant import (
    DOUBLE,
    REAL,
    SINGLE,
    Float64,
    Requantization,
    requantize,
    requantize_row,
)
from accelsim_kernels.requant_vector import (
    double_row,
    float_row,
    nudged_row,
    real_row,
    single_row,
)
from accelsim_kernels.tile import COLUMNS, ROWS

Codes = npt.NDArray[Any]
Int16 = npt.NDArray[np.int16]
Int64 = npt.NDArray[np.int64]
ZeroPoints = npt.ArrayLike

_SIGN = 0x80
#: Products of 16 and 8 bits whose sums stay in int32: ``256 * 2^15 * 2^7 = 2^30``.
_RUN = 256
#: Sums of 16-bit codes that are worth a thread.
_LEAST = 1 << 16


@leaf
def _row_sums(a: Int8, out: Int32) -> None:
    for i in range(a.shape[0]):
        total = np.int32(0)
        for k in range(a.shape[1]):
            total += np.int32(a[i, k])
        out[i] = total


@leaf
def _take_off(rows: Int32, zeros: Int32, sums: Int32) -> None:
    """Take the product of each row's sum and each column's zero point off."""
    for i in range(rows.size):
        row = rows[i]
        for j in range(zeros.size):
            sums[i, j] = np.int32(sums[i, j] - np.int32(row * zeros[j]))


@part
def _write_out(
    sums: Int32, table: Int32, scales: Float64, limits: Int32, edge: int, out: Codes
) -> None:
    """Turn the sums of a panel into codes: 64 at once where there are as many."""
    path, n, flat = limits[0], table.shape[1], table.reshape(-1)
    end = min(edge + COLUMNS, out.shape[1])
    for i in range(out.shape[0]):
        found, codes = sums[i], out[i, edge:end]
        if codes.size < COLUMNS:
            requantize_row(found, table, scales, limits, edge, codes)
        elif path == DOUBLE:
            double_row(found, flat, n, scales, limits, edge, codes)
        elif path == SINGLE and limits[1]:
            nudged_row(found, flat, n, scales, limits, edge, codes)
        elif path == SINGLE:
            single_row(found, flat, n, scales, limits, edge, codes)
        elif path == REAL:
            real_row(found, flat, n, scales, limits, edge, codes)
        else:
            float_row(found, flat, n, scales, limits, edge, codes)


@kernel
def _layer8(
    words: UInt32, panels: Int8, bias: Int32, rows: Int32, zeros: Int32, table: Int32,
    scales: Float64, limits: Int32, out: Codes, part: Int64,
) -> None:  # fmt: skip
    """Fill the part ``first row, last row, first panel, last panel, whether VNNI`` of a layer."""
    first, last, low, high, vnni = part[0], part[1], part[2], part[3], part[4] != 0
    flat = panels.reshape(-1).view(np.int32)
    tiles = (min(BLOCK, last - first) + ROWS - 1) // ROWS
    packed = np.zeros((tiles, words.shape[1] * ROWS), np.int32)
    sums = np.empty((tiles, ROWS, COLUMNS), np.int32)
    cells = sums.reshape(tiles * ROWS, COLUMNS)
    ones = np.ones(COLUMNS, np.float32)
    for block in range(first, last, BLOCK):
        count = min(tiles, (last - block + ROWS - 1) // ROWS)
        for tile in range(count):
            pack_rows(words, block + tile * ROWS, packed[tile])
        for panel in range(low, high):
            sums8(packed, count, flat, panel, bias[panel], ones, vnni, sums)
            edge, end = panel * COLUMNS, min(last, block + BLOCK)
            if rows.size:
                _take_off(rows[block:end], zeros[edge : edge + COLUMNS], cells)
            _write_out(cells, table, scales, limits, edge, out[block:end])


def signed(name: str, value: npt.ArrayLike) -> tuple[Int8, int]:
    """Return int8 codes, and what was taken off to make them so."""
    given = np.asarray(value)
    if given.dtype == np.uint8:
        return array(name, given ^ np.uint8(_SIGN), np.uint8).view(np.int8), _SIGN
    return array(name, given, np.int8), 0


def zeros_of(name: str, value: ZeroPoints, shift: int, n: int) -> Int32:
    """Return zero points of int8 codes, one per column."""
    given = np.asarray(value)
    if given.dtype.kind not in "iu" or given.shape not in ((), (1,), (n,)):
        raise ValueError(
            f"{name} is {given.dtype} of the shape {given.shape}; a whole number or {n} are needed"
        )
    low, high = (0, 255) if shift else (-128, 127)
    if given.size and not (given.min() >= low and given.max() <= high):
        raise ValueError(f"{name} holds {given.min()} to {given.max()}; {low} to {high} is allowed")
    return np.broadcast_to(given.astype(np.int32) - shift, (n,)).copy()


class _Operands:
    """Both operands of a layer, and its terms of rows and columns."""

    def __init__(
        self, a: npt.ArrayLike, b: npt.ArrayLike | PackedInt8, a_zero: int, b_zero: ZeroPoints,
        bias: npt.ArrayLike | None,
    ) -> None:  # fmt: skip
        codes, by = signed("a", a)
        self.a = matrix("a", codes, np.int8)
        codes, shift = (b, 0) if isinstance(b, PackedInt8) else signed("b", b)
        self.right = codes if isinstance(codes, PackedInt8) else PackedInt8.of(codes)
        n, k = self.right.n, self.right.k
        if self.a.shape[1] != k:
            raise ValueError(f"a has K={self.a.shape[1]}, b has K={k}: they do not multiply")
        zero_a = int(zeros_of("a_zero", a_zero, by, 1)[0])
        self.zeros = zeros_of("b_zero", b_zero, shift, n)
        added = np.zeros(n, np.int32) if bias is None else vector("bias", bias, np.int32, n)
        sums = -(self.right.bias.reshape(-1)[:n] // 128)
        wide = added.astype(np.int64) + zero_a * (k * self.zeros.astype(np.int64) - sums)
        start = self.right.bias.reshape(-1).astype(np.int64)
        start[:n] += wide
        self.start = start.astype(np.int32).reshape(-1, COLUMNS)
        self.rows = np.zeros(0, np.int32)
        if self.zeros.any():
            self.rows = np.empty(len(self.a), np.int32)
            _row_sums(self.a, self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.a), self.right.n


def linear_sums(
    a: npt.ArrayLike, b: npt.ArrayLike | PackedInt8, a_zero: int = 0, b_zero: ZeroPoints = 0,
    bias: npt.ArrayLike | None = None, path: Path = "auto",
) -> Int32:  # fmt: skip
    """Return the int32 sums ``[m, n]`` of ``(a - a_zero)[m, k] (b - b_zero)[n, k] + bias``.

    Exact; sums beyond int32 wrap, as a 32-bit accumulator does.

    Args:
        a: int8 or uint8 codes.
        b: int8 or uint8 codes, or int8 codes laid out before.
        a_zero: zero point of ``a``.
        b_zero: zero point of ``b``, or one for each of its n columns.
        bias: int32 ``[n]``.
        path: as for ``matmul_int8``.

    Raises:
        ValueError: types, shapes or zero points that do not fit.
    """
    given = _Operands(a, b, a_zero, b_zero, bias)
    right = PackedInt8(given.right.panels, given.start, given.right.n, given.right.k)
    out = matmul_int8(given.a, right, path)
    if not given.right.k:
        out += given.start.reshape(-1)[: given.right.n]
    if given.rows.size and out.size:
        _take_off(given.rows, given.zeros, out)
    return out


def linear_int8(
    a: npt.ArrayLike, b: npt.ArrayLike | PackedInt8, by: Requantization, a_zero: int = 0,
    b_zero: ZeroPoints = 0, bias: npt.ArrayLike | None = None, path: Path = "auto",
) -> Codes:  # fmt: skip
    """Return the codes ``[m, n]`` of ``linear_sums``, requantized tile by tile.

    Raises:
        ValueError: as ``linear_sums`` and ``requantize``.
    """
    given = _Operands(a, b, a_zero, b_zero, bias)
    m, n = given.shape
    table, scales = by.columns(n)
    out = by.empty(m, n)
    if not out.size:
        return out
    if not given.right.k:
        sums = np.broadcast_to(given.start.reshape(-1)[:n], (m, n))
        return requantize(sums, by)
    words, cells, vnni = words_of(given.a, given.right.k, 4)[:, 0], by.cells(out), uses_vnni(path)

    def run(*part: int) -> None:
        _layer8(
            words, given.right.panels, given.start, given.rows, given.zeros, table, scales,
            by.limits, cells, np.array([*part, vnni], np.int64),
        )  # fmt: skip

    in_threads(run, m, len(given.right.panels), given.right.k)
    return out


@leaf
def _sums16(a: Int16, b: Int8, out: Int64) -> None:
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            total = np.int64(0)
            for start in range(0, a.shape[1], _RUN):
                part = np.int32(0)
                for k in range(start, min(a.shape[1], start + _RUN)):
                    part += np.int32(a[i, k]) * np.int32(b[j, k])
                total += part
            out[i, j] += total


def matmul_int16(a: npt.ArrayLike, b: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> Int64:
    """Return the exact int64 sums ``[m, n]`` of ``a[m, k] b[n, k] + bias``.

    Args:
        a: int16 codes, symmetric.
        b: int8 codes, symmetric.
        bias: int64 ``[n]``.

    Raises:
        ValueError: types or shapes that do not fit.
    """
    rows, columns = matrix("a", a, np.int16), matrix("b", b, np.int8)
    if rows.shape[1] != columns.shape[1]:
        raise ValueError(f"a has K={rows.shape[1]}, b has K={columns.shape[1]}: they do not "
                         "multiply")  # fmt: skip
    n = len(columns)
    added = np.zeros(n, np.int64) if bias is None else vector("bias", bias, np.int64, n)
    out = np.broadcast_to(added, (len(rows), n)).copy()
    if out.size and rows.shape[1]:
        rows_in_threads(
            lambda first, last: _sums16(rows[first:last], columns, out[first:last]),
            len(rows), -(-_LEAST // (n * rows.shape[1])),
        )  # fmt: skip
    return out
