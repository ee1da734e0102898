"""Affine integers, ``x = (code - zero_point) * scale``: per tensor, per row, per group along rows.

Scales and zero points are chosen as torchao 0.18 does (``choose_qparams_affine``), every step in
binary32; so are codes and numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix
from accelsim_kernels.formats import format_of
from accelsim_kernels.fused import divide32
from accelsim_kernels.jit import leaf, rows_in_threads
from accelsim_kernels.lanes import choose

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]

#: How the range of the numbers is laid over the codes.
#:
#: - ``symmetric``: ``scale = max|x| / ((high - low) / 2)``, zero in the middle of the codes.
#: - ``symmetric_no_clipping_err``: the larger of ``min / low`` and ``max / high``.
#: - ``asymmetric``: ``scale = (max - min) / (high - low)``,
#:   ``zero_point = low - round(min / scale)``; the range always holds zero.
MAPPINGS = ("symmetric", "symmetric_no_clipping_err", "asymmetric")
#: Elements worth a thread.
_THREAD = 1 << 18
#: Smallest scale: the smallest normal number.
_LEAST = np.float32(2.0**-126)
#: Added and taken off again, it rounds to a whole number, ties to even.
_ROUNDER = np.float32(1.5 * 2.0**23)


class Parameters(NamedTuple):
    """Scales and zero points: ``[]`` of a tensor, ``[rows]``, or ``[rows, groups]``.

    Attributes:
        scales: float32.
        zero_points: int32.
    """

    scales: Float32
    zero_points: Int32


def limits(format: str) -> tuple[int, int]:
    """Return the least and the largest code of an integer format of up to 8 bits.

    Raises:
        ValueError: another format.
    """
    fmt = format_of(format)
    if fmt.is_float or fmt.bits > 8 or fmt.mantissa_bits or format == "bool":
        raise ValueError(f"format is {format!r}; int2, int4, int8, uint2, uint4, uint8 are allowed")
    low = -(1 << (fmt.bits - 1)) if fmt.signed else 0
    return low, low + (1 << fmt.bits) - 1


@leaf
def _extremes(x: Array, group: int, low: Array, high: Array) -> None:
    """Write the least and the largest number of each group of rows, zero always among them."""
    for row in range(x.shape[0]):
        for number in range(low.shape[1]):
            least, most = np.float32(0), np.float32(0)
            for i in range(number * group, min(number * group + group, x.shape[1])):
                least = choose(x[row, i] < least, x[row, i], least)
                most = choose(x[row, i] > most, x[row, i], most)
            low[row, number], high[row, number] = least, most


@leaf
def _codes(
    x: Array, group: int, scales: Array, points: Array, low: int, high: int, codes: Array
) -> None:
    for row in range(x.shape[0]):
        for number in range(scales.shape[1]):
            inverse = divide32(np.float32(1), scales[row, number])
            point = np.int32(points[row, number])
            # Bounds are whole numbers: cut before it is rounded or after, a number is the same.
            least, most = np.float32(low - point), np.float32(high - point)
            for i in range(number * group, min(number * group + group, x.shape[1])):
                scaled = np.float32(x[row, i] * inverse)
                bounded = choose(scaled > least, scaled, least)
                bounded = choose(bounded < most, bounded, most)
                whole = np.int32(np.float32(bounded + _ROUNDER) - _ROUNDER)
                codes[row, i] = np.uint8(whole + point)


def choose_parameters(
    x: npt.ArrayLike,
    format: str,
    mapping: str = "asymmetric",
    *,
    group: int = 0,
    per_tensor: bool = False,
) -> Parameters:
    """Return scales and zero points of float32 rows ``[rows, k]``.

    Args:
        x: the numbers, all finite.
        format: of the codes: an integer one of up to 8 bits.
        mapping: one of ``MAPPINGS``.
        group: elements of a row that share them, the last group may be shorter; 0: the whole row.
        per_tensor: all elements share them.

    Raises:
        ValueError: another type, shape or name; a group that is negative or given with
            ``per_tensor``; NaN or infinity.
    """
    rows, (lowest, highest) = matrix("x", x, np.float32), limits(format)
    if mapping not in MAPPINGS:
        raise ValueError(f"mapping is {mapping!r}; {', '.join(MAPPINGS)} are allowed")
    if group < 0 or (group and per_tensor):
        raise ValueError(f"group is {group}; 0 or a positive number is needed, 0 per tensor")
    if not np.isfinite(rows).all():
        raise ValueError("x holds NaN or infinity, for which there is no scale")
    parts = rows.reshape(1, -1) if per_tensor else rows
    size = group or max(parts.shape[1], 1)
    shape = (len(parts), max(-(-parts.shape[1] // size), 1))
    low, high = np.empty(shape, np.float32), np.empty(shape, np.float32)
    _extremes(parts, size, low, high)
    found = _parameters(low, high, lowest, highest, mapping)
    kept: tuple[int, ...] = () if per_tensor else shape if group else shape[:1]
    return Parameters(found.scales.reshape(kept), found.zero_points.reshape(kept))


def _parameters(low: Float32, high: Float32, lowest: int, highest: int, mapping: str) -> Parameters:
    span = np.float32(highest - lowest)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if mapping == "asymmetric":
            scales = np.maximum((high - low) / span, _LEAST)
            points = np.float32(lowest) - np.rint(low / scales)
            return Parameters(scales, np.clip(points, lowest, highest).astype(np.int32))
        if mapping == "symmetric":
            scales = np.maximum(-low, high) / np.float32(span / np.float32(2))
        else:
            # Without codes below zero the first one is infinite or NaN, and not taken.
            below, above = low / np.float32(lowest), high / np.float32(highest)
            scales = np.where(below > above, below, above)
    middle = int((highest + lowest + 1) / 2)
    return Parameters(np.maximum(scales, _LEAST), np.full(low.shape, middle, np.int32))


def _spread(
    shape: tuple[int, int], scales: npt.ArrayLike, points: npt.ArrayLike, group: int
) -> tuple[Float32, Int32, int]:
    """Return scales and zero points as ``[rows, groups]``, and the size of a group."""
    rows, k = shape
    size = group or max(k, 1)
    count = max(-(-k // size), 1)
    steps, offsets = array("scales", scales, np.float32), array("zero_points", points, np.int32)
    allowed = ((rows, count),) if group else ((), (rows,))
    for name, found in (("scales", steps), ("zero_points", offsets)):
        if found.shape not in allowed:
            known = " or ".join(map(str, allowed))
            raise ValueError(f"{name} has the shape {found.shape}, {known} is needed")
    if not (steps > 0).all():
        raise ValueError("scales holds a number that is not positive")
    wide = [
        np.ascontiguousarray(np.broadcast_to(a if group else a.reshape(-1, 1), (rows, count)))
        for a in (steps, offsets)
    ]
    return wide[0], wide[1], size


def quantize_affine(
    x: npt.ArrayLike,
    scales: npt.ArrayLike,
    zero_points: npt.ArrayLike,
    format: str,
    *,
    group: int = 0,
) -> Array:
    """Return the codes of float32 rows ``[rows, k]``.

    ``clamp(round(x * (1 / scale)) + zero_point)``, rounded to nearest, ties to even. NaN becomes
    the least code.

    Args:
        x: the numbers.
        scales: float32 ``[]``, ``[rows]``, or with a group ``[rows, ceil(k / group)]``.
        zero_points: int32 of such a shape, each a code of the format.
        format: of the codes: an integer one of up to 8 bits.
        group: elements of a row that share them; 0: the whole row.

    Returns:
        int8 ``[rows, k]``, or uint8 of an unsigned format.

    Raises:
        ValueError: another type, shape or name, a scale that is not positive, a zero point that is
            no code.
    """
    rows, (low, high) = matrix("x", x, np.float32), limits(format)
    steps, points, size = _spread(rows.shape, scales, zero_points, group)
    if points.size and (points.min() < low or points.max() > high):
        raise ValueError(f"zero_points holds a number that is no code of {format}")
    codes = np.empty(rows.shape, np.uint8)

    def run(first: int, last: int) -> None:
        part = slice(first, last)
        _codes(rows[part], size, steps[part], points[part], low, high, codes[part])

    rows_in_threads(run, len(rows), max(1, _THREAD // max(rows.shape[1], 1)))
    return codes.view(np.int8) if low < 0 else codes


def dequantize_affine(
    codes: npt.ArrayLike, scales: npt.ArrayLike, zero_points: npt.ArrayLike, *, group: int = 0
) -> Float32:
    """Return ``(code - zero_point) * scale`` of int8 or uint8 codes ``[rows, k]``, in binary32.

    Args:
        codes: as ``quantize_affine`` gives them.
        scales: float32 ``[]``, ``[rows]``, or with a group ``[rows, ceil(k / group)]``.
        zero_points: int32 of such a shape.
        group: elements of a row that share them; 0: the whole row.

    Raises:
        ValueError: another type or shape, or a scale that is not positive.
    """
    given = np.asarray(codes)
    held = matrix("codes", given, np.uint8 if given.dtype == np.uint8 else np.int8)
    steps, points, size = _spread(held.shape, scales, zero_points, group)
    wide = (np.repeat(a, size, axis=1)[:, : held.shape[1]] for a in (points, steps))
    offsets, factors = wide
    found: Float32 = (held.astype(np.float32) - offsets.astype(np.float32)) * factors
    return found
