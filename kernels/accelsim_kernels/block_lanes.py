"""Scales of blocks: the one loop behind every block format."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.cast import fp8_code
from accelsim_kernels.fused import bits_of, divide32, float_of
from accelsim_kernels.jit import DOOR, leaf
from accelsim_kernels.lanes import choose

Array = npt.NDArray[Any]

#: Bits of infinity and of NaN.
_INFINITY, _NAN = np.uint32(0x7F800000), np.uint32(0x7FC00000)


@DOOR.inner
def _power(largest: np.uint32, whole: Array, most: np.float32, ceilings: Array) -> np.uint32:
    """Return the E8M0 code of a block's scale; ``largest`` holds the bits of its magnitude."""
    divided, up = whole[1] != 0, whole[2] != 0
    if largest > _INFINITY:
        return np.uint32(255)
    bits = largest
    if divided:
        bits = bits_of(divide32(float_of(bits), most))
        if bits == _INFINITY:
            return np.uint32(254)
    field = np.int64(np.uint32(bits + whole[4]) >> np.uint32(23))
    fraction = bits & np.uint32(0x7FFFFF)
    found = field + (up and fraction > ceilings[field])
    return np.uint32(min(max(found - (0 if divided else np.int64(whole[3])), 0), 254))


@DOOR.inner
def _power_factor(code: np.uint32, whole: Array) -> np.float32:
    """Return the reciprocal of a power of two; of NaN: 0, or NaN where the scale was divided."""
    if code == 255:
        return float_of(_NAN) if whole[1] != 0 else np.float32(0)
    if code == 0:
        return float_of(whole[5])
    if code == 254:
        return float_of(np.uint32(1 << 22))
    return float_of(np.uint32((np.uint32(254) - code) << np.uint32(23)))


@DOOR.inner
def _absmax(x: Array, first: int, last: int) -> np.uint32:
    """Return the bits of the largest magnitude, NaN being the largest."""
    largest = np.uint32(0)
    for i in range(first, last):
        magnitude = np.uint32(bits_of(x[i]) & np.uint32(0x7FFFFFFF))
        largest = choose(magnitude > largest, magnitude, largest)
    return largest


@leaf
def scale_rows(
    x: Array, length: int, block: int, whole: Array, floats: Array, ceilings: Array, values: Array,
    scales: Array, scaled: Array,
) -> None:  # fmt: skip
    """Write the scales of blocks, and the elements divided by them.

    Args:
        x: float32 numbers of whole rows.
        length: of a row.
        block: elements that share a scale.
        whole: whether scales are E4M3, not E8M0; whether the magnitude is divided by the largest
            element; whether it goes up; exponent of the largest element; what is added to round
            the magnitude; bits of the factor at the smallest scale.
        floats: the largest element; the scale of the tensor.
        ceilings: by exponent field, the largest fraction that does not go up.
        values: numbers of E4M3.
        scales: codes, to be written.
        scaled: to be written.
    """
    most, tensor = floats[0], floats[1]
    number = 0
    for start in range(0, x.size, length):
        for first in range(start, start + length, block):
            last = min(first + block, start + length)
            largest = _absmax(x, first, last)
            if whole[0] != 0:
                # Kept between the smallest normal and the largest number, NaN stays NaN.
                wanted = divide32(divide32(float_of(largest), most), tensor)
                wanted = np.float32(0.015625) if wanted < np.float32(0.015625) else wanted
                code = np.uint32(fp8_code(wanted, 3, 7, 0x7E))
                factor = divide32(divide32(np.float32(1), tensor), values[code])
            else:
                code = _power(largest, whole, most, ceilings)
                factor = _power_factor(code, whole)
            scales[number] = np.uint8(code)
            number += 1
            for i in range(first, last):
                scaled[i] = np.float32(x[i] * factor)
