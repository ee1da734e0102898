"""Rounding of binary32 numbers to narrower formats: nearest, ties to even (IEEE 754-2019, 4.3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import leaf, part

Float32 = npt.NDArray[np.float32]

#: Formats that travel as binary32, and their numbers inside kernels.
PLAIN = {"fp32": 0, "bf16": 1, "fp16": 2}


@part
def to_bf16(x: np.float32) -> np.float32:
    """Round to bfloat16; overflow goes to infinity, NaN stays NaN."""
    bits = bits_of(x)
    if x != x:
        return float_of((bits | np.uint32(0x400000)) & np.uint32(0xFFFF0000))
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return float_of((bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000))


@part
def to_fp16(x: np.float32) -> np.float32:
    """Round to binary16; overflow goes to infinity, subnormals are kept, NaN stays NaN."""
    bits = bits_of(x)
    sign, magnitude = bits & np.uint32(0x80000000), bits & np.uint32(0x7FFFFFFF)
    if magnitude > np.uint32(0x7F800000):
        return x
    if magnitude >= np.uint32(0x477FF000):  # 65520: halfway to the first number that is too large
        return float_of(sign | np.uint32(0x7F800000))
    if magnitude < np.uint32(0x38800000):  # 2^-14: below it, multiples of 2^-24
        small = np.rint(float_of(magnitude) * np.float32(2.0**24)) * np.float32(2.0**-24)
        return float_of(sign | bits_of(np.float32(small)))
    odd = (magnitude >> np.uint32(13)) & np.uint32(1)
    return float_of(sign | ((magnitude + np.uint32(0xFFF) + odd) & np.uint32(0xFFFFE000)))


@part
def rounded(x: np.float32, fmt: int) -> np.float32:
    """Round to the format with that number in ``PLAIN``."""
    if fmt == 1:
        return to_bf16(x)
    if fmt == 2:
        return to_fp16(x)
    return x


@leaf
def round_all(x: Float32, fmt: int, out: Float32) -> None:
    """Round vectors to bf16 or fp16; both may be the same."""
    if fmt == 1:
        for i in range(x.size):
            out[i] = to_bf16(x[i])
    else:
        for i in range(x.size):
            out[i] = to_fp16(x[i])


def plain(fmt: str) -> int:
    """Return the number of a format inside kernels.

    Raises:
        ValueError: a format that does not travel as binary32.
    """
    if fmt not in PLAIN:
        raise ValueError(f"format is {fmt!r}; {', '.join(PLAIN)} are allowed")
    return PLAIN[fmt]


def round_to(x: npt.ArrayLike, format: str) -> Float32:
    """Return float32 numbers rounded to ``bf16`` or ``fp16``, or as they are for ``fp32``.

    Raises:
        ValueError: another type than float32, or another format.
    """
    number = plain(format)
    given = array("x", x, np.float32)
    if number == 0:
        return given
    out = np.empty_like(given)
    round_all(given.reshape(-1), number, out.reshape(-1))
    return out
