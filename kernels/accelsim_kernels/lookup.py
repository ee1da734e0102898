"""Functions as tables: 256 entries for 8 bits, 513 and a straight line between two for 16 bits.

As TensorFlow Lite fills and reads them (kernels/internal/common.h, LUTPopulate and LUTLookup), in
binary32 throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import vector
from accelsim_kernels.jit import leaf

Codes = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
Int16 = npt.NDArray[np.int16]
#: A function of binary32 numbers, element by element.
Function = Callable[[Float32], npt.ArrayLike]

_STEPS = 512
_FAR = np.float32(2.0**40)


def _away(x: Float32) -> Float32:
    """Round half away from zero."""
    size = np.abs(x.astype(np.float64))
    return np.asarray(np.copysign(np.floor(size + 0.5), x), np.float32)


def _positive(**scales: float) -> None:
    for name, scale in scales.items():
        if not (np.float32(scale) > 0 and np.isfinite(np.float32(scale))):
            raise ValueError(f"{name} is {scale}; a positive, finite number is needed")


def _steps(function: Function, x: Float32, inverse: np.float32) -> Float32:
    """Return the function in steps of the result, far beyond any code at most."""
    with np.errstate(all="ignore"):
        found = np.asarray(function(x), np.float32)
        if found.shape != x.shape or np.isnan(found).any():
            raise ValueError("function gives NaN, or no number for each of its arguments")
        return np.clip(found * inverse, -_FAR, _FAR)


def table_int8(
    function: Function, x_scale: float, x_zero: int, y_scale: float, y_zero: int
) -> Int8:
    """Return the codes of ``function`` at the int8 codes -128 to 127.

    Args:
        function: of a float32 array.
        x_scale: of the argument.
        x_zero: code of zero of the argument.
        y_scale: of the result.
        y_zero: code of zero of the result.

    Raises:
        ValueError: a scale that is not positive, or a function that gives NaN.
    """
    _positive(x_scale=x_scale, y_scale=y_scale)
    codes = np.arange(-128, 128)
    x = np.float32(x_scale) * (codes - x_zero).astype(np.float32)
    scaled = _away(_steps(function, x, np.float32(1) / np.float32(y_scale)))
    return np.asarray(np.clip(scaled.astype(np.float64) + y_zero, -128, 127), np.int8)


def table_int16(
    function: Function, x_scale: float, x_zero: int, y_scale: float, y_zero: int
) -> Int16:
    """Return 513 entries for the int16 codes ``-32768 + 128 i``.

    Every entry is moved by half of what the line between it and the next one misses in the middle.

    Args:
        function: of a float32 array.
        x_scale: of the argument.
        x_zero: code of zero of the argument.
        y_scale: of the result.
        y_zero: code of zero of the result.

    Raises:
        ValueError: a scale that is not positive, or a function that gives NaN.
    """
    _positive(x_scale=x_scale, y_scale=y_scale)
    step, unit = np.float32(x_scale), np.float32(y_scale)
    low, high = step * np.float32(-32768 - x_zero), step * np.float32(32767 - x_zero)
    least, most = unit * np.float32(-32768 - y_zero), unit * np.float32(32767 - y_zero)
    width = np.float32((high - low) / np.float32(_STEPS))
    inverse = np.float32(65536) / np.float32(most - least)
    at = low + np.arange(_STEPS, dtype=np.float32) * width
    after = low + np.arange(1, _STEPS + 1, dtype=np.float32) * width
    here, middle, there = (
        _steps(function, x, inverse) for x in (at, at + width / np.float32(2), after)
    )
    line = _away((there + _away(here)) / np.float32(2))
    moved = _away(here) - _away((line - _away(middle)) / np.float32(2))
    last = _away(_steps(function, np.array([high], np.float32), inverse))
    return np.asarray(np.clip(np.concatenate([moved, last]), -32768, 32767), np.int16)


@leaf
def _look_up(codes: Codes, table: Codes, interpolate: bool, out: Codes) -> None:
    if not interpolate:
        for i in range(codes.size):
            out[i] = table[np.int64(codes[i]) + 128]
        return
    for i in range(codes.size):
        code = np.int32(codes[i])
        index = 256 + (code >> 7)
        base = np.int32(table[index])
        slope = np.int32(table[index + 1]) - base
        out[i] = np.int16(base + ((slope * (code & 127) + 64) >> 7))


def look_up(codes: npt.ArrayLike, table: npt.ArrayLike) -> Codes:
    """Return what a table says of codes, of their shape and type.

    Args:
        codes: int8, or int16 for a table with interpolation.
        table: of ``table_int8`` or ``table_int16``.

    Raises:
        ValueError: types or a length that do not fit.
    """
    given = np.asarray(codes)
    if given.dtype not in (np.int8, np.int16):
        raise ValueError(f"codes is {given.dtype}; int8 and int16 are allowed")
    wide = given.dtype == np.int16
    entries = vector("table", table, given.dtype, _STEPS + 1 if wide else 256)
    flat = np.ascontiguousarray(given).reshape(-1)
    out = np.empty_like(flat)
    _look_up(np.require(flat, requirements=["W"]), entries, wide, out)
    return out.reshape(given.shape)
