"""Roundings and overflows, and what a lane is told to follow them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.formats import NumberFormat, format_of
from accelsim_kernels.lanes import RULE

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rounding:
    """How the last place is found.

    Attributes:
        tie: ``nearest_even``, ``nearest_odd``, ``nearest_away`` or ``truncate``.
        random: whether random bits are added behind it.
        up: numbers above zero go away from zero.
        down: numbers below zero do.
    """

    tie: str
    random: bool = False
    up: bool = False
    down: bool = False


#: Every rounding: IEEE 754-2019, 4.3, and the stochastic ones of gfloat 0.5.
ROUNDINGS = {
    "nearest_even": Rounding("nearest_even"),
    "nearest_away": Rounding("nearest_away"),
    "toward_zero": Rounding("truncate"),
    "up": Rounding("truncate", up=True),
    "down": Rounding("truncate", down=True),
    "stochastic": Rounding("nearest_even", random=True),
    "stochastic_odd": Rounding("nearest_odd", random=True),
    "stochastic_fast": Rounding("nearest_away", random=True),
    "stochastic_fastest": Rounding("truncate", random=True),
}
OVERFLOWS = ("saturate", "overflow")


def word_of(bits: int) -> Any:
    """Return the unsigned type that stores codes of a width, one to an element."""
    return next(
        word for word in (np.uint8, np.uint16, np.uint32, np.uint64) if bits <= np.iinfo(word).bits
    )


def _specials(fmt: NumberFormat, overflow: str, missing: int | None, cut: tuple[bool, bool]) -> Any:
    """Return the codes above and below zero of: too large, infinite, NaN.

    Args:
        fmt: the format.
        overflow: one of ``OVERFLOWS``.
        missing: the code of what the format does not have.
        cut: whether finite numbers above and below zero never reach what is too large
            (IEEE 754-2019, 7.4).
    """
    sign = 1 << (fmt.bits - fmt.unused_bits - 1)
    signed, ends = fmt.signed and not fmt.sign_ignored, fmt.specials in ("none", "ieee", "fn")
    whole = not fmt.is_float
    largest = (fmt.largest_code, sign if whole else fmt.largest_code | sign)
    if fmt.largest_code == 0 and not fmt.has_minus_zero:
        largest = (0, 0)
    # NaN of a format without one: the largest number (PTX ISA 8.7, cvt), of integers the least.
    nan = fmt.nan_code
    if nan is None:
        nan = (sign if signed else 0) if whole else fmt.largest_code
        nan = nan if missing is None else missing
        nans = (nan, nan)
    else:
        nans = (nan, nan | sign if signed and ends else nan)
    if not signed:
        # What lies below zero is cut to zero, or is NaN.
        largest = (fmt.largest_code, 0 if fmt.nan_code is None else nan)
    if overflow == "saturate":
        return largest, largest, nans
    if fmt.infinity_code is not None:
        endless = (fmt.infinity_code, fmt.infinity_code | sign if signed else nan)
    else:
        endless = nans if fmt.nan_code is not None else (missing or 0, missing or 0)
    over = tuple(
        big if stays else end for big, end, stays in zip(largest, endless, cut, strict=True)
    )
    return over, endless, nans


@cache
def rule_of(
    name: str,
    rounding: str,
    overflow: str,
    count: int,
    flush: bool,
    missing: int | None,
    wide: bool,
) -> Array:
    """Return what a lane is told, in the order of ``RULE``.

    Args:
        name: of the format.
        rounding: one of ``ROUNDINGS``.
        overflow: one of ``OVERFLOWS``.
        count: how many random bits there are.
        flush: whether subnormal numbers become zero.
        missing: the code of what the format does not have; None: see ``encode``.
        wide: whether numbers are binary64, not binary32.
    """
    fmt, how = format_of(name), ROUNDINGS[rounding]
    word, bias = (np.uint64, 1023) if wide else (np.uint32, 127)
    ones = int(np.iinfo(word).max)
    signed = fmt.signed and not fmt.sign_ignored
    # A whole number is a subnormal one of a format with as many places.
    fraction = fmt.mantissa_bits if fmt.is_float else fmt.magnitude_bits
    least = fmt.least_exponent if fmt.is_float else fraction - fmt.mantissa_bits
    sign = 1 << (fmt.bits - fmt.unused_bits - 1)
    by_place = how.tie in ("nearest_even", "nearest_odd")
    truncates = how.tie == "truncate" and not how.random
    cut = (truncates and not how.up, truncates and not how.down)
    over, endless, nans = _specials(fmt, overflow, missing, cut)
    facts = {
        "fraction": fraction, "lowest": least + bias, "noise_bits": count,
        "nearest": 0 if how.tie == "truncate" else ones,
        "minus": by_place, "even": by_place,
        "flip": how.tie == "nearest_odd",
        "away_above": ones if how.up else 0, "away_below": ones if how.down else 0,
        # Without a fraction, the last place of a code is the last one of its exponent.
        "code_parity": fraction == 0 and count == 0,
        "subnormals": 0 if flush and fmt.is_float else ones,
        "largest_above": fmt.largest_code,
        "largest_below": sign if signed and not fmt.is_float else fmt.largest_code * signed,
        "over_above": over[0], "over_below": over[1], "infinity_above": endless[0],
        "infinity_below": endless[1], "nan_above": nans[0], "nan_below": nans[1],
        "sign": sign if signed and fmt.is_float else 0,
        "zero_sign": sign if fmt.has_minus_zero else 0,
        "inverted": 0 if fmt.is_float else ones, "carry": not fmt.is_float,
        "mask": ones if fmt.is_float else 2 * sign - 1,
    }  # fmt: skip
    return np.array([int(facts[name]) for name in RULE], word)
