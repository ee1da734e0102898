"""Quantizers that stay in binary32, as the microxcaling library computes them (7bc41952).

They differ from the standard in what binary32 does to them: logarithms are rounded, so that numbers
next to a power of two may count with the exponent above; half is added before the floor; integers
are signed magnitudes; infinity stays infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix
from accelsim_kernels.codec import numbers_of
from accelsim_kernels.formats import format_of
from accelsim_kernels.fused import bits_of, double_of, float_of
from accelsim_kernels.jit import inner, leaf
from accelsim_kernels.lanes import choose

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]

#: How a magnitude, counted in steps of the format, becomes whole: what is added before the floor,
#: and whether ties go to even.
ROUNDINGS = {"nearest": (0.5, False), "floor": (0.0, False), "even": (0.5, True)}
_WHOLE = ("int8", "int4", "int2")
#: Formats of elements.
ELEMENTS = (
    *_WHOLE, "fp8_e4m3", "fp8_e5m2", "fp6_e3m2", "fp6_e2m3", "fp4_e2m1", "fp16", "bf16",
)  # fmt: skip
_INFINITY = np.uint32(0x7F800000)


@dataclass(frozen=True, slots=True)
class _Element:
    """What the library knows of a format.

    Attributes:
        fraction: places behind the leading one.
        least: exponent of the smallest normal number; of integers, of all numbers.
        exponent: of the largest number, as scales are shifted by it.
        largest: the largest number.
        whole: whether all numbers share one exponent.
    """

    fraction: int
    least: int
    exponent: int
    largest: float
    whole: bool


@cache
def _element(name: str) -> _Element:
    if name not in ELEMENTS:
        raise ValueError(f"format is {name!r}; {', '.join(ELEMENTS)} are allowed")
    fmt = format_of(name)
    if name in _WHOLE:
        fraction = fmt.bits - 2
        return _Element(fraction, 0, 0, 2.0 - 2.0**-fraction, True)
    largest = float(numbers_of(name)[fmt.largest_code])
    return _Element(fmt.mantissa_bits, fmt.least_exponent, fmt.largest_exponent, largest, False)


@cache
def _exponents() -> Array:
    """Return the smallest fraction whose binary32 logarithm is the next whole one, by exponent."""
    steps = np.arange(1, 129, dtype=np.uint32)
    bits = (np.arange(1, 256, dtype=np.uint32) << 23)[:, None] - steps
    logarithm = np.log2(bits.view(np.float32).astype(np.float64)).astype(np.float32)
    reached = (logarithm >= np.arange(-126, 129, dtype=np.float32)[:, None]).sum(axis=1)
    found = np.full(256, 1 << 23, np.int32)
    found[:255] -= reached.astype(np.int32)
    return found


@inner
def _exponent(magnitude: np.uint32, reached: Array) -> np.int32:
    """Return ``floor(log2(x))`` of the bits of a normal number, as binary32 has it."""
    field = np.int32(magnitude >> np.uint32(23))
    fraction = np.int32(magnitude & np.uint32(0x7FFFFF))
    return np.int32(field - 127 + np.int32(fraction >= reached[field]))


@inner
def _rounded(x: np.float32, reached: Array, facts: Any) -> np.float32:
    """Return one number in the element's format."""
    fraction, least, shared, floats, smallest, even = facts
    most, endless, half = floats
    bits = bits_of(x)
    magnitude = np.uint32(bits & np.uint32(0x7FFFFFFF))
    exponent = np.int32(max(_exponent(magnitude, reached), least))
    exponent = choose(shared, np.int32(0), exponent)
    # Powers of two in binary64, where no step leaves its range.
    steps = np.float64(float_of(magnitude)) * double_of(np.int64(1023 + fraction - exponent) << 52)
    count = np.float32(steps)
    whole = np.floor(np.float32(count + half))
    beyond = np.float32(count - np.float32(0.5))
    tie = np.floor(beyond * np.float32(0.5)) * np.float32(2) == beyond
    tie = even & tie & (beyond >= np.float32(0))
    whole = choose(tie, np.float32(whole - np.float32(1)), whole)
    found = np.float32(np.float64(whole) * double_of(np.int64(1023 - fraction + exponent) << 52))
    found = choose(found > most, endless, found)
    # An exponent of 128, to which a logarithm may be rounded, is a power that binary32 lacks.
    found = choose(exponent > np.int32(127), np.float32(np.nan), found)
    found = choose(magnitude < smallest, np.float32(0), found)
    # The sign of a zero is not looked at, that of what becomes zero is.
    signless = magnitude < max(smallest, np.uint32(1))
    sign = choose(signless, np.uint32(0), np.uint32(bits & np.uint32(0x80000000)))
    found = float_of(np.uint32(bits_of(found) | sign))
    return choose(magnitude >= _INFINITY, x, found)


