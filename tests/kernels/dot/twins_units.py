"""Readable twins of the units of AMD, of serial sums and of integer sums: fractions, no arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Numbers = Sequence[float]

_NOTHING = -999


@dataclass(frozen=True)
class Format:
    """A format of sums: fraction bits, exponents of its smallest and largest normal numbers."""

    kept: int
    least: int
    most: int
    to_zero: bool = False


FP32 = Format(23, -126, 127)
FORMATS = {
    "fp32": FP32, "fp16": Format(10, -14, 15), "bf16": Format(7, -126, 127),
    "tf32": Format(10, -126, 127),
}  # fmt: skip


def exponent_of(x: Fraction) -> int:
    """Return e with ``2^e <= |x| < 2^(e + 1)``."""
    e = abs(x.numerator).bit_length() - x.denominator.bit_length()
    return e if abs(x) >= Fraction(2) ** e else e - 1


def round_to(x: Fraction, fmt: Format) -> float:
    """Round once; what is too large is infinite."""
    if x == 0:
        return 0.0
    step = Fraction(2) ** (max(exponent_of(x), fmt.least) - fmt.kept)
    count = abs(x) / step
    whole = math.floor(count) if fmt.to_zero else round(count)  # ties to even
    made = whole * step
    result = math.inf if made >= Fraction(2) ** (fmt.most + 1) else float(made)
    return math.copysign(result, x)


def special_sum(terms: Sequence[float]) -> float | None:
    """Return the NaN or infinity that terms add up to; None where all are finite."""
    wrong = [t for t in terms if not math.isfinite(t)]
    if not wrong:
        return None
    return wrong[0] if all(t == wrong[0] for t in wrong) else math.nan


def times(x: float, y: float) -> float | Fraction:
    """Return an exact product, or the NaN or infinity that it is."""
    if math.isfinite(x) and math.isfinite(y):
        return Fraction(x) * Fraction(y)
    return x * y


def rounded_sum(terms: Sequence[tuple[float, float]], c: float, fmt: Format) -> float:
    """Return ``c + sum of x * y``, rounded once."""
    products = [times(x, y) for x, y in terms]
    special = special_sum([*(p for p in products if isinstance(p, float)), c])
    if special is not None:
        return special
    total = sum((p for p in products if isinstance(p, Fraction)), Fraction(c))
    if total == 0:
        signs = [math.copysign(1, x) * math.copysign(1, y) for x, y in terms]
        zeros = all(p == 0 for p in products) and c == 0
        return -0.0 if zeros and all(s < 0 for s in (*signs, math.copysign(1, c))) else 0.0
    return round_to(total, fmt)


def serial(
    a: Numbers, b: Numbers, c: float, formats: tuple[Format, Format], cut: tuple[int, int]
) -> float:
    """Return a serial sum with an accumulator and a spill format, in chunks and depths."""
    fmt, spill = formats
    chunk, depth = cut
    depth = depth or len(a)
    for start in range(0, len(a), depth):
        stop = min(len(a), start + depth)
        for k in range(start, stop, chunk):
            edge = min(stop, k + chunk)
            c = rounded_sum(list(zip(a[k:edge], b[k:edge], strict=True)), c, fmt)
        if math.isfinite(c) and c != 0:
            c = round_to(Fraction(c), spill)
    return c


def flushed(x: float, least: int = -126, keep_sign: bool = True) -> float:
    """Return zero for a subnormal number."""
    if abs(x) >= 2.0**least or math.isnan(x):
        return x
    return math.copysign(0.0, x) if keep_sign else 0.0


def _add(x: float, y: float) -> float:
    return flushed(rounded_sum([(1.0, x)], y, FP32))


def flushed_pairs(
    a: Numbers, b: Numbers, c: float, least: tuple[int, int], cut: tuple[int, int]
) -> float:
    """Return what CDNA2 makes of a row and a column."""
    group, step = cut
    left = [flushed(x, least[0], False) for x in a] + [0.0] * (-len(a) % group)
    right = [flushed(x, least[1], False) for x in b] + [0.0] * (-len(b) % group)
    products = [
        flushed(rounded_sum([(x, y)], math.copysign(0.0, math.copysign(1, x) * y), FP32))
        for x, y in zip(left, right, strict=True)
    ]
    for k in range(0, len(products), group):
        if k % step == 0:
            c = flushed(c, -126, False)
        p = products[k : k + group]
        total = _add(p[0], p[1])
        c = _add(c, total if group == 2 else _add(total, _add(p[2], p[3])))
    return c


def split(x: float, least: int) -> tuple[Fraction, int]:
    """Return significand and exponent; that of subnormal numbers and zero is the least."""
    value = Fraction(x)
    e = max(exponent_of(value), least) if value else least
    return value / Fraction(2) ** e, e


def floor_at(x: Fraction, place: int) -> Fraction:
    """Return the multiple of ``2^place`` that is next below."""
    step = Fraction(2) ** place
    return math.floor(x / step) * step


def truncated(products: Sequence[tuple[Fraction, int]], bits: int) -> tuple[Fraction, int]:
    """Return the sum of products that are cut to their largest exponent, and that exponent."""
    top = max((e for s, e in products if s), default=_NOTHING)
    step = Fraction(2) ** (top - bits)
    return sum(
        (math.trunc(s * Fraction(2) ** e / step) * step for s, e in products), Fraction()
    ), top


def floored_chunk(
    terms: Sequence[tuple[float, float]], c: float, least: tuple[int, int], halves: int
) -> float:
    """Return what CDNA3 makes of one chunk."""
    bits = 24
    specials = [p for p in (times(x, y) for x, y in terms) if isinstance(p, float)]
    finite = [(x, y) for x, y in terms if math.isfinite(x) and math.isfinite(y)]
    specials += [math.copysign(math.inf, x) * math.copysign(1, y) for x, y in finite
                 if abs(Fraction(x) * Fraction(y)) >= Fraction(2) ** 128]  # fmt: skip
    if specials:
        return float(special_sum([*specials, c]) or 0)
    products = []
    for x, y in terms:
        (sx, ex), (sy, ey) = split(x, least[0]), split(y, least[1])
        products.append((sx * sy, ex + ey))
    parts = [truncated(products[half::halves], bits) for half in range(halves)]
    e_dot = max(e for _, e in parts)
    dot = sum((floor_at(s, e_dot - bits) if halves == 2 else s for s, _ in parts), Fraction())
    e_c = split(c, -126)[1] if math.isfinite(c) else -1
    top = max(e_dot, e_c)
    if halves == 2 and e_c < top - bits - 1:
        c = 0.0
    if not math.isfinite(c):
        return c
    total = floor_at(dot, top - 32) + floor_at(Fraction(c), top - bits)
    if total:
        total = floor_at(total, max(exponent_of(total), -126) - 31)
    return round_to(total, FP32)


def floored(
    a: Numbers, b: Numbers, c: float, least: tuple[int, int], cut: tuple[int, int]
) -> float:
    """Return what CDNA3 makes of a row and a column."""
    chunk, halves = cut
    for k in range(0, len(a), chunk):
        terms = list(zip(a[k : k + chunk], b[k : k + chunk], strict=True))
        c = floored_chunk(terms, c, least, halves)
    return c


def clamp(total: int, bits: int, saturate: bool) -> int:
    """Bring a number into a width."""
    half = 1 << (bits - 1)
    return min(max(total, -half), half - 1) if saturate else (total + half) % (2 * half) - half


def integer(
    a: Sequence[int], b: Sequence[int], c: int, widths: tuple[int, int], cut: tuple[int, int],
    saturate: bool,
) -> int:  # fmt: skip
    """Return an integer sum in an accumulator of some width."""
    chunk, depth = cut[0] or len(a), cut[1] or len(a)
    for start in range(0, len(a), depth):
        stop = min(len(a), start + depth)
        for k in range(start, stop, chunk):
            edge = min(stop, k + chunk)
            more = sum(x * y for x, y in zip(a[k:edge], b[k:edge], strict=True))
            c = clamp(c + more, widths[0], saturate)
        c = clamp(c, widths[1], saturate)
    return c
