"""Readable twin of tensor cores: fractions, one term after the other, from the published rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from accelsim_kernels import Arithmetic
from accelsim_kernels.formats import FORMATS

#: Fraction bits and least exponent of accumulators.
_ACCUMULATORS = {"fp32": (23, -126), "fp16": (10, -14)}
_NAN = {"fp32": 0x7FFFFFFF, "fp16": 0x7FFF}


@dataclass(frozen=True)
class Number:
    """``s * 2^e``; ``special`` is NaN or an infinity instead."""

    s: Fraction
    e: int
    special: float | None = None


def decode(code: int, name: str) -> Number:
    """Split a code."""
    fmt = FORMATS[name]
    if name == "tf32":
        code >>= 13
    width = fmt.exponent_bits + fmt.mantissa_bits
    magnitude, sign = code & (2**width - 1), -1 if fmt.signed and code >> width & 1 else 1
    field, fraction = magnitude >> fmt.mantissa_bits, magnitude & (2**fmt.mantissa_bits - 1)
    top = field == 2**fmt.exponent_bits - 1
    if fmt.specials == "ieee" and top:
        return Number(Fraction(0), 0, math.nan if fraction else sign * math.inf)
    if fmt.specials == "fn" and magnitude == 2**width - 1:
        return Number(Fraction(0), 0, math.nan)
    if fmt.exponent_bits == 8 and fmt.mantissa_bits == 0:
        return Number(Fraction(1), field - fmt.bias)
    step = Fraction(1, 2**fmt.mantissa_bits)
    s = fraction * step + (1 if field else 0)
    return Number(sign * s, max(field, 1) - fmt.bias)


def scale(code: int, name: str) -> Number:
    """Split a scale; the sign of UE4M3 does not count."""
    return decode(code & 127, "fp8_e4m3") if name == "ue4m3" else decode(code, name)


def _special(*given: Number) -> float | None:
    """Return the special value of a product, if it is one."""
    value, special = 1.0, False
    for x in given:
        special |= x.special is not None
        value *= x.special if x.special is not None else float(x.s)
    return value if special else None


def _times(*given: Number) -> Number:
    s = Fraction(1)
    for x in given:
        s *= x.s
    return Number(s, sum(x.e for x in given), _special(*given))


def _round(total: Fraction, made: Arithmetic) -> int:
    """Round a sum once, to bits; a zero is positive."""
    fraction, least = _ACCUMULATORS[made.spill]
    sign, magnitude = int(total < 0), abs(total)
    if magnitude == 0:
        return 0
    e = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    e -= Fraction(2) ** e > magnitude
    step = Fraction(2) ** (max(e, least) - made.kept_bits)
    steps = round(magnitude / step) if made.rounding == "nearest_even" else magnitude // step
    value = steps * step
    bias, width = 1 - least, fraction + (5 if made.spill == "fp16" else 8)
    if value >= Fraction(2) ** (bias + 1):
        code = (2 * bias + 1) << fraction
    else:
        code = int(value / Fraction(2) ** (least - fraction))
        if code >= 2 ** (fraction + 1):  # in units of subnormal numbers: make it exponent, fraction
            shift = code.bit_length() - fraction - 1
            code = (shift << fraction) + (code >> shift)
    return sign << width | code if code else 0


def _fused(terms: Sequence[Number], exponents: Sequence[int], made: Arithmetic) -> int:
    """Cut terms to their largest exponent, add them, round once."""
    specials = [x.special for x in terms if x.special is not None]
    if specials:
        total = sum(specials)
        fraction, least = _ACCUMULATORS[made.spill]
        infinite = (2 * (1 - least) + 1) << fraction
        width = fraction + (5 if made.spill == "fp16" else 8)
        return _NAN[made.spill] if math.isnan(total) else infinite | int(total < 0) << width
    top = max(exponents)
    grain = Fraction(2) ** (made.fraction_bits - top)
    whole = sum(math.trunc(x.s * Fraction(2) ** x.e * grain) for x in terms)
    return _round(whole / grain, made)


def dot(
    a: Sequence[int], b: Sequence[int], c: int, made: Arithmetic, formats: tuple[str, str, str],
    scales: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> int:  # fmt: skip
    """Return the bits of one element.

    Args:
        a, b: codes.
        c: bits that the sum begins with.
        made: the arithmetic.
        formats: of a, b and c.
        scales: codes of blocks.
    """
    kind = formats[2]
    for start in range(0, len(a), made.chunk):
        stop = min(start + made.chunk, len(a))
        before = decode(c, kind)
        terms, exponents = [], []
        for first in range(start, stop, made.group or 1):
            products = [
                _times(decode(a[k], formats[0]), decode(b[k], formats[1]))
                for k in range(first, min(first + (made.group or 1), stop))
            ]
            factors = [
                scale(side[first // made.block], made.scale) for side in scales if made.block
            ]
            whole = Number(sum((x.s * Fraction(2) ** x.e for x in products), Fraction(0)), 0)
            term = _times(whole if made.group else products[0], *factors)
            nothing = all(x.s == 0 for x in products) or any(x.s == 0 for x in factors)
            terms.append(term)
            exponents.append(made.zero_exponent if nothing else term.e)
        terms.append(before)
        exponents.append(made.zero_exponent if before.s == 0 else before.e)
        c, kind = _fused(terms, exponents, made), made.spill
    return c
