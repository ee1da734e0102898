"""Codes of numbers and numbers of codes, for every format of ``format_of``."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array
from accelsim_kernels.codec_rules import OVERFLOWS, ROUNDINGS, rule_of, word_of
from accelsim_kernels.e8m0 import encode_e8m0
from accelsim_kernels.formats import NumberFormat, format_of
from accelsim_kernels.jit import leaf, rows_in_threads
from accelsim_kernels.lanes import facts_of, lane32, lane64

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


#: Numbers that are worth a thread.
_THREAD = 1 << 18
#: Most random bits.
MOST_BITS = 32


@leaf
def encode32(bits: Array, rule: Array, codes: Array) -> None:
    """Write the codes of the bits of binary32 numbers, by a rule of ``rule_of``."""
    facts = facts_of(rule)
    for i in range(bits.size):
        codes[i] = lane32(bits[i], np.uint32(0), facts)


@leaf
def _encode32_random(bits: Array, noise: Array, rule: Array, codes: Array) -> None:
    facts = facts_of(rule)
    for i in range(bits.size):
        codes[i] = lane32(bits[i], np.uint32(noise[i]), facts)


@leaf
def _encode64(bits: Array, rule: Array, codes: Array) -> None:
    facts = facts_of(rule)
    for i in range(bits.size):
        codes[i] = lane64(bits[i], np.uint64(0), facts)


@leaf
def _encode64_random(bits: Array, noise: Array, rule: Array, codes: Array) -> None:
    facts = facts_of(rule)
    for i in range(bits.size):
        codes[i] = lane64(bits[i], np.uint64(noise[i]), facts)


def encode(
    x: npt.ArrayLike,
    format: str,
    rounding: str = "nearest_even",
    overflow: str = "saturate",
    *,
    bits: npt.ArrayLike | None = None,
    bit_count: int = 0,
    flush: bool = False,
    missing: int | None = None,
) -> Array:
    """Return the codes of numbers, each rounded once.

    NaN becomes the canonical NaN with its sign; where there is none, the largest number, and of
    integers the least one. What lies below zero is NaN in unsigned floats, 0 in unsigned integers.
    Where there is no minus zero, -0 is 0.

    Args:
        x: float32 or float64, of any shape.
        format: of the codes: any of ``format_of`` but ``int64`` and ``bool``.
        rounding: one of ``ROUNDINGS``.
        overflow: ``saturate``: what is too large, infinity included, becomes the largest number.
            ``overflow``: it becomes infinity, NaN where there is none (IEEE 754-2019, 7.4:
            rounded toward zero, finite numbers stay finite).
        bits: unsigned random bits below ``2^bit_count``, one for each number.
        bit_count: how many bits a rounding draws.
        flush: whether what is below the smallest normal number before rounding becomes zero.
        missing: the code of what overflows, and of NaN, in formats without infinity and NaN.

    Returns:
        Unsigned codes in the shape of ``x``: uint8 up to 8 bits, else uint16, uint32, uint64.

    Raises:
        ValueError: another type or name; random bits that are absent, too many or too large;
            overflow in a format without infinity and NaN, and no code for it.
    """
    fmt = codable(format)
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding is {rounding!r}; {', '.join(ROUNDINGS)} are allowed")
    if overflow not in OVERFLOWS:
        raise ValueError(f"overflow is {overflow!r}; {', '.join(OVERFLOWS)} are allowed")
    if overflow == "overflow" and fmt.nan_code is None and missing is None:
        raise ValueError(f"overflow is 'overflow', but {format} has neither infinity nor NaN")
    if missing is not None and not 0 <= missing < 1 << fmt.bits:
        raise ValueError(f"missing is {missing}, no code of {format}")
    given = np.asarray(x)
    if given.dtype not in (np.float32, np.float64):
        raise ValueError(f"x is {given.dtype}, float32 or float64 is needed")
    single = given.dtype == np.float32
    numbers = array("x", given, given.dtype)
    noise = _noise(numbers, ROUNDINGS[rounding].random, bits, bit_count)
    if not fmt.has_zero:
        how = ROUNDINGS[rounding]
        drawn = np.int64(0) if noise is None else noise.astype(np.int64)
        return encode_e8m0(
            _wide(numbers), how.tie, how.up, overflow == "saturate", drawn, bit_count, ""
        )
    single = single and _fits_word(fmt, bit_count)
    if not single:
        numbers = _wide(numbers)
    rule = rule_of(format, rounding, overflow, bit_count, flush, missing, not single)
    codes = np.empty(numbers.shape, word_of(fmt.bits))
    _run(numbers.reshape(-1), noise, rule, codes.reshape(-1))
    return np.left_shift(codes, fmt.unused_bits, out=codes) if fmt.unused_bits else codes


def _wide(numbers: Array) -> Float64:
    with np.errstate(invalid="ignore"):  # a signalling NaN is turned into a quiet one
        return numbers.astype(np.float64, copy=False)


def codable(format: str) -> NumberFormat:
    """Return a format that has a codec.

    Raises:
        ValueError: none of ``format_of``, or ``int64`` or ``bool``.
    """
    fmt = format_of(format)
    if format in ("int64", "bool"):
        raise ValueError(f"format is {format!r}, which has no codec: its codes are its numbers")
    return fmt


def _fits_word(fmt: NumberFormat, count: int) -> bool:
    """Tell whether binary32 numbers need no more than 32 bits on the way."""
    fraction = fmt.mantissa_bits if fmt.is_float else fmt.magnitude_bits
    return fmt.least_exponent >= -126 and fraction + count < 30


def _noise(x: Array, random: bool, bits: npt.ArrayLike | None, count: int) -> Array | None:
    """Return checked random bits in one row; None: none are needed."""
    if not random:
        if bits is not None or count:
            raise ValueError("bits are given, but the rounding draws none")
        return None
    if bits is None or not 0 < count <= MOST_BITS:
        raise ValueError(f"bits and a bit_count from 1 to {MOST_BITS} are needed, not {count}")
    drawn = np.asarray(bits)
    if drawn.dtype.kind != "u" or drawn.shape != x.shape:
        raise ValueError(
            f"bits is {drawn.dtype} {drawn.shape}, unsigned integers {x.shape} are needed"
        )
    if drawn.size and count < 8 * drawn.itemsize and int(drawn.max()) >> count:
        raise ValueError(f"bits holds {int(drawn.max())}, which {count} bits do not")
    return np.ascontiguousarray(drawn).reshape(-1)


def _run(numbers: Array, noise: Array | None, rule: Array, codes: Array) -> None:
    word = rule.dtype
    if 8 * word.itemsize - 3 - int(rule[0]) - int(rule[2]) < 0:
        raise ValueError(f"bit_count is {int(rule[2])}, too many for this format")
    raw, small = numbers.view(word), word == np.uint32

    def run(first: int, last: int) -> None:
        part, out = raw[first:last], codes[first:last]
        if noise is None:
            (encode32 if small else _encode64)(part, rule, out)
        else:
            (_encode32_random if small else _encode64_random)(part, noise[first:last], rule, out)

    rows_in_threads(run, numbers.size, _THREAD)


@cache
def numbers_of(format: str) -> Float64:
    """Return the number of each code of a format of up to 16 bits, as binary64."""
    fmt = codable(format)
    codes = np.arange(1 << fmt.bits)
    if not fmt.is_float:
        half = 1 << (fmt.bits - 1)
        signed = (codes ^ half) - half if fmt.signed else codes
        return np.asarray(signed * 2.0**-fmt.mantissa_bits)
    magnitude = codes & ((1 << fmt.magnitude_bits) - 1)
    field, fraction = np.divmod(magnitude, 1 << fmt.mantissa_bits)
    normal = (field > 0) | (not fmt.has_zero)
    whole = np.where(normal, fraction + (1 << fmt.mantissa_bits), fraction)
    lowest = fmt.least_exponent if fmt.has_zero else -fmt.bias
    power = np.maximum(field - fmt.bias, lowest) - fmt.mantissa_bits
    found = np.ldexp(whole.astype(np.float64), power)
    found[magnitude > fmt.largest_code] = np.nan
    if fmt.infinity_code is not None:
        found[magnitude == fmt.infinity_code] = np.inf
    if fmt.signed and not fmt.sign_ignored:
        negative = codes > magnitude
        found = np.where(negative, -found, found)
        if not fmt.has_minus_zero:
            found[negative & (magnitude == 0)] = np.nan
    found.flags.writeable = False
    return found


@leaf
def _decode(codes: Array, numbers: Array, out: Array) -> None:
    last = numbers.size - 1
    for i in range(codes.size):
        out[i] = numbers[codes[i] & last]


def decode(codes: npt.ArrayLike, format: str, dtype: Any = np.float32) -> Array:
    """Return the numbers of codes.

    Args:
        codes: unsigned codes as ``encode`` gives them, of any shape; bits above the format's are
            not looked at.
        format: of the codes.
        dtype: float32 or float64; float32 rounds what int32 and fp64 hold beyond it.

    Raises:
        ValueError: another type or name.
    """
    fmt, wanted = codable(format), np.dtype(dtype)
    if wanted not in (np.float32, np.float64):
        raise ValueError(f"dtype is {wanted}; float32 and float64 are allowed")
    given = array("codes", codes, word_of(fmt.bits))
    if fmt.bits <= 16:
        out = np.empty(given.shape, wanted)
        _decode(given.reshape(-1), _table(format, wanted), out.reshape(-1))
        return out
    if format == "int32":
        return given.view(np.int32).astype(wanted)
    kept = given & given.dtype.type(-1 << fmt.unused_bits & (2**fmt.bits - 1))
    return kept.view(np.float64 if fmt.bits == 64 else np.float32).astype(wanted)


@cache
def _table(format: str, dtype: Any) -> Array:
    return numbers_of(format).astype(dtype)
