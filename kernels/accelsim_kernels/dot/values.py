"""Numbers of codes, codes of numbers, and the exponents that they may have."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.formats import NumberFormat

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]

#: Formats of sums, and the bits of what they hold where a sum is no number.
NANS = {
    "fp16": 0x7FFF, "bf16": 0x7FFF, "tf32": 0x7FFFFFFF, "fp32": 0x7FFFFFFF, "fp64": (1 << 63) - 1,
}  # fmt: skip


@cache
def _table(fmt: NumberFormat) -> Float32:
    """Return the number of every code of a format of up to 8 bits."""
    found = np.zeros(256, np.float32)
    fields = (1 << fmt.exponent_bits) - 1
    for code in range(1 << fmt.bits):
        magnitude = code & ((1 << (fmt.bits - 1)) - 1)
        exponent, fraction = magnitude >> fmt.mantissa_bits, magnitude % (1 << fmt.mantissa_bits)
        whole = fraction + ((1 << fmt.mantissa_bits) if exponent else 0)
        value = whole * 2.0 ** (max(exponent, 1) - fmt.bias - fmt.mantissa_bits)
        if fmt.specials == "ieee" and exponent == fields:
            value = np.nan if fraction else np.inf
        if fmt.specials == "fn" and magnitude == (1 << (fmt.bits - 1)) - 1:
            value = np.nan
        negative = code != magnitude
        found[code] = -value if negative else value
        if fmt.specials == "fnuz" and negative and magnitude == 0:
            found[code] = np.nan
    return found


def numbers(codes: Array, fmt: NumberFormat) -> Array:
    """Return the numbers of codes: float64 of FP64, float32 of every narrower format.

    Raises:
        ValueError: no binary floating point format.
    """
    if fmt.name == "fp64":
        return codes.view(np.float64)
    if fmt.name == "fp32":
        return codes.view(np.float32)
    if fmt.name == "tf32":  # 19 bits count
        return (codes & np.uint32(0xFFFFE000)).view(np.float32)
    if fmt.name == "fp16":
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            return codes.view(np.float16).astype(np.float32)
    if fmt.name == "bf16":
        return (codes.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if not fmt.is_float or fmt.bits > 8 or fmt.least_exponent < -126 or not fmt.signed:
        raise ValueError(f"format is {fmt.name}; a signed floating point format is needed")
    return _table(fmt)[codes]


def codes_of(values: Array, fmt: str, keep_nans: bool = False) -> Array:
    """Return the codes of float32 or float64 numbers that a format of sums holds exactly.

    Args:
        values: numbers.
        fmt: a format of sums.
        keep_nans: a NaN keeps the bits that the processor gave it, instead of those of ``NANS``.
    """
    with np.errstate(invalid="ignore"):
        if fmt == "fp64":
            found: Array = values.astype(np.float64).view(np.uint64)
        elif fmt == "fp16":
            found = values.astype(np.float16).view(np.uint16)
        else:
            found = values.astype(np.float32).view(np.uint32)
    if fmt == "bf16":
        found = (found >> np.uint32(16)).astype(np.uint16)
    if not keep_nans:
        found[np.isnan(values)] = NANS[fmt]
    return found
