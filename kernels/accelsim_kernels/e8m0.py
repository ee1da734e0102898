"""Codes of E8M0, which holds the powers of two from 2^-127 to 2^127 and NaN (OCP MX 1.0, 5.4.1).

The standard leaves open what becomes of zero, of numbers below zero and of those below 2^-127, and
libraries differ. Their readings are rows of a table here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

NAN, LARGEST, BIAS = 255, 254, 127


@dataclass(frozen=True, slots=True)
class Reading:
    """What becomes of numbers that E8M0 does not hold.

    Attributes:
        below: of numbers below zero: ``nan``, ``magnitude`` (the sign is not looked at) or
            ``gfloat`` (what its arithmetic on unsigned formats gives).
        zero: the code of zero.
        wraps: codes of what is below 2^-127 are taken modulo 256, not 0.
        field: below 2^-126 the exponent field of binary32 is rounded as it stands, where 2^-127 is
            halfway from 0 to 1.
    """

    below: str
    zero: int
    wraps: bool = False
    field: bool = False


READINGS = {
    "": Reading("nan", 0),
    "ml_dtypes": Reading("nan", NAN, field=True),
    "torch": Reading("magnitude", 0, field=True),
    "gfloat": Reading("gfloat", 0, wraps=True),
}


def _goes_up(part: Float64, odd: Bools, tie: str, drawn: Any, count: int) -> Bools:
    """Tell which numbers ``1 + part`` go to the next power of two."""
    scaled = part * 2.0**count
    whole = np.floor(scaled)
    rest = scaled - whole
    # The last place before the random bits are added; without them, the last place of the code.
    last_odd = (whole % 2 == 1) if count else odd
    if tie == "truncate":
        up = np.zeros_like(odd)
    elif tie == "nearest_away":
        up = rest >= 0.5
    else:
        up = (rest > 0.5) | ((rest == 0.5) & (last_odd == (tie == "nearest_even")))
    return np.asarray(whole + up + drawn >= 2.0**count)


def encode_e8m0(
    x: Float64, tie: str, up: bool, saturate: bool, drawn: Any, count: int, reading: str
) -> UInt8:
    """Return the codes of numbers.

    Args:
        x: the numbers.
        tie: ``nearest_even`` (of codes), ``nearest_odd``, ``nearest_away`` or ``truncate``.
        up: every number that is no power of two goes to the next one.
        saturate: what is too large becomes 2^127, infinity included; else NaN.
        drawn: random whole numbers below ``2^count``, or 0.
        count: how many random bits there are.
        reading: one of ``READINGS``.
    """
    facts = READINGS[reading]
    usual = np.isfinite(x) & (x != 0)
    fraction, exponent = np.frexp(np.where(usual, np.abs(x), 1.0))
    part, power = 2.0 * fraction - 1.0, exponent.astype(np.int64) - 1 + BIAS
    odd = power % 2 == 1
    floored = usual & (x < 0) & (part > 0) & (facts.below == "gfloat")
    # Floored, -1.5 is -2 and a half: the code lies one higher, and going up means coming back.
    part = np.where(floored, 1.0 - part, part)
    away = (part > 0) & (up | _goes_up(part, odd, tie, drawn, count))
    found = power + np.where(floored, 1 - away, away)
    cut = np.isfinite(x) & (tie == "truncate" and not up and count == 0)
    too_large = np.isinf(x) | (found > LARGEST)
    found = np.where(too_large, np.where(saturate | cut, LARGEST, NAN), found)
    if facts.field:
        found = np.where(np.abs(x) < 2.0**-126, np.abs(x) > 2.0**-127, found)
    found = found & 0xFF if facts.wraps else np.maximum(found, 0)
    found = np.where(x == 0, facts.zero, found)
    below = x < 0
    if facts.below == "nan":
        found = np.where(below, NAN, found)
    elif facts.below == "gfloat":
        odd_codes = np.where(np.isinf(x), 126, 0xFE | ((power + floored - away) & 1))
        found = np.where(below, odd_codes, found)
    return np.where(np.isnan(x), NAN, found).astype(np.uint8)
