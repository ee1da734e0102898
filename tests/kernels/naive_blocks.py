"""Block formats in fractions, by the text of the standard."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from accelsim_kernels.blocks import BLOCK_FORMATS
from accelsim_kernels.formats import format_of
from tests.kernels import naive_codec

TWO = Fraction(2)


def floor_log2(value: Fraction) -> int:
    """Return the exponent of the largest power of two that is not above a positive number."""
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if TWO**guess <= value else guess - 1


def largest(name: str) -> Fraction:
    return Fraction(naive_codec.grid(name)[naive_codec.ends(format_of(name))[0]])


def power(magnitude: float, element: str, rule: str) -> int:
    """Return the exponent of a block's scale, not yet kept in range."""
    value, most = Fraction(magnitude), largest(element)
    if rule == "rceil":
        value = Fraction(float(np.float32(magnitude) / np.float32(float(most))))
        if value == 0:
            return -127
    exponent = floor_log2(value)
    if rule == "rceil":
        return exponent + (value > TWO**exponent)
    emax = floor_log2(most)
    if rule == "ceil":
        return exponent + (value > TWO**exponent) - emax
    if rule == "even":
        step = TWO ** (exponent - format_of(element).mantissa_bits)
        value = (value / step + Fraction(1, 2)).__floor__() * step
        exponent = floor_log2(value)
    return exponent - emax


def quantize(
    row: list[float], format: str, rule: str, rounding: str, tensor: float
) -> tuple[list[int], int]:
    """Return the codes and the scale of one block of finite numbers."""
    fmt = BLOCK_FORMATS[format]
    magnitude = max(abs(value) for value in row)
    if fmt.scale == "e8m0":
        exponent = -127 if magnitude == 0 else power(magnitude, fmt.element, rule)
        scale = min(max(exponent, -127), 127) + 127
        factor = np.float32(2.0 ** (127 - scale))
    else:
        wanted = np.float32(magnitude) / np.float32(6) / np.float32(tensor)
        wanted = min(max(wanted, np.float32(2.0**-6)), np.float32(448))
        scale = naive_codec.encode(float(wanted), "fp8_e4m3")
        step = np.float32(naive_codec.number("fp8_e4m3", scale))
        factor = np.float32(1) / np.float32(tensor) / step
    scaled = [float(np.float32(value) * factor) for value in row]
    codes = [naive_codec.encode(value, fmt.element, rounding) for value in scaled]
    return codes, scale


def microxcaling(
    row: list[float], bits: int, least: int, most: float, rounding: str
) -> list[float]:
    """Return numbers in a format by the library's own steps, in binary32."""
    found = []
    for value in row:
        x = np.abs(np.float32(value))
        exponent = 0
        if least > -1000:
            exponent = max(math.floor(np.float32(math.log2(x))) if x else 0, least)
        count = np.float32(Fraction(float(x)) / TWO**exponent * TWO**bits)
        whole = np.floor(count + np.float32(0.0 if rounding == "floor" else 0.5))
        if rounding == "even" and count - np.float32(0.5) >= 0:
            whole -= math.fmod(count - np.float32(0.5), 2) == 0
        size = min(float(Fraction(float(whole)) / TWO**bits * TWO**exponent), most)
        found.append(math.copysign(size, value) if x else 0.0)
    return found
