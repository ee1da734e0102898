"""FP8: codes of numbers and numbers of codes (OCP 8-bit Floating Point Specification 1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import leaf, part

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Fp8:
    """One format: width of its fraction, exponent bias, the code of its largest number."""

    fraction: int
    bias: int
    largest: int


FP8 = {"fp8_e4m3": _Fp8(3, 7, 0x7E), "fp8_e5m2": _Fp8(2, 15, 0x7B)}


@part
def fp8_code(x: np.float32, fraction: int, bias: int, largest: int) -> np.uint8:
    """Return the code of a number: nearest, ties to even, saturating; NaN is 0x7F with the sign."""
    bits = bits_of(x)
    sign = np.uint32((bits >> np.uint32(24)) & np.uint32(0x80))
    magnitude = bits & np.uint32(0x7FFFFFFF)
    if magnitude > np.uint32(0x7F800000):
        return np.uint8(sign | np.uint32(0x7F))
    drop = np.uint32(23 - fraction)
    if magnitude < np.uint32((128 - bias) << 23):  # below the smallest normal number
        # A step of the subnormal numbers is 2^(1 - bias - fraction).
        scale = float_of(np.uint32((127 + bias + fraction - 1) << 23))
        code = np.uint32(np.rint(float_of(magnitude) * scale))
    else:
        half = (np.uint32(1) << (drop - np.uint32(1))) - np.uint32(1)
        odd = (magnitude >> drop) & np.uint32(1)
        code = ((magnitude + half + odd) >> drop) - np.uint32((127 - bias) << fraction)
    return np.uint8(sign | min(code, np.uint32(largest)))


@leaf
def _encode(x: Float32, fraction: int, bias: int, largest: int, codes: UInt8) -> None:
    for i in range(x.size):
        codes[i] = fp8_code(x[i], fraction, bias, largest)


def _facts(fmt: str) -> _Fp8:
    if fmt not in FP8:
        raise ValueError(f"format is {fmt!r}; {', '.join(FP8)} are allowed")
    return FP8[fmt]


def encode_fp8(x: npt.ArrayLike, format: str) -> UInt8:
    """Return the codes of float32 numbers: nearest, ties to even, saturating.

    What is too large, infinity included, becomes the largest number; NaN becomes 0x7F with its
    sign.

    Raises:
        ValueError: another type than float32, or no FP8 format.
    """
    facts, given = _facts(format), array("x", x, np.float32)
    codes = np.empty(given.shape, np.uint8)
    flat = codes.reshape(-1)
    _encode(given.reshape(-1), facts.fraction, facts.bias, facts.largest, flat)
    return codes


@cache
def _table(fmt: str) -> Float32:
    """Return the number of each code."""
    facts = FP8[fmt]
    found = []
    for code in range(256):
        exponent, fraction = (code & 0x7F) >> facts.fraction, code & ((1 << facts.fraction) - 1)
        if exponent == 0:
            value = fraction * 2.0 ** (1 - facts.bias - facts.fraction)
        else:
            value = (1 + fraction / 2**facts.fraction) * 2.0 ** (exponent - facts.bias)
        if (code & 0x7F) > facts.largest:
            value = np.inf if fmt == "fp8_e5m2" and (code & 0x7F) == 0x7C else np.nan
        found.append(-value if code & 0x80 else value)
    return np.array(found, np.float32)


@leaf
def _decode(codes: UInt8, numbers: Float32, out: Float32) -> None:
    for i in range(codes.size):
        out[i] = numbers[codes[i]]


def decode_fp8(codes: npt.ArrayLike, format: str) -> Float32:
    """Return the float32 numbers of uint8 codes.

    Raises:
        ValueError: another type than uint8, or no FP8 format.
    """
    _facts(format)
    given = array("codes", codes, np.uint8)
    out = np.empty(given.shape, np.float32)
    _decode(given.reshape(-1), _table(format), out.reshape(-1))
    return out


@leaf
def _finite(x: Float32) -> bool:
    wrong = np.int64(0)
    for i in range(x.size):
        exponent = bits_of(x[i]) & np.uint32(0x7F800000)
        wrong += np.int64(exponent == np.uint32(0x7F800000))
    return wrong == 0


def all_finite(x: npt.ArrayLike) -> bool:
    """Tell whether no float32 number is NaN or infinite."""
    return bool(_finite(array("x", x, np.float32).reshape(-1)))
