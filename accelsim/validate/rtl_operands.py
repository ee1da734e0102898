"""Operands that show what a matrix unit does: one category per way to be wrong.

Operands are made as codes, so that every format has every category, and a category says what it
is about: signs, exponents and fractions are drawn, never rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.formats import NumberFormat

Array = npt.NDArray[Any]
Random = np.random.Generator

#: Least octaves below the largest number that are drawn where sums shall overflow.
_TOP = 2


@dataclass(frozen=True)
class Draw:
    """Draws the codes of one format.

    Attributes:
        random: where they come from.
        format: of the codes.
    """

    random: Random
    format: NumberFormat

    def near(self, shape: tuple[int, ...], spread: int, centre: int = 0) -> Array:
        """Return codes of numbers within some octaves of ``2^centre``; small integers."""
        fmt = self.format
        if not fmt.is_float:
            return self.whole(shape, max(2, fmt.bits // 2))
        low, high = (1 if fmt.has_zero else 0), fmt.largest_exponent + fmt.bias
        at = min(max(fmt.bias + centre, low), high)
        fields = self.random.integers(max(low, at - spread), min(high, at + spread) + 1, shape)
        fractions = self.random.integers(0, 1 << fmt.mantissa_bits, shape)
        magnitude = np.minimum((fields << fmt.mantissa_bits) | fractions, fmt.largest_code)
        return self.signed(magnitude, self.random.integers(0, 2, shape))

    def small(self, shape: tuple[int, ...]) -> Array:
        """Return codes of subnormal numbers and the next normal ones; integers of two bits."""
        fmt = self.format
        if not fmt.is_float:
            return self.whole(shape, 2)
        magnitude = self.random.integers(
            0, min(2 << fmt.mantissa_bits, fmt.largest_code) + 1, shape
        )
        return self.signed(magnitude, self.random.integers(0, 2, shape))

    def large(self, shape: tuple[int, ...]) -> Array:
        """Return codes of positive numbers near the largest."""
        fmt = self.format
        if not fmt.is_float:
            top = (1 << (fmt.bits - 1)) - 1
            return self.random.integers(top - top // 4, top + 1, shape)
        least = max(0, fmt.largest_code - (_TOP << fmt.mantissa_bits))
        magnitude = self.random.integers(least, fmt.largest_code + 1, shape)
        return self.signed(magnitude, np.zeros(shape, np.int64))

    def any(self, shape: tuple[int, ...]) -> Array:
        """Return any codes at all."""
        fmt = self.format
        if not fmt.is_float:
            return self.whole(shape, fmt.bits)
        return self.random.integers(0, 1 << fmt.bits, shape, np.uint64)

    def whole(self, shape: tuple[int, ...], bits: int) -> Array:
        """Return integers of a width."""
        half = 1 << (min(bits, self.format.bits) - 1)
        return self.random.integers(-half, half, shape)

    def specials(self) -> list[int]:
        """Return the codes of NaN, infinities and zeros; of integers the ends."""
        fmt = self.format
        if not fmt.is_float:
            return [-(1 << (fmt.bits - 1)), (1 << (fmt.bits - 1)) - 1, 0]
        sign = 1 << fmt.magnitude_bits
        found = [0, *([sign] if fmt.has_minus_zero else [])]
        found += [code for code in (fmt.nan_code,) if code is not None]
        if fmt.infinity_code is not None:
            found += [fmt.infinity_code, fmt.infinity_code | sign]
        return [code << fmt.unused_bits for code in found]

    def signed(self, magnitude: Array, negative: Array) -> Array:
        """Return codes of magnitudes and signs."""
        fmt = self.format
        if not fmt.signed:
            negative = np.zeros_like(negative)
        if not fmt.has_minus_zero:
            negative = np.where(magnitude == 0, 0, negative)
        sign = negative.astype(np.uint64) << np.uint64(fmt.magnitude_bits)
        return (magnitude.astype(np.uint64) | sign) << np.uint64(fmt.unused_bits)

    def negated(self, codes: Array) -> Array:
        """Return codes of the negated numbers; the lowest integer becomes the highest."""
        fmt = self.format
        if not fmt.is_float:
            return np.minimum(-codes, (1 << (fmt.bits - 1)) - 1)
        flipped = codes ^ np.uint64(1 << (fmt.magnitude_bits + fmt.unused_bits))
        return flipped if fmt.has_minus_zero else np.where(codes == 0, codes, flipped)


@dataclass(frozen=True)
class Operands:
    """Codes of one product, 64 bits wide: a ``[m, k]``, b ``[n, k]``, c ``[m, n]``."""

    a: Array
    b: Array
    c: Array


#: Draws of a, b and c, and their shapes.
Draws = tuple[Draw, Draw, Draw]
Shapes = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def _random(draws: Draws, shapes: Shapes) -> Operands:
    return Operands(*(d.near(s, 3) for d, s in zip(draws, shapes, strict=True)))


def _mixed(draws: Draws, shapes: Shapes) -> Operands:
    a, b, c = draws
    return Operands(a.near(shapes[0], 1 << 11), b.near(shapes[1], 1 << 11), c.near(shapes[2], 20))


def _cancellation(draws: Draws, shapes: Shapes) -> Operands:
    """Every second product is the one before it with the other sign, one in eight changed a bit."""
    made = _random(draws, shapes)
    pairs = made.a.shape[1] // 2
    made.a[:, 1 : 2 * pairs : 2] = draws[0].negated(made.a[:, : 2 * pairs : 2])
    made.b[:, 1 : 2 * pairs : 2] = made.b[:, : 2 * pairs : 2]
    changed = draws[1].near(shapes[1], 3)
    kept = draws[1].random.random(shapes[1]) < 7 / 8
    return Operands(made.a, np.where(kept, made.b, changed), np.zeros_like(made.c))


def _subnormal(draws: Draws, shapes: Shapes) -> Operands:
    a, b, c = draws
    return Operands(a.small(shapes[0]), b.small(shapes[1]), c.small(shapes[2]))


def _saturation(draws: Draws, shapes: Shapes) -> Operands:
    """Large products of the sign of their row; every second sum begins near the largest number."""
    a, b, c = (d.large(s) for d, s in zip(draws, shapes, strict=True))
    a[1::2], c[1::2] = draws[0].negated(a[1::2]), draws[2].negated(c[1::2])
    c[:, ::2] = 0
    return Operands(a, b, c)


def _special(draws: Draws, shapes: Shapes) -> Operands:
    """NaN, infinities and zeros of both signs among others; of integers the ends."""
    found = []
    for draw, shape in zip(draws, shapes, strict=True):
        codes = draw.near(shape, 3)
        known = np.array(draw.specials(), codes.dtype)
        rare = draw.random.random(shape) < 1 / shape[1]
        found.append(np.where(rare, draw.random.choice(known, shape), codes))
    return Operands(*found)


def _sparse(draws: Draws, shapes: Shapes) -> Operands:
    """Two of every four of a are zero, and one in four of b and c."""
    made = _random(draws, shapes)
    order = draws[0].random.random((shapes[0][0], -(-shapes[0][1] // 4), 4)).argsort(-1)
    kept = (order < 2).reshape(shapes[0][0], -1)[:, : shapes[0][1]]
    thin = [np.where(d.random.random(x.shape) < 0.25, 0, x).astype(x.dtype)
            for d, x in zip(draws[1:], (made.b, made.c), strict=True)]  # fmt: skip
    return Operands(np.where(kept, made.a, 0).astype(made.a.dtype), thin[0], thin[1])


def _bits(draws: Draws, shapes: Shapes) -> Operands:
    return Operands(*(d.any(s) for d, s in zip(draws, shapes, strict=True)))


#: Category → how its operands are drawn. The order numbers their seeds: new ones go to the end.
CATEGORIES: MappingProxyType[str, Callable[[Draws, Shapes], Operands]] = MappingProxyType(
    {
        "random": _random,
        "mixed": _mixed,
        "cancellation": _cancellation,
        "subnormal": _subnormal,
        "saturation": _saturation,
        "special": _special,
        "sparse": _sparse,
        "bits": _bits,
    }
)


def scales(category: str, draw: Draw, shape: tuple[int, int]) -> Array:
    """Return codes of scales, near 1 but where the category says otherwise."""
    if category == "bits":
        return draw.any(shape)
    codes = draw.near(shape, 100 if category == "mixed" else 2)
    if category == "special":
        known = np.array(draw.specials(), codes.dtype)
        rare = draw.random.random(shape) < 0.1
        codes = np.where(rare, draw.random.choice(known, shape), codes)
    return codes
