"""The sum of a chunk becomes an accumulator again: one rounding of an exact sum."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from accelsim_kernels.fused import bits_of, double_of, float_of
from accelsim_kernels.jit import inner


@intrinsic  # type: ignore[untyped-decorator]  # Numba has no types
def integer_of(typingctx: Any, value: Any) -> Any:
    """Return the bits of a binary64 number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@inner
def power(exponent: np.int64) -> np.float64:
    """Return ``2^exponent``, from -1022 to 1023."""
    return double_of(np.int64((np.int64(1023) + exponent) << np.int64(52)))


@inner
def toward_zero(value: np.float64, kept: np.int64) -> np.float64:
    """Cut a number to binary32 of which ``kept`` fraction bits are used; subnormals are kept.

    From 2^128 on the result is left to the conversion, which makes it infinite.
    """
    bits = integer_of(value)
    field = (bits >> np.int64(52)) & np.int64(2047)
    # Below 2^-126 every binade has a bit less; binary64 has 52 of them.
    cut = np.int64(52) - kept + max(np.int64(897) - field, np.int64(0))
    made = double_of(bits & (np.int64(-1) << min(cut, np.int64(63))))
    return made if cut <= np.int64(52) else 0.0


@inner
def to_half(value: np.float64) -> np.float64:
    """Round to binary16: nearest, ties to even, subnormals kept, overflow infinite."""
    field = (integer_of(value) >> np.int64(52)) & np.int64(2047)
    # Added to 1.5 times 2^52 steps of the result, a number is rounded to a step.
    step = max(field, np.int64(1009)) + np.int64(42)
    large = double_of(np.int64((step << np.int64(52)) | (np.int64(1) << np.int64(51))))
    made = (value + large) - large
    if made >= 65536.0:
        made = np.inf
    if made <= -65536.0:
        made = -np.inf
    return made


@inner
def settled(total: np.int64, exponent: np.int64, kept: np.int64, half: np.int64) -> np.float32:
    """Return ``total * 2^exponent`` as an accumulator; no zero is negative.

    Args:
        total: below 2^53.
        exponent: from -600 to 600.
        kept: fraction bits of the accumulator.
        half: whether it is binary16, rounded to nearest; else binary32, rounded toward zero.
    """
    value = np.float64(total) * power(exponent)
    made = to_half(value) if half != 0 else toward_zero(value, kept)
    return np.float32(made + 0.0)


@inner
def of_half(bits: np.uint32) -> np.float32:
    """Return the number of the bits of a binary16; infinity and NaN stay what they are."""
    magnitude, sign = bits & np.uint32(0x7FFF), (bits & np.uint32(0x8000)) << np.uint32(16)
    # Moved to the exponent of binary32, a subnormal number lacks what its exponent implies.
    made = float_of((magnitude << np.uint32(13)) + np.uint32(112 << 23))
    if magnitude < np.uint32(0x400):
        made = np.float32(magnitude) * np.float32(2.0**-24)
    if magnitude >= np.uint32(0x7C00):
        made = float_of((magnitude << np.uint32(13)) | np.uint32(0x7F800000))
    return float_of(bits_of(made) | sign)


@inner
def half_of(value: np.float32) -> np.uint32:
    """Return the bits of a number that is a binary16; NaN is 0x7FFF."""
    bits = bits_of(value)
    magnitude, sign = bits & np.uint32(0x7FFFFFFF), (bits >> np.uint32(16)) & np.uint32(0x8000)
    made = (magnitude - np.uint32(112 << 23)) >> np.uint32(13)
    if magnitude < np.uint32(0x38800000):
        made = np.uint32(float_of(magnitude) * np.float32(2.0**24))
    if magnitude == np.uint32(0x7F800000):
        made = np.uint32(0x7C00)
    if magnitude > np.uint32(0x7F800000):
        return np.uint32(0x7FFF)
    return made | sign
