"""Readable twins of what binary64 cannot be trusted with: more digits, one rounding at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

from tests.kernels.naive import round_fraction, rounded

Rows = Sequence[Sequence[float]]

#: Digits that are kept: the series below cancels up to 45 of them at -14.
_DIGITS = 110
_PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899863"
)


def _erfc(z: Decimal) -> Decimal:
    """One minus the error function, by its series in powers of z (Abramowitz, Stegun, 7.1.5)."""
    term, total, n = z, Decimal(0), 0
    while abs(term) > Decimal(10) ** -(_DIGITS - 15):
        total += term / (2 * n + 1)
        n += 1
        term = -term * z * z / n
    return 1 - 2 * total / _PI.sqrt()


def erfc(z: float) -> Fraction:
    """One minus the error function."""
    with localcontext() as context:
        context.prec = _DIGITS
        return Fraction(_erfc(Decimal(z)))


def scaled_erfc(z: float) -> Fraction:
    """``e^(z^2) erfc z``."""
    with localcontext() as context:
        context.prec = _DIGITS
        return Fraction(_erfc(Decimal(z)) * (Decimal(z) * Decimal(z)).exp())


def normal(x: float) -> Fraction:
    """The standard normal distribution."""
    with localcontext() as context:
        context.prec = _DIGITS
        return Fraction(_erfc(-Decimal(x) / Decimal(2).sqrt()) / 2)


def gelu(x: float, fmt: str) -> float:
    """x times the standard normal distribution, rounded to binary32 and then to a format."""
    if x == 0.0 or not math.isfinite(x):
        return x if x != -math.inf else math.nan
    if x > 14.0:  # what is missing to 1 is beyond binary32
        return rounded(x, fmt)
    if x < -15.0:  # below half of the smallest subnormal number
        return -0.0
    return rounded(round_fraction(Fraction(x) * normal(x), "fp32"), fmt)


def matmul_fp64(a: Rows, b: Rows) -> list[list[float]]:
    """Chains of fused multiply-adds in binary64, to which Python rounds a fraction."""
    found = []
    for x in a:
        row = []
        for y in b:
            total = 0.0
            for p, q in zip(x, y, strict=True):
                exact = Fraction(p) * Fraction(q) + Fraction(total)
                # Zero is +0 here but for -0 + -0, which a chain from +0 on never has.
                total = float(exact) if exact else p * q + total
            row.append(total)
        found.append(row)
    return found