@leaf
def _round_elements(x: Array, whole: Array, floats: Array, reached: Array, out: Array) -> None:
    facts = (
        np.int32(whole[0]), np.int32(whole[1]), whole[2] != 0, (floats[0], floats[1], floats[2]),
        np.uint32(whole[3]), whole[4] != 0,
    )  # fmt: skip
    for i in range(x.size):
        out[i] = _rounded(x[i], reached, facts)


@inner
def _power(exponent: np.int32) -> np.float32:
    """Return a power of two from 2^-127 on."""
    if exponent == -127:
        return float_of(np.uint32(1 << 22))
    return float_of(np.uint32(exponent + 127) << np.uint32(23))


@leaf
def _round_blocks(
    x: Array, block: int, whole: Array, floats: Array, reached: Array, out: Array
) -> None:
    facts = (
        np.int32(whole[0]), np.int32(whole[1]), whole[2] != 0, (floats[0], floats[1], floats[2]),
        np.uint32(whole[3]), whole[4] != 0,
    )  # fmt: skip
    offset, limit, flush = np.int32(whole[5]), np.int32(whole[6]), whole[7] != 0
    for row in range(x.shape[0]):
        for first in range(0, x.shape[1], block):
            last = min(first + block, x.shape[1])
            largest = np.uint32(0)
            for i in range(first, last):
                magnitude = np.uint32(bits_of(x[row, i]) & np.uint32(0x7FFFFFFF))
                largest = choose(magnitude > largest, magnitude, largest)
            exponent = np.int32(_exponent(largest, reached) - offset)
            if largest >= _INFINITY or exponent > limit:
                out[row, first:last] = np.float32(np.nan)
                continue
            if flush and _exponent(largest, reached) <= -127 and largest > 0:
                out[row, first:last] = np.float32(0)
                continue
            exponent = np.int32(max(exponent, -limit))
            factor, scale = _power(np.int32(-exponent)), _power(exponent)
            for i in range(first, last):
                scaled = np.float32(x[row, i] * factor)
                out[row, i] = np.float32(_rounded(scaled, reached, facts) * scale)


def _facts(
    name: str, rounding: str, saturate: bool, subnormals: bool, more: tuple[int, int, bool]
) -> tuple[Array, Float32]:
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding is {rounding!r}; {', '.join(ROUNDINGS)} are allowed")
    element, (half, even) = _element(name), ROUNDINGS[rounding]
    smallest = 0 if subnormals or element.whole else (element.least + 127) << 23
    whole = (element.fraction, element.least, element.whole, smallest, even, *more)
    endless = element.largest if saturate or element.whole else np.inf
    return np.array([int(fact) for fact in whole]), np.array(
        [element.largest, endless, half], np.float32
    )


def quantize_elementwise(
    x: npt.ArrayLike,
    format: str,
    rounding: str = "nearest",
    *,
    saturate: bool = False,
    subnormals: bool = True,
) -> Float32:
    """Return float32 numbers in a format, as ``_quantize_elemwise`` does.

    NaN and infinity stay.

    Args:
        x: float32, of any shape.
        format: one of ``ELEMENTS``; integers have one place before the binary point.
        rounding: ``nearest`` (ties away from zero), ``floor`` (toward zero) or ``even``.
        saturate: whether finite numbers that are too large become the largest one, not infinity;
            those of integers always do.
        subnormals: whether what is below the smallest normal number is kept; else it is 0.

    Raises:
        ValueError: another type or name.
    """
    given = array("x", x, np.float32)
    facts = _facts(format, rounding, saturate, subnormals, (0, 0, False))
    out = np.empty(given.shape, np.float32)
    _round_elements(given.reshape(-1), *facts, _exponents(), out.reshape(-1))
    return out


def quantize_mx(
    x: npt.ArrayLike,
    format: str,
    rounding: str = "nearest",
    *,
    block: int = 32,
    scale_bits: int = 8,
    flush: bool = False,
) -> Float32:
    """Return float32 rows in a block format, as ``_quantize_mx`` does along the last axis.

    A block that holds NaN or infinity becomes NaN, and one whose scale is too large.

    Args:
        x: float32 ``[rows, k]``; the last block of a row may be shorter.
        format: of the elements: one of ``ELEMENTS``.
        rounding: ``nearest`` (ties away from zero), ``floor`` (toward zero) or ``even``.
        block: elements that share a scale.
        scale_bits: of the exponent that they share, 2 to 8.
        flush: whether blocks of subnormal binary32 numbers alone become 0.

    Raises:
        ValueError: another type, shape, name, block or width.
    """
    rows = matrix("x", x, np.float32)
    if block < 1:
        raise ValueError(f"block is {block}; a positive number is needed")
    if not 2 <= scale_bits <= 8:
        raise ValueError(f"scale_bits is {scale_bits}; 2 to 8 are allowed")
    more = (_element(format).exponent, 2 ** (scale_bits - 1) - 1, flush)
    facts = _facts(format, rounding, True, True, more)
    out = np.empty(rows.shape, np.float32)
    _round_blocks(rows, block, *facts, _exponents(), out)
    return out
