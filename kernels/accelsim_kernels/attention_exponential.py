"""Exponentials of attention, as hardware builds them, and the logarithm of a merge.

Loops over binary32 exponents, in place. Powers of two take exponents of base 2.

- ``exp``: e^x in binary64, rounded to binary32.
- ``exp2``: the same of ``x ln 2``.
- ``exp2_cubic``: ``2^floor(x)`` times a cubic of the rest, by fused multiply-adds in binary32; the
  whole part is added to the exponent's bits. Exponents below -127 count as -127. Coefficients:
  FlashAttention-4, ``fpminimax`` of Sollya for a relative error on [0, 1].
- ``exp2_table``: 2^f in fixed point of 15 fraction bits: f, cut to 16 bits, has 6 that choose one
  of 64 steps of a table and 10 that interpolate linearly, the product cut. Below 2^-126: zero.
- ``exp2_fp16``: exponent rounded to binary16, power rounded to binary16, ties to even.

NaN stays NaN in all of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.functions import exp64
from accelsim_kernels.fused import bits_of, divide64, float_of, fma32
from accelsim_kernels.jit import part

Float32 = npt.NDArray[np.float32]

_LN2, _ROOT2 = 0.6931471805599453, 1.4142135623730951
_CUBIC = tuple(
    np.float32(c)
    for c in (
        1.0, 0.695146143436431884765625, 0.227564394474029541015625, 0.077119089663028717041015625,
    )
)  # fmt: skip
_P0, _P1, _P2, _P3 = _CUBIC
#: Bits that choose a step of the table, bits that interpolate, fraction bits of its entries.
STEP_BITS, REST_BITS, ENTRY_BITS = 6, 10, 15
_STEPS = 1 << STEP_BITS
_TABLE = np.array(
    [round(2.0 ** (i / _STEPS) * (1 << ENTRY_BITS)) for i in range(_STEPS + 1)], np.int32
)
_NAN = np.float32(np.nan)


@part
def _cubic(x: np.float32) -> np.float32:
    bounded = x if x > np.float32(-127) else np.float32(-127)
    bounded = bounded if bounded < np.float32(127) else np.float32(127)
    whole = np.floor(bounded)
    rest = bounded - whole
    power = fma32(fma32(fma32(_P3, rest, _P2), rest, _P1), rest, _P0)
    made = float_of(np.uint32(np.int32(bits_of(power)) + (np.int32(whole) << np.int32(23))))
    return made if x == x else _NAN


@part
def _looked_up(x: np.float32) -> np.float32:
    bounded = x if x > np.float32(-127) else np.float32(-127)
    bounded = bounded if bounded < np.float32(127) else np.float32(127)
    whole = np.floor(bounded)
    # A rest so near to one that binary32 rounds it there is the last step's end.
    rest = np.int32((bounded - whole) * np.float32(1 << (STEP_BITS + REST_BITS)))
    place = min(rest >> np.int32(REST_BITS), np.int32(_STEPS - 1))
    part = rest - (place << np.int32(REST_BITS))
    left, right = _TABLE[place], _TABLE[place + 1]
    entry = left + (((right - left) * part) >> np.int32(REST_BITS))
    scale = float_of(np.uint32((np.int32(whole) + np.int32(127)) << np.int32(23)))
    made = np.float32(entry) * np.float32(2.0**-ENTRY_BITS) * scale
    return made if x == x else _NAN


@part
def half(x: np.float32) -> np.float32:
    """Round to binary16, as ``rounding.to_fp16`` does, without a branch: loops become vectors."""
    bits = bits_of(x)
    sign, magnitude = bits & np.uint32(0x80000000), bits & np.uint32(0x7FFFFFFF)
    odd = (magnitude >> np.uint32(13)) & np.uint32(1)
    normal = float_of((magnitude + np.uint32(0xFFF) + odd) & np.uint32(0xFFFFE000))
    small = np.float32(np.rint(float_of(magnitude) * np.float32(2.0**24))) * np.float32(2.0**-24)
    made = small if magnitude < np.uint32(0x38800000) else normal
    made = np.float32(np.inf) if magnitude >= np.uint32(0x477FF000) else made
    signed = float_of(bits_of(made) | sign)
    return signed if x == x else x


@part
def power_all(x: Float32, kind: int) -> None:
    """Replace exponents by powers; ``kind`` counts ``EXPONENTIALS``.

    One loop per kind: a branch inside would stop vectors.
    """
    if kind == 0:
        for j in range(x.size):
            x[j] = np.float32(exp64(np.float64(x[j])))
    elif kind == 1:
        for j in range(x.size):
            x[j] = np.float32(exp64(np.float64(x[j]) * _LN2))
    elif kind == 2:
        for j in range(x.size):
            x[j] = _cubic(x[j])
    elif kind == 3:
        for j in range(x.size):
            x[j] = _looked_up(x[j])
    else:
        for j in range(x.size):
            x[j] = half(np.float32(exp64(np.float64(half(x[j])) * _LN2)))


@part
def log64(x: np.float32) -> float:
    """Return ln x in binary64 of a normal binary32 number above zero, infinity or NaN.

    ``x = 2^n m`` with m between the roots of 1/2 and of 2, and the series of
    ``ln m = 2 artanh((m - 1) / (m + 1))`` up to the 21st power: what is left out is below 2^-55.
    """
    bits = np.int32(bits_of(x))
    n = (bits >> np.int32(23)) - np.int32(127)
    m = np.float64(float_of(np.uint32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000))))
    if m > _ROOT2:
        m, n = m * 0.5, n + np.int32(1)
    z = divide64(m - 1.0, m + 1.0)
    square, total = z * z, 0.0
    for odd in range(21, 0, -2):
        total = total * square + divide64(1.0, np.float64(odd))
    return 2.0 * z * total + np.float64(n) * _LN2 if x - x == x - x else np.float64(x)
