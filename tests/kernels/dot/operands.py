"""Operands of tests of units, and the units as functions of codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arithmetic import Arithmetic
from accelsim_kernels.dot.units import Product, runner
from accelsim_kernels.dot.values import numbers
from accelsim_kernels.formats import format_of

Array = npt.NDArray[Any]

WORDS = {4: np.uint8, 6: np.uint8, 8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


def run(
    rule: Arithmetic, a: Array, b: Array, c: Array | None = None, formats: tuple[str, ...] = ()
) -> Array:
    """Return the result's codes."""
    names = formats or (rule.operands or (rule.accumulator,))[:1] * 2
    fmt = format_of(rule.spill) if not rule.spill.startswith("int") else format_of("int32")
    if c is None:
        c = np.zeros((len(a), len(b)), WORDS[fmt.bits])
    out = c.copy()
    runner(rule.unit)(Product(rule, a, b, format_of(names[0]), format_of(names[1]), out, fmt))
    return out


def codes(seed: int, fmt: str, *shape: int, spread: int = 0) -> Array:
    """Return codes: of any bits, or (``spread`` > 0) of numbers within some powers of two."""
    rng, facts = np.random.default_rng(seed), format_of(fmt)
    word = WORDS[facts.bits]
    found = rng.integers(0, 1 << facts.bits, shape, dtype=np.uint64)
    if spread:
        low = facts.mantissa_bits if facts.bits < 32 else {32: 23, 64: 52}[facts.bits]
        keep = (1 << low) - 1 | 1 << (facts.bits - 1)
        top = (1 << facts.exponent_bits) - 1
        field = rng.integers(facts.bias - spread, facts.bias + spread, shape).clip(0, top)
        found = (found & np.uint64(keep)) | (field.astype(np.uint64) << np.uint64(low))
        found[rng.random(shape) < 0.1] &= np.uint64(1 << (facts.bits - 1))
    return found.astype(word)


def values(given: Array, fmt: str) -> list[list[float]]:
    """Return the numbers of a matrix of codes."""
    with np.errstate(invalid="ignore"):
        return [[float(x) for x in row] for row in numbers(given, format_of(fmt))]


def same_class(found: Array, wanted: Array, fmt: str) -> bool:
    """Tell whether all codes are equal, every NaN equal to every NaN."""
    left, right = (np.isnan(numbers(x, format_of(fmt))) for x in (found, wanted))
    return found.shape == wanted.shape and bool(((found == wanted) | (left & right)).all())
