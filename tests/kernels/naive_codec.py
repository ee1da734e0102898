"""Codes by searching the numbers of a format, in fractions: twins of the codec and its users."""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction
from functools import cache

from accelsim_kernels.formats import NumberFormat, format_of

ONE = Fraction(1)


@cache
def grid(name: str) -> tuple[float, ...]:
    """Return the magnitudes of the codes 0, 1, 2 ... as if none of them were special; exact."""
    fmt = format_of(name)
    count, unit = 2 ** (fmt.bits - fmt.unused_bits), 2**fmt.mantissa_bits
    if not fmt.is_float:
        return tuple(code / unit for code in range(2 * count))
    found = []
    for code in range(2 * count):
        field, fraction = divmod(code, unit)
        if field == 0 and fmt.name != "e8m0":
            found.append(fraction / unit * 2.0 ** (1 - fmt.bias))
        else:
            found.append((1 + fraction / unit) * 2.0 ** (field - fmt.bias))
    return tuple(found)


def ends(fmt: NumberFormat) -> tuple[int, int | None, int | None]:
    """Return the codes of the largest number, of infinity and of one NaN, without a sign."""
    top = 2 ** (fmt.bits - fmt.unused_bits - (1 if fmt.signed else 0)) - 1
    if not fmt.is_float or fmt.specials == "none":
        return top, None, None
    if fmt.specials == "ieee":
        infinity = top + 1 - 2**fmt.mantissa_bits
        return infinity - 1, infinity, infinity + 2 ** (fmt.mantissa_bits - 1)
    if fmt.specials == "fn":
        return top - 1, None, top
    if fmt.specials == "fnuz":
        return top, None, top + 1
    last = top if fmt.signed else top - 1
    nan = top + 1 if fmt.signed else top
    return (last - 1, last, nan) if fmt.specials == "p3109_extended" else (last, None, nan)


def number(name: str, code: int) -> float:
    """Return the number of a code."""
    fmt = format_of(name)
    code >>= fmt.unused_bits
    sign_bit = 2 ** (fmt.bits - fmt.unused_bits - 1)
    if not fmt.is_float:
        value = code - 2 * sign_bit if fmt.signed and code >= sign_bit else code
        return float(value / 2**fmt.mantissa_bits)
    signed = fmt.signed and code >= sign_bit
    magnitude = code - sign_bit if signed else code
    largest, infinity, _ = ends(fmt)
    if signed and magnitude == 0 and fmt.specials not in ("none", "ieee", "fn"):
        return math.nan
    value = math.inf if magnitude == infinity else math.nan
    if magnitude <= largest:
        value = grid(name)[magnitude]
    return -value if signed and not fmt.sign_ignored else value


def goes_up(part: Fraction, odd: bool, rounding: str, below: bool, drawn: int, count: int) -> bool:
    """Tell whether a magnitude goes to the next one; ``part`` is how far it is on its way."""
    if rounding.startswith("stochastic"):
        scaled = part * 2**count
        whole, rest = divmod(scaled, 1)
        if rounding == "stochastic":
            whole += rest > ONE / 2 or (rest == ONE / 2 and whole % 2 == 1)
        elif rounding == "stochastic_odd":
            whole += rest > ONE / 2 or (rest == ONE / 2 and whole % 2 == 0)
        elif rounding == "stochastic_fast":
            return bool(part + (drawn + ONE / 2) / 2**count >= 1)
        return bool(whole + drawn >= 2**count)
    return {
        "nearest_even": part > ONE / 2 or (part == ONE / 2 and odd),
        "nearest_away": part >= ONE / 2,
        "toward_zero": False,
        "up": part > 0 and not below,
        "down": part > 0 and below,
    }[rounding]


def encode(  # noqa: C901 - the cases of the standard, one after the other
    x: float, name: str, rounding: str = "nearest_even", overflow: str = "saturate",
    drawn: int = 0, count: int = 0, flush: bool = False,
) -> int:  # fmt: skip
    """Return the code of a number; ``e8m0`` and formats without a codec left out."""
    fmt = format_of(name)
    largest, infinity, nan = ends(fmt)
    signed = fmt.signed and not fmt.sign_ignored
    sign_bit = 2 ** (fmt.bits - fmt.unused_bits - 1)
    below, mirrored = math.copysign(1, x) < 0, fmt.specials in ("none", "ieee", "fn")

    def stored(code: int) -> int:
        return code << fmt.unused_bits

    def placed(code: int) -> int:
        if not fmt.is_float:
            return -code % (2 * sign_bit) if below else code
        minus = below and signed and (code != 0 or mirrored)
        return stored(code | sign_bit if minus else code)

    if math.isnan(x):
        if nan is None:
            return largest if fmt.is_float else sign_bit if signed else 0
        return stored(nan | sign_bit if below and signed and mirrored else nan)
    if below and not signed:
        largest = -1
    elif below and not fmt.is_float:
        largest = sign_bit
    code = len(grid(name))
    if math.isfinite(x):
        magnitude = abs(x)
        if flush and fmt.is_float and magnitude < 2.0**fmt.least_exponent:
            return placed(0)
        lower = bisect_right(grid(name), magnitude) - 1
        if lower + 1 < len(grid(name)):
            start, end = (Fraction(edge) for edge in grid(name)[lower : lower + 2])
            part = (Fraction(magnitude) - start) / (end - start)
            code = lower + goes_up(part, lower % 2 == 1, rounding, below, drawn, count)
    if code == 0 or code <= largest:
        return placed(code)
    if below and not signed:
        return 0 if nan is None else stored(nan)
    cut = math.isfinite(x) and (
        rounding == "toward_zero" or (rounding == "down" and not below)
        or (rounding == "up" and below)
    )  # fmt: skip
    if overflow == "saturate" or cut:
        return placed(largest)
    if infinity is not None:
        return placed(infinity)
    return stored(nan | sign_bit if below and signed and mirrored else nan) if nan else 0
