"""Scales, codes, and the way back: symmetric quantization by rows and by groups along K."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix, vector
from accelsim_kernels.cast import FP8, decode_fp8, fp8_code
from accelsim_kernels.fused import bits_of, divide32, float_of
from accelsim_kernels.jit import leaf
from accelsim_kernels.rounding import plain, round_to, rounded

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int8 = npt.NDArray[np.int8]
UInt8 = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8] | npt.NDArray[np.uint8]

#: Largest code of each format, which the largest magnitude of a row is given.
QMAX: Mapping[str, float] = {
    "int8": 127.0, "int4": 7.0, "int2": 1.0, "fp8_e4m3": 448.0, "fp8_e5m2": 57344.0,
}  # fmt: skip
#: Smallest normal and largest number of the formats of scales.
_RANGE: Mapping[str, tuple[float, float]] = {
    "fp32": (2.0**-126, (2.0 - 2.0**-23) * 2.0**127),
    "bf16": (2.0**-126, (2.0 - 2.0**-7) * 2.0**127),
    "fp16": (2.0**-14, 65504.0),
}


def _qmax(fmt: str) -> float:
    if fmt not in QMAX:
        raise ValueError(f"format is {fmt!r}; {', '.join(QMAX)} are allowed")
    return QMAX[fmt]


#: Added and taken off again, it rounds to a whole number, ties to even: its last bit is worth one.
_ROUNDER = np.float32(1.5 * 2.0**23)


@leaf
def _absmax(x: Float32, out: Float32) -> None:
    """Compare magnitudes as integers, which is done in vectors and keeps NaN, the largest."""
    for row in range(x.shape[0]):
        largest = np.uint32(0)
        for k in range(x.shape[1]):
            largest = max(largest, bits_of(x[row, k]) & np.uint32(0x7FFFFFFF))
        out[row] = float_of(largest)


def absmax(x: npt.ArrayLike) -> Float32:
    """Return the largest magnitude of each row of float32 ``[rows, k]``.

    Raises:
        ValueError: not a matrix of float32.
    """
    rows = matrix("x", x, np.float32)
    out = np.empty(len(rows), np.float32)
    _absmax(rows, out)
    return out


def scales(absmax: npt.ArrayLike, format: str, scale_format: str) -> Float32:
    """Return the scale of each largest magnitude.

    ``absmax / qmax`` in binary32, rounded to ``scale_format`` and kept between the format's
    smallest normal and largest number; 1 where the largest magnitude is 0.

    Raises:
        ValueError: another type than float32, or formats that are none.
    """
    given, most = array("absmax", absmax, np.float32), np.float32(_qmax(format))
    plain(scale_format)
    low, high = (np.float32(edge) for edge in _RANGE[scale_format])
    found = np.clip(round_to(given / most, scale_format), low, high)
    return np.where(given == 0, np.float32(1), found)


@leaf
def _quantize(x: Float32, scale: Float32, most: np.float32, codes: Int8) -> None:
    for row in range(x.shape[0]):
        inverse = divide32(np.float32(1), scale[row])
        for k in range(x.shape[1]):
            scaled = x[row, k] * inverse
            bounded = scaled if scaled > -most else -most
            bounded = bounded if bounded < most else most
            codes[row, k] = np.int8((bounded + _ROUNDER) - _ROUNDER)


@leaf
def _quantize_fp8(
    x: Float32, scale: Float32, fraction: int, bias: int, largest: int, codes: UInt8
) -> None:
    for row in range(x.shape[0]):
        inverse = divide32(np.float32(1), scale[row])
        for k in range(x.shape[1]):
            codes[row, k] = fp8_code(x[row, k] * inverse, fraction, bias, largest)


def quantize(x: npt.ArrayLike, scales: npt.ArrayLike, format: str) -> Codes:
    """Return the codes of float32 ``[rows, k]`` by one scale per row.

    ``x * (1 / scale)``, both steps rounded to binary32, then to the nearest code, ties to even,
    saturating: int8 and int4 codes in int8, FP8 codes in uint8. NaN becomes the smallest code, or
    NaN in FP8.

    Raises:
        ValueError: shapes or types that do not fit, a scale that is not positive, or a format that
            is none.
    """
    most = _qmax(format)
    rows = matrix("x", x, np.float32)
    by_row = vector("scales", scales, np.float32, len(rows))
    if not (by_row > 0).all():
        raise ValueError("scales holds a number that is not positive")
    if format in FP8:
        facts, codes = FP8[format], np.empty(rows.shape, np.uint8)
        _quantize_fp8(rows, by_row, facts.fraction, facts.bias, facts.largest, codes)
        return codes
    whole = np.empty(rows.shape, np.int8)
    _quantize(rows, by_row, np.float32(most), whole)
    return whole


def dequantize(codes: npt.ArrayLike, scales: npt.ArrayLike, format: str) -> Float32:
    """Return ``code * scale`` of codes ``[rows, k]``, rounded to binary32.

    Raises:
        ValueError: shapes or types that do not fit, or a format that is none.
    """
    _qmax(format)
    if format in FP8:
        numbers = decode_fp8(matrix("codes", codes, np.uint8), format)
    else:
        numbers = matrix("codes", codes, np.int8).astype(np.float32)
    by_row = vector("scales", scales, np.float32, len(numbers))
    found: Float32 = numbers * by_row[:, None]
    return found


def quantize_weight(
    w: npt.ArrayLike, format: str, group: int, scale_format: str
) -> tuple[Codes, Float32]:
    """Return codes ``[n, k]`` and scales ``[n, groups]`` of float32 weights ``[n, k]``.

    Args:
        w: the weights.
        format: of the codes.
        group: the run of K that shares a scale, the last one may be shorter; 0: the whole row.
        scale_format: of the scales.

    Raises:
        ValueError: not a matrix of float32, a negative group, or formats that are none.
    """
    rows = matrix("w", w, np.float32)
    if group < 0:
        raise ValueError(f"group is {group}; 0 or a positive number is needed")
    n, k = rows.shape
    size = group or max(k, 1)
    count = -(-k // size)
    padded = np.zeros((n, count * size), np.float32)
    padded[:, :k] = rows
    parts = padded.reshape(n * count, size)
    found = scales(absmax(parts), format, scale_format)
    codes = quantize(parts, found, format).reshape(n, count * size)[:, :k]
    return np.ascontiguousarray(codes), found.reshape(n, count)


@leaf
def _rescale(
    sums: Float32, rows: Float32, columns: Float32, bias: Float32, fmt: int, out: Float32
) -> None:
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            scaled = np.float32(np.float32(sums[i, j] * columns[j]) * rows[i])
            out[i, j] = rounded(np.float32(scaled + bias[j]), fmt)


#: Added where there is no bias: -0 changes no number, not even a zero.
_NOTHING = -0.0


def rescale(
    sums: npt.ArrayLike,
    row_scales: npt.ArrayLike,
    column_scales: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    format: str,
) -> Float32:
    """Return sums times their scales plus the bias, in a format.

    ``float32(sum) * column scale * row scale + bias``, every step rounded to binary32, the result
    to ``format``.

    Args:
        sums: int32 or float32 ``[m, n]``.
        row_scales: float32 ``[m]``.
        column_scales: float32 ``[n]``; None: 1.
        bias: float32 ``[n]``; None: nothing is added.
        format: ``bf16``, ``fp16`` or ``fp32``.

    Raises:
        ValueError: shapes, types or a format that do not fit.
    """
    given = np.asarray(sums)
    wide = given.astype(np.float32) if given.dtype == np.int32 else given
    values = matrix("sums", wide, np.float32)
    m, n = values.shape
    rows = vector("row_scales", row_scales, np.float32, m)
    ones, nothing = np.ones(n, np.float32), np.full(n, _NOTHING, np.float32)
    columns = ones if column_scales is None else column_scales
    added = nothing if bias is None else bias
    out = np.empty((m, n), np.float32)
    _rescale(
        values, rows, vector("column_scales", columns, np.float32, n),
        vector("bias", added, np.float32, n), plain(format), out,
    )  # fmt: skip
    return out
